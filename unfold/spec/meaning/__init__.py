"""Declarations to a Program: names, cells, shapes and operators."""
