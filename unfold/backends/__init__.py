"""Machines that run Plans, one folder each; the reference run is in `unfold.unfolded`."""

BACKENDS = ("numba", "reference")
