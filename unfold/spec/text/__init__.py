"""Characters to nodes and expressions: YAML and formulas, read without knowing any section."""
