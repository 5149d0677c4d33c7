"""The numpy meaning of every op, in float64 where the op computes in floating point."""
