"""Engines that run a Plan; each is a folder of its own."""
