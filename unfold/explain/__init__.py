"""A Plan in words: its statements, what they cost, and what became of each equation."""
