"""From linalg kernels and affine loops to scops."""
