"""Results of experiments, stored in `results/`: one JSON file per experiment.

    {"experiment": "anbn-srn", "reached": true, "date": "2026-11-21", "machine": "2 cores, …",
     "versions": {"unfold": "0.1.0", …}, "fingerprint": "5a0f…",
     "seeds": [{"seed": 0, "reached": true, "score": 19, "seconds": 5.7,
                "figures": {"right up to n": "19", …}}, …]}

The fingerprint covers the experiment's module (its code, not its prose) and its specs (not their
pictures). If either has changed since, the results are stale, and
`python -m examples.reproductions --missing` measures again. The fingerprint ignores all else that
an experiment depends on, `unfold` above all.
"""

from __future__ import annotations

import ast
import json
import os
import platform
import re
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path
from typing import Any

import unfold
from examples.reproductions.experiment import FOLDER, Experiment, Outcome, spec_file
from examples.reproductions.registry import ROWS, experiments

RESULTS = FOLDER / "results"
PROSE = ("title", "criterion", "published", "notes", "why")
LOOKS = ("about", "draw")
"""Arguments of an experiment, and sections of a spec, that do not affect its measurement."""


@dataclass(frozen=True)
class Record:
    """The content of a file of results; `seeds` as in the example above."""

    experiment: str
    reached: bool
    date: str
    machine: str
    versions: Mapping[str, str]
    fingerprint: str
    seeds: Sequence[Mapping[str, Any]]

    @property
    def how_many(self) -> int:
        """The number of seeds that reached the criterion."""
        return sum(seed["reached"] for seed in self.seeds)

    @property
    def best(self) -> Mapping[str, Any]:
        """The seed with the highest score, one that reached the criterion if any did."""
        return max(self.seeds, key=lambda seed: (seed["reached"], seed["score"]))

    @property
    def seconds(self) -> float:
        """The time that all seeds took."""
        return sum(seed["seconds"] for seed in self.seeds)


def record(experiment: Experiment, outcomes: Sequence[Outcome]) -> Record:
    """Return the record of an experiment that has just run on this machine."""
    reached = sum(bool(o.finding.reached) for o in outcomes) >= experiment.needed
    seeds = [
        {
            "seed": outcome.seed,
            "reached": bool(outcome.finding.reached),
            "score": float(outcome.finding.score),
            "seconds": round(outcome.seconds, 2),
            "figures": dict(zip(experiment.columns, outcome.finding.cells, strict=True)),
        }
        for outcome in outcomes
    ]
    versions = {name: version(name) for name in ("numpy", "numba")}
    versions = {"unfold": unfold.__version__, "Python": platform.python_version(), **versions}
    date, now = time.strftime("%Y-%m-%d"), fingerprint(experiment)
    return Record(experiment.name, reached, date, machine(), versions, now, seeds)


def machine() -> str:
    """Describe the machine in general words: cores and processor."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return f"{os.cpu_count()} cores, {names[0] if names else platform.machine()}"


def fingerprint(experiment: Experiment) -> str:
    """Return the hash of an experiment's parts: the code of its module, its specs."""
    module = sys.modules[experiment.measure.__module__].__file__
    assert module is not None
    files = [module, *(spec_file(name) for name in experiment.spec_names)]
    code, *specs = (Path(file).read_text(encoding="utf-8") for file in files)
    meanings = [code_of(code), *map(meaning_of, specs)]
    return sha256("\0".join(meanings).encode()).hexdigest()[:16]


def meaning_of(spec: str) -> str:
    """Return the sections of a spec that determine the run."""
    sections = re.split(r"\n+(?=\S)", spec.strip())
    return "\n".join(s for s in sections if s.partition(":")[0] not in LOOKS)


def code_of(module: str) -> str:
    """Return the meaning of a module's text, without its form, comments and prose."""
    return ast.dump(_Code().visit(ast.parse(module)))


class _Code(ast.NodeTransformer):
    """Leave out docstrings, and the prose of experiments."""

    def visit_Expr(self, node: ast.Expr) -> ast.Expr | None:
        return None if isinstance(node.value, ast.Constant) else node

    def visit_keyword(self, node: ast.keyword) -> ast.keyword | None:
        return None if node.arg in PROSE else node


def keep(found: Record, folder: Path = RESULTS) -> None:
    """Write a file of results."""
    folder.mkdir(exist_ok=True)
    text = json.dumps(vars(found), indent=1, ensure_ascii=False)
    (folder / f"{found.experiment}.json").write_text(text + "\n", encoding="utf-8")


def kept(name: str, folder: Path = RESULTS) -> Record | None:
    """Read the results of an experiment; None if it has not been run."""
    file = folder / f"{name}.json"
    return Record(**json.loads(file.read_text(encoding="utf-8"))) if file.exists() else None


def stale(experiment: Experiment) -> bool:
    """Tell whether an experiment has no results, or has changed since."""
    found = kept(experiment.name)
    return found is None or found.fingerprint != fingerprint(experiment)


def results_by_row() -> dict[str, list[tuple[str, bool]]]:
    """Return, for every row of the library, (experiment, whether it reached its criterion).

    Experiments that serve only for comparison are left out. An experiment without results has not
    reached its criterion.
    """
    found: dict[str, list[tuple[str, bool]]] = {row: [] for row in ROWS}
    for name, experiment in experiments().items():
        if experiment.asked:
            result = kept(name)
            for row in experiment.systems:
                found[row].append((name, result is not None and result.reached))
    return found
