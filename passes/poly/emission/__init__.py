"""From a scheduled scop to loops: isl's AST, statements, vectors, full tiles."""
