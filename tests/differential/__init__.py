"""Random legal Programs, on which every backend must agree with the reference."""
