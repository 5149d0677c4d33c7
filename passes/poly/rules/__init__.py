"""The schedule of models' kernels, by rules: rewrite for the machine, tile for registers, fuse."""
