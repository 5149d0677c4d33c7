"""Seconds of each kernel while the whole model runs, beside what the machine allows."""
