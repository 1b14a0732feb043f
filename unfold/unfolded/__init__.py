"""The unfolded graph, its measures, and the reference run that walks it."""
