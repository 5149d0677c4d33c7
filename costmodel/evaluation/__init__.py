"""How good a model is: metrics, splits by whole family, tables and figures."""
