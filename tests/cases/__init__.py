"""The small cases of every spec of the library: one module per family, or several.

A module has a tuple `CASES`; a spec is added by adding its case to one of them. `CELL_CASES` are
the packaged cells, each alone.
"""

from importlib import import_module
from pkgutil import iter_modules

from cases.case import Case
from cases.packaged import CELL_CASES as CELL_CASES

CASES: dict[str, Case] = {
    case.name: case
    for module in sorted(found.name for found in iter_modules(__path__))
    for case in getattr(import_module(f"cases.{module}"), "CASES", ())
}
EVERY_MODE = [(name, mode) for name, case in CASES.items() for mode in case.modes]
