"""What the sections `data`, `train`, `generate`, `memory` and `draw` of a spec may say.

    train: {optimzer: adam}  ──read──▶  spec.yaml:9:9: unknown key 'optimzer' in train
                                          help: did you mean 'optimizer'?

Each section is a pydantic model with one file: its fields are the keys, with types, bounds and
defaults. `model` has the forms of values that pydantic lacks, `read` checks a section against its
model and puts mistakes into words with their places, and `schema` makes the JSON Schema of a spec
file from the same models. Nothing here computes: constants of rules and tasks become objects of
`unfold.training.rules` or plain models.
"""

MOST_STEPS = 10_000
"""How many points of an axis can be drawn; here since drawing needs it without pydantic."""
