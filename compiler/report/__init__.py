"""A saved package as one offline HTML page: graph, kernels at all stages, memory, decisions."""
