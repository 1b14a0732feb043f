"""What every test shares: the default backend, the switch for slow tests, and visible skips.

pytest --slow        also runs tests marked slow
"""

from __future__ import annotations

import importlib.util
import os

import pytest

# What the language means is tested on the backend that defines it; tests of the others name them.
os.environ.setdefault("UNFOLD_BACKEND", "reference")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add `--slow`."""
    parser.addoption("--slow", action="store_true", help="also run the tests marked slow")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Skip what this machine or this call cannot run, with the reason in the summary."""
    skips = {
        "slow": None if config.getoption("--slow") else "slow: run with --slow",
        "gpu": None if importlib.util.find_spec("cupy") else "needs a GPU and the extra 'gpu'",
        "bench": None if importlib.util.find_spec("torch") else "needs the extra 'bench'",
    }
    for item in items:
        for marker, reason in skips.items():
            if reason and item.get_closest_marker(marker):
                item.add_marker(pytest.mark.skip(reason=reason))
