"""Patch by patch execution of the stages of a network that need the most memory (MCUNetV2)."""
