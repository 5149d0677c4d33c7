"""What a scop is and what was done to it, as data and as readable text."""
