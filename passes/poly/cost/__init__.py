"""Scheduled scops as cost models see them: trip counts, footprints, strides."""
