"""Samples: measured schedules of tasks, as a folder of text files."""
