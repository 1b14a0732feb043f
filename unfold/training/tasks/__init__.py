"""Tasks: sequences made up by a rule, as many as are asked for.

    settings   the constants of every task, with their defaults
    tasks      one function per task, and the data set that draws from it
    grammars   formal languages: members, legal successors, draws

The other files make the sequences of one task each.
"""
