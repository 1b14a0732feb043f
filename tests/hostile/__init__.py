"""Hostile spec files, and a runner that loads each in a process of its own under limits."""
