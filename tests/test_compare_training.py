"""`unfold compare --train`: budgets, seeds, results that survive, and runs that fail."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import BrokenExecutor, Executor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest

import unfold
from unfold.cli import invoke
from unfold.comparison.executors import Inline, executor
from unfold.comparison.results import RESULT, Progress, Results, perform_all
from unfold.comparison.statistics import interval, students, summary
from unfold.errors import UnfoldError
from unfold.terminal.budgets import Budget, fitted
from unfold.terminal.variants import Variant

SPEC = """
unfold: 1
name: {name}
axes: {{t: 4}}
sizes: {{hidden: 3}}
inputs:
  x[t]: [2]
  y[t]: [1]
parameters:
  W: [hidden, hidden]
  U: [hidden, 2]
  V: [1, hidden]
nodes:
  h[t]: tanh({cell})
  o[t]: V @ h[t]
loss: mean[t](mse(o[t], y[t]))
data: {{random: true}}
train: {{steps: 40, optimizer: {{sgd: {{rate: {rate}}}}}, seed: 0}}
"""
CELLS = {"with": "W @ h[t-1] + U @ x[t]", "without": "U @ x[t] + 0 * W @ h[t-1]"}


@pytest.fixture
def specs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    monkeypatch.chdir(tmp_path)
    for name, cell in CELLS.items():
        text = SPEC.format(name=name, cell=cell, rate=0.1)
        (tmp_path / f"{name}.yaml").write_text(text, encoding="utf-8")
    return [f"{name}.yaml" for name in CELLS]


def compared(words: list[str], capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    assert invoke(["compare", *words, "--backend", "reference", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    return {m["name"]: m["values"] for m in document["measures"] if m["group"] == "training"}


# Statistics


@pytest.mark.parametrize("seeds", [5, 20])
def test_an_interval_covers_the_mean_as_often_as_it_says(seeds: int) -> None:
    drawn = np.random.default_rng(5).normal(1.0, 2.0, (150, seeds))
    found = [interval(list(row)) for row in drawn]
    covered = np.mean([own is not None and own[0] < 1.0 < own[1] for own in found])
    assert 0.88 < covered < 0.995


def test_quantiles_of_students_t() -> None:
    """The published table, for the probability 0.025."""
    table = {1: 12.706, 2: 4.303, 3: 3.182, 4: 2.776, 5: 2.571, 9: 2.262, 30: 2.042}
    for freedom, wanted in table.items():
        assert students(freedom) == pytest.approx(wanted, abs=4e-3)


def test_intervals_without_a_spread() -> None:
    assert interval([1.0]) is None
    assert interval([2.0, 2.0]) == (2.0, 2.0)


def test_ranks_differ_only_beyond_chance() -> None:
    seeds = range(8)
    scores = {
        "a": {s: 1.0 + 0.1 * (s % 2) for s in seeds},
        "as a": {s: 1.01 + 0.1 * (s % 3 == 0) for s in seeds},
        "worse": {s: 2.0 + 0.1 * (s % 3) for s in seeds},
    }
    found = summary(scores)
    assert {v: s.rank for v, s in found.items()} == {"a": 1, "as a": 1, "worse": 3}
    behind = found["worse"].behind
    assert behind is not None and behind[1] is not None
    assert behind[1][0] < behind[0] < behind[1][1] and abs(behind[0] - 1.0) < 0.2
    assert min(found.values(), key=lambda s: s.mean).behind is None


def test_pairs_are_those_of_one_seed() -> None:
    scores = {"a": {0: 1.0, 1: 5.0, 2: 9.0}, "b": {0: 1.1, 1: 5.1, 2: 9.1}, "c": {7: 4.0}}
    found = summary(scores)
    assert found["b"].rank == 2, "it is always worse by 0.1, however different the seeds are"
    assert found["c"].rank == 1 and found["c"].spread is None


# Budgets


@pytest.mark.parametrize("limit", [40, 41, 1000, 20_000])
def test_the_largest_size_below_a_budget(limit: int, specs: list[str]) -> None:
    found = fitted(Variant("v", specs[0], ()), "size.hidden", Budget("parameters", limit))
    (size,) = (int(i.partition("=")[2]) for i in found.items)
    counts = [n * n + 3 * n for n in (size, size + 1)]  # W, U and V
    assert counts[0] <= limit < counts[1]
    assert found.model.cost().parameters == counts[0]
    assert found.name == f"v hidden={size}"


def test_operations_and_seconds_are_budgets(specs: list[str]) -> None:
    variant = Variant("v", specs[0], ())
    budget = Budget("flops", 5000)
    found = fitted(variant, "size.hidden", budget)
    size = int(found.items[0].partition("=")[2])
    more = Variant("v", specs[0], (f"size.hidden={size + 1}",))
    assert budget.cost(found.model) <= 5000 < budget.cost(more.model)
    assert Budget("seconds", 1.0).cost(variant.model) > 0


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--fit", "size.hidden", "--budget", "3"], "4 parameters even with size.hidden=1"),
        (["--fit", "axis.t", "--budget", "30"], "keeps the budget even with axis.t="),
        (["--fit", "hidden", "--budget", "30"], "--fit hidden: expected size.NAME or axis.NAME"),
        (["--budget", "30"], "expected --fit KEY with one budget"),
        (["--fit", "size.hidden"], "expected --fit KEY with one budget"),
        (["--fit", "size.hidden", "--budget", "9", "--budget-flops", "9"], "one budget"),
    ],
)
def test_budgets_that_cannot_be_kept(
    words: list[str], said: str, specs: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert invoke(["compare", specs[0], *words]) == 1
    assert said in capsys.readouterr().err


# Results


class Counting:
    """A trial that counts how often it is performed, and fails or ends its worker at times."""

    done: ClassVar[list[str]] = []
    deaths = 0

    def __init__(self, key: str) -> None:
        self.key = key


def count(trial: Counting, place: Path) -> dict[str, Any]:
    if trial.key == "deadly" and Counting.deaths > 0:
        Counting.deaths -= 1
        raise BrokenExecutor("killed")
    Counting.done.append(trial.key)
    return {"failed": "no"} if trial.key == "bad" else {"score": 1.0}


@contextmanager
def inline() -> Iterator[Executor]:
    yield Inline()


def test_nothing_is_done_twice(tmp_path: Path) -> None:
    Counting.done, told = [], list[Progress]()
    trials = [Counting(k) for k in ("a", "bad", "a")]
    results = Results(tmp_path)
    first = perform_all(trials, results, count, inline, told.append)
    assert first == {"a": {"score": 1.0}, "bad": {"failed": "no"}}
    assert [p.done for p in told] == [0, 1, 2] and told[-1] == Progress(2, 2, 1)
    more = perform_all([*trials, Counting("c")], results, count, inline, told.append)
    assert Counting.done == ["a", "bad", "c"] and set(more) == {"a", "bad", "c"}


def test_a_worker_that_dies_is_replaced(tmp_path: Path) -> None:
    Counting.done, Counting.deaths = [], 2
    trials = [Counting("a"), Counting("deadly")]
    found = perform_all(trials, Results(tmp_path), count, inline, lambda _: None)
    assert set(found) == {"a", "deadly"} and Counting.done == ["a", "deadly"]
    Counting.deaths = 9
    with pytest.raises(UnfoldError, match=r"3 workers in a row were killed\n.*--jobs 1"):
        perform_all([Counting("deadly")], Results(tmp_path / "b"), count, inline, lambda _: None)


def share(_: Any) -> tuple[int, int]:
    return os.getpid(), len(os.sched_getaffinity(0))


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="no processor affinity here")
def test_processes_share_the_processors() -> None:
    with executor(jobs=2) as workers:
        assert workers is not None
        found = dict(workers.map(share, range(8)))
    assert os.getpid() not in found
    assert all(n <= -(-len(os.sched_getaffinity(0)) // 2) for n in found.values())


# Training


def test_losses_of_variants_over_seeds(
    specs: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    found = compared([*specs, "--train", "--seeds", "3"], capsys)
    assert found["runs"] == {"with": 3, "without": 3}
    name = next(n for n in found if n.endswith("mean"))
    for variant, cell in CELLS.items():
        model = unfold.loads(SPEC.format(name=variant, cell=cell, rate=0.1))
        own = [
            np.mean(unfold.train(model, seed=s, backend="reference").losses[-20:]) for s in range(3)
        ]
        assert found[name][variant] == pytest.approx(np.mean(own), rel=1e-12)
        assert found["spread"][variant] == pytest.approx(np.std(own, ddof=1), rel=1e-12)
    files = list(Path("results").glob("*/result.json"))
    assert len(files) == 6
    before = {f: f.stat().st_mtime_ns for f in files}
    again = compared([*specs, "--train", "--seeds", "3"], capsys)
    assert again == found and {f: f.stat().st_mtime_ns for f in files} == before


def test_a_run_that_fails_is_a_row(capsys: pytest.CaptureFixture[str], specs: list[str]) -> None:
    words = [specs[0], "--train", "--vary", "train.optimizer.sgd.rate=0.1,1e30", "--seeds", "2"]
    found = compared(words, capsys)
    assert found["failed"]["rate=0.1"] == "0"
    assert found["failed"]["rate=1e30"].startswith("2: diverged: ")
    assert found["rank"] == {"rate=0.1": 1}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"data: {random: true}": ""}, "no training data"),
        ({"loss: mean[t](mse(o[t], y[t]))": ""}, "training needs a loss"),
    ],
)
def test_specs_that_cannot_be_trained(
    change: dict[str, str], said: str, specs: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    text = Path(specs[0]).read_text(encoding="utf-8")
    for old, new in change.items():
        text = text.replace(old, new)
    Path(specs[0]).write_text(text, encoding="utf-8")
    assert invoke(["compare", specs[0], "--train"]) == 1
    assert said in capsys.readouterr().err
    assert not Path("results").exists()


def test_different_data_are_refused(specs: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    other = (
        Path(specs[1]).read_text(encoding="utf-8").replace("{random: true}", "{random: {seed: 7}}")
    )
    Path(specs[1]).write_text(other, encoding="utf-8")
    assert invoke(["compare", *specs, "--train"]) == 1
    assert "with and without have different data" in capsys.readouterr().err


def killed(words: list[str], times: int) -> None:
    """Start a command again and again, and kill it after its first results."""
    for number in range(times):
        process = subprocess.Popen(
            [sys.executable, "-m", "unfold", *words], stderr=subprocess.DEVNULL
        )
        while process.poll() is None and len(list(Path("results").glob(f"*/{RESULT}"))) <= number:
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
        process.wait()


def check_killed(specs: list[str], more: list[str], capsys: Any) -> None:
    words = [*specs, "--train", "--seeds", "2", "--set", "train.steps=60", *more]
    wanted = compared(words, capsys)
    shutil.move("results", "untouched")
    killed(["compare", *words, "--backend", "reference"], times=2)
    assert 0 < len(list(Path("results").glob(f"*/{RESULT}"))) < 4
    assert compared(words, capsys) == wanted
    for file in Path("untouched").glob("*/metrics.jsonl"):
        assert (Path("results") / file.parent.name / file.name).read_bytes() == file.read_bytes()


def test_a_killed_sweep_ends_like_one_that_nobody_touched(
    specs: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    check_killed(specs, [], capsys)


@pytest.mark.slow
def test_a_killed_sweep_of_several_processes(
    specs: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    check_killed(specs, ["--jobs", "2"], capsys)


@pytest.mark.slow
def test_a_cluster_that_loses_a_worker(
    specs: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """A Dask scheduler and two workers, one of which is killed in the middle."""
    pytest.importorskip("distributed", reason="needs the extra 'dask'")
    words = [*specs, "--train", "--seeds", "3", "--set", "train.steps=300"]
    wanted = compared(words, capsys)
    shutil.move("results", "untouched")
    tool = [sys.executable, "-m", "distributed.cli"]
    port = 8000 + os.getpid() % 20_000
    address = f"tcp://127.0.0.1:{port}"
    quiet: Any = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    scheduler = [*tool[:2], "distributed.cli.dask_scheduler", "--host", "127.0.0.1"]
    started = [
        subprocess.Popen([*scheduler, "--port", str(port), "--no-dashboard"], **quiet),
        *(
            subprocess.Popen(
                [
                    *tool[:2],
                    "distributed.cli.dask_worker",
                    address,
                    "--nthreads",
                    "1",
                    "--no-dashboard",
                ],
                **quiet,
            )
            for _ in range(2)
        ),
    ]
    try:
        how = ["--backend", "reference", "--json"]
        main = subprocess.Popen(
            [*[sys.executable, "-m", "unfold", "compare", *words], *how, "--cluster", address],
            stdout=subprocess.PIPE,
            text=True,
        )
        while main.poll() is None and not list(Path("results").glob(f"*/{RESULT}")):
            time.sleep(0.05)
        started[1].send_signal(signal.SIGKILL)
        told, _ = main.communicate(timeout=300)
    finally:
        for process in started:
            process.kill()
            process.wait()
    document = json.loads(told)
    found = {m["name"]: m["values"] for m in document["measures"] if m["group"] == "training"}
    assert found == wanted
