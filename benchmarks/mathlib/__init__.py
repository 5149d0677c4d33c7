"""Where the data of `codegen/mathlib` comes from, the proof of its bounds, and its speed."""
