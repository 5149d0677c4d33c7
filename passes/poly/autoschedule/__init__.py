"""Schedules chosen by rules: isl's scheduler and its tiles, register tiles of reductions."""
