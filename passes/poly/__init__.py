"""Passes on `poly`: extraction, dependences, schedule primitives, lowering to loops."""
