"""Dependences of a scop, and whether a loop tree keeps them."""
