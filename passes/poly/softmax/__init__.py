"""Sums weighted by a softmax, in blocks of keys: what attention is to a scop."""
