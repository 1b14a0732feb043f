"""How fast a machine is, and a model on it: its limits, times in turns, and the quick benchmark."""
