"""Source emission from the loops level."""
