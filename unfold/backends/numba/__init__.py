"""The compiled CPU engine: generated Numba modules over explicit vector instructions."""
