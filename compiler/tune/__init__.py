"""Tuning: candidates are built and measured in worker processes that may crash or hang."""
