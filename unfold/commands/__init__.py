"""The commands, one file each: `check.py` is `unfold check`.

The docstring of a file is the help of its command; the first line of it is also what `unfold
--help` says. The function of the same name has the options as its parameters, and returns the exit
code. `unfold.cli` finds the files by listing this folder and imports one when its command is used.
Modules that are slow to import (NumPy, the engine) are imported in the functions that need them,
so that `unfold check --help` is quick, too.
"""
