"""Nouns: the IR levels as xDSL dialects, and the numpy meaning of their ops."""
