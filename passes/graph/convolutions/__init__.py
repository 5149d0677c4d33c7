"""Which algorithm computes a convolution: what each costs, and how it is put in."""
