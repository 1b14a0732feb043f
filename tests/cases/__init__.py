"""The small cases of every spec of the library: one module per family, or several.

A module has a tuple `CASES`; a spec is added by adding its case to one of them. `CELL_CASES` are
the packaged cells, each alone.
"""

from importlib import import_module
from pkgutil import iter_modules

import pytest

from cases.case import Case
from cases.packaged import CELL_CASES as CELL_CASES

CASES: dict[str, Case] = {
    case.name: case
    for module in sorted(found.name for found in iter_modules(__path__))
    for case in getattr(import_module(f"cases.{module}"), "CASES", ())
}
# These are swept through every mode, length and precision by `make test`, the others by
# `make library`; in short all of them are tested in `test_library`.
SWEPT = (
    "attention",
    "bidirectional",
    "char-rnn",
    "encoder-decoder",
    "gru",
    "hello",
    "lstm-peephole",
    "lstm-stack",
    "min-char-rnn",
    "pattern-hidden",
    "pattern-last",
    "pattern-output",
    "recurrent-highway",
    "rnn-2d",
    "shared",
    "tdnn",
    "teacher-forcing",
    "unshared",
)
MODES = [(name, mode) for name, case in CASES.items() for mode in case.modes]
EVERY_NAME = [pytest.param(n, marks=() if n in SWEPT else pytest.mark.slow) for n in CASES]
EVERY_MODE = [pytest.param(*m, marks=() if m[0] in SWEPT else pytest.mark.slow) for m in MODES]
