"""Products with weights of any bit width: speed of every format next to peers and bandwidth."""
