"""C emission: one rule per op."""
