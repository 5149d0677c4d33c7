"""Verbs: rewrites of the IR, in folders named by the level they rewrite."""
