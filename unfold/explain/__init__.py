"""A Plan in words: its statements, their costs, and the result of planning each equation."""
