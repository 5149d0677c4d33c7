"""Random models and random affine programs, compiled and compared with what they mean."""
