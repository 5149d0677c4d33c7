"""Contractions as tile programs."""
