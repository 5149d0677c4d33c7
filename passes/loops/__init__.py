"""Passes on loops: promotion to registers, clean-up, memory planning."""
