"""Program to Program: modes, boundaries, carried state, differentiation, simplification."""
