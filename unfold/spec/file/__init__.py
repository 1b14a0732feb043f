"""Nodes to declarations: the sections of a spec file and their syntax."""
