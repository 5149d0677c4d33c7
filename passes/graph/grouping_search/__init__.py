"""Groupings of graph ops by a cost model: moves, what their kernels would cost, and the search."""
