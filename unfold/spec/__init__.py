"""From the text of a spec to a Program, with every mistake at its place."""
