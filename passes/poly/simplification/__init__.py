"""Scop to scop, before a schedule is chosen: fewer dims, fewer statements, numbers for sizes."""
