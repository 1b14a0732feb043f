"""The rules of a training step as formulas with constants: optimisers, clipping, schedules.

A rule is a frozen dataclass. Its fields are the constants that a spec may set, its table names it,
and `unfold.settings` reads it: `adam`, `{adam: {rate: 0.01}}`, `{warmup: 100}`.
"""
