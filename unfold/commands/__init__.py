"""The implementations behind the command line, one module per command.

`unfold.cli` declares the options and imports a module from here when its command is run; together
they are the only files beside `unfold.api` that name all stages. A command returns its exit code.
"""
