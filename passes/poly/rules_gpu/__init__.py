"""Schedules for GPUs: which loops are bound to blocks and threads."""
