"""What every test shares: the default backend, the switch for slow tests, and visible skips.

pytest --slow            also runs tests marked slow
pytest --record FILE     writes what came of the tests of each spec, as docs/systems.md shows it
"""

from __future__ import annotations

import gc
import importlib.util
import json
import os
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from xdist.scheduler import LoadScopeScheduling

# What the language means is tested on the backend that defines it; tests of the others name them.
os.environ.setdefault("UNFOLD_BACKEND", "reference")

# No test depends on how fast a machine is, or on what was drawn before.
settings.register_profile(
    "unfold",
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("unfold")


@pytest.fixture
def compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the default backend be one that makes Plans."""
    monkeypatch.setenv("UNFOLD_BACKEND", "numba")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add `--slow` and `--record`."""
    parser.addoption("--slow", action="store_true", help="also run the tests marked slow")
    parser.addoption("--record", metavar="FILE", help="write what came of the library's tests")


def pytest_configure(config: pytest.Config) -> None:
    """Watch the library's tests where their results are wanted; not in workers of xdist."""
    if config.getoption("--record") and not hasattr(config, "workerinput"):
        config.pluginmanager.register(Recorder(Path(config.getoption("--record"))))


class Recorder:
    """Keeps {spec: {part: "passed" or "failed"}} of `test_library`, and writes it at the end."""

    TEST = re.compile(r"test_library\.py::test_(drawn|backends|oracle|runs)\[(.+)\]")

    def __init__(self, file: Path) -> None:
        self.file = file
        self.found: dict[str, dict[str, str]] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Note a test that is over, or that could not begin."""
        test = self.TEST.search(report.nodeid)
        if test and (report.when == "call" or report.failed):
            self.found.setdefault(test[2], {})[test[1]] = report.outcome

    def pytest_sessionfinish(self) -> None:
        """Write everything, sorted."""
        text = json.dumps(self.found, indent=1, sort_keys=True) + "\n"
        self.file.write_text(text, encoding="utf-8")


class ByWork(LoadScopeScheduling):
    """Hands tests that share work to one process: those of a spec, or of a prepared module."""

    SPEC = re.compile(
        r"test_(?:library|numba_specs|padding|second_order|specs_gradients|specs_oracle)\.py::\w+"
        r"\[(.+?)(?:-(?:teacher|free))?(?:-\d+)?\]$"
    )
    MODULE = re.compile(r"(test_hostile\.py::test_a_clear_error|test_cli\.py::test_specs_)")

    def _split_scope(self, nodeid: str) -> str:
        shared = self.SPEC.search(nodeid) or self.MODULE.search(nodeid)
        return shared[1] if shared else nodeid


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> ByWork | None:
    """Use it where nothing else is asked for."""
    return ByWork(config, log) if config.getoption("dist") == "load" else None


def pytest_collection_finish() -> None:
    """Look for garbage less often: JAX and Numba leave millions of objects that never are any."""
    gc.freeze()
    gc.set_threshold(20_000, 20, 50)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Skip what this machine or this call cannot run, with the reason in the summary."""
    skips = {
        "slow": None if config.getoption("--slow") else "slow: run with --slow",
        "bench": None if importlib.util.find_spec("torch") else "needs the extra 'bench'",
    }
    for item in items:
        for marker, reason in skips.items():
            if reason and item.get_closest_marker(marker):
                item.add_marker(pytest.mark.skip(reason=reason))
