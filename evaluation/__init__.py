"""How right it was: comparisons of runs with their statistics."""
