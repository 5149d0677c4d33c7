"""Measuring the machine at hand: arithmetic, memory levels, parallel regions."""
