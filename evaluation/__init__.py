"""How right it was: test runs, metrics, comparisons. Empty so far."""
