"""The benchmarks: all peers compute the same, turns are fair, and what is printed has its form."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))  # the benchmarks are no part of the package

import unfold  # noqa: E402
from benchmarks.peers import compare, document, report, run, startup, team, worker  # noqa: E402
from benchmarks.peers.cases import CELLS, Case, Shape, read_shapes  # noqa: E402
from benchmarks.peers.packing import PACKING, pack, unpack  # noqa: E402
from benchmarks.peers.peer import PEERS, Numbers  # noqa: E402
from unfold.cli import invoke  # noqa: E402
from unfold.commands import bench as command  # noqa: E402
from unfold.speed import timing  # noqa: E402
from unfold.speed.machine import describe_machine  # noqa: E402

TINY = Shape("tiny", steps=5, batch=3, hidden=7)


def numbers(peer: str, case: Case) -> Numbers:
    """Return loss and gradients by a peer."""
    options = {"backend": "reference"} if peer == "unfold" else {}
    prepared = PEERS[peer].make(**options).prepare(case)
    return prepared.read(prepared.run())


@pytest.fixture(scope="module", params=CELLS)
def expected(request: pytest.FixtureRequest) -> tuple[Case, Numbers]:
    """Return a tiny case of a cell, and what the reference backend makes of it."""
    case = Case(CELLS[request.param], TINY)
    return case, numbers("unfold", case)


def check(peer: str, case: Case, right: Numbers) -> None:
    """Compare a peer with the reference; float32 against float64."""
    found = numbers(peer, case)
    assert set(found[1]) == set(right[1]) == set(case.cell.shapes(TINY.hidden))
    worst, name = compare.difference(found, right)
    assert worst < 1e-5, f"{peer} {case.name}: {name} differs by {worst:.1e}"


@pytest.mark.parametrize("peer", ["numpy", "jax"])
def test_peers_compute_what_unfold_computes(peer: str, expected: tuple[Case, Numbers]) -> None:
    check(peer, *expected)


@pytest.mark.bench
@pytest.mark.parametrize("peer", ["torch", "torch-loop"])
def test_pytorch_computes_what_unfold_computes(peer: str, expected: tuple[Case, Numbers]) -> None:
    case, right = expected
    assert PEERS["torch"].takes(case) == case.cell.library
    if PEERS[peer].takes(case):
        check(peer, case, right)


@pytest.mark.parametrize("cell", CELLS)
def test_weights_are_those_of_the_spec(cell: str) -> None:
    model = unfold.load(CELLS[cell].spec, sizes={"hidden": 7}, axes={"t": 5})
    wanted = {name: value.shape for name, value in model.init().items()}
    case = Case(CELLS[cell], TINY)
    drawn = case.parameters()
    assert {name: value.shape for name, value in drawn.items()} == wanted
    assert all(0 < np.abs(v).max() <= 7**-0.5 and v.dtype == np.float32 for v in drawn.values())
    assert CELLS[cell].shapes(7) == wanted
    packed = unpack(case, pack(case, drawn))
    assert set(packed) == set(wanted) == {p for parts in PACKING[cell].values() for p in parts}
    for name, value in drawn.items():
        assert np.array_equal(packed[name], value)


def test_work_is_counted_in_products() -> None:
    """The LSTM at S2: 4 recurrent matrices and the output layer, forward once, backward twice."""
    case = Case(CELLS["lstm"], read_shapes("S2")[0])
    assert case.flops == 6 * 100 * 32 * (4 * 128 * 128 + 65 * 128)
    for cell in CELLS.values():
        one = Case(cell, Shape("", 1, 1, 7)).flops
        assert Case(cell, replace(TINY, steps=4, batch=2)).flops == 8 * one


def test_shapes_are_read() -> None:
    assert [s.name for s in read_shapes("S5,batches")][:3] == ["S5", "B=1", "B=2"]
    assert read_shapes("25x1x100") == [Shape("25x1x100", 25, 1, 100)]
    for wrong in ("S9", "0x1x1", "3x4", ""):
        with pytest.raises(ValueError, match="expected STEPSxBATCHxHIDDEN"):
            read_shapes(wrong)


def test_a_difference_is_found() -> None:
    right = {"W": np.array([[100.0, 1.0]]), "b": np.zeros(2)}
    assert compare.difference((2.0, right), (2.0, right)) == (0.0, "loss")
    worst, name = compare.difference((2.0, {**right, "W": right["W"] + 0.1}), (2.0, right))
    assert (worst, name) == (pytest.approx(1e-3), "W")
    assert compare.difference((2.2, right), (2.0, right)) == (pytest.approx(0.1), "loss")
    for wrong in (
        {"W": right["W"]},
        {**right, "b": np.full(2, np.nan)},
        {**right, "b": np.ones(3)},
    ):
        assert compare.difference((2.0, wrong), (2.0, right)) == (float("inf"), "b")
    assert compare.difference((float("nan"), right), (2.0, right))[0] == float("inf")


def test_turns_are_taken() -> None:
    order: list[str] = []

    def take(name: str, seconds: float) -> Any:
        return lambda: order.append(name) or [seconds]

    found = timing.interleave({"slow": take("slow", 3.0), "quick": take("quick", 0.3)}, 1.0)
    assert order[:6] == ["slow", "quick"] * 3
    assert len(found["slow"]) == timing.LEAST_ROUNDS and len(found["quick"]) == 4
    runs = 0

    def run() -> None:
        nonlocal runs
        runs += 1

    assert len(timing.turn(run, seconds=1e-9)) == 1 and runs == 2
    assert len(timing.turn(run, seconds=1e-9, expected=1.0)) == 1 and runs == 3
    times = timing.Times.of([3.0, 1.0, 2.0])
    assert (times.minimum, times.median, times.runs) == (1.0, 2.0, 3)


def test_the_product_of_matrices_is_measured() -> None:
    assert 1e6 < timing.gemm_peak(1, size=64, runs=2) < 1e14


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], str]:
    """Return the document of a small run in real processes, and what it said meanwhile."""
    file = tmp_path_factory.mktemp("bench") / "found.json"
    words = [
        "--cells",
        "rnn,mut1",
        "--shapes",
        "4x2x6",
        "--peers",
        "unfold,numpy",
        "--seconds",
        "0",
    ]
    words += ["--backend", "reference", "--startup", "4x2x6", "--threads", "1", "--gemm", "64"]
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.peers", *words, "--json", "--save", str(file)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found == json.loads(file.read_text())
    return found, done.stderr


def test_a_document_says_what_was_found(played: tuple[dict[str, Any], str]) -> None:
    found, told = played
    assert found["ok"] and set(found["peak"]) == {"1"}
    assert set(found["versions"]) == {"unfold", "numpy"}
    assert {"processor", "processors", "system", "python", "load"} == set(found["machine"])
    rows = found["results"]
    assert [(r["cell"], r["peer"]) for r in rows] == [
        (c, p) for c in ("rnn", "mut1") for p in ("unfold", "numpy")
    ]
    for row in rows:
        assert 0 < row["minimum"] <= row["median"] and row["runs"] >= 3
        assert row["difference"] < 1e-5 and not row["note"]
        assert row["rate"] == pytest.approx(row["flops"] / row["minimum"])
        assert row["share"] == pytest.approx(row["rate"] / found["peak"]["1"])
    assert rows[0]["slower"] == rows[0]["slower_median"] == 1
    assert rows[1]["slower"] == pytest.approx(rows[1]["minimum"] / rows[0]["minimum"])
    assert [(s["peer"], s["note"]) for s in found["starts"]] == [("unfold", ""), ("numpy", "")]
    for row in found["starts"]:
        assert min(row[k] for k in ("imports", "cold", "warm")) > 0
        assert 5 < row["idle_memory"] <= row["peak_memory"]
    assert "mut1 4x2x6 (2 of 2)" in told


def test_tables_show_a_document(played: tuple[dict[str, Any], str]) -> None:
    text = "\n".join(report.in_markdown(report.tables(played[0]), []))
    assert "| cell | shape | unfold | % of peak | numpy | best peer / unfold (goal) |" in text
    assert "| rnn | 4x2x6 | " in text and "| numpy 0." in text
    assert "| cell | shape | peer | import, s | first gradients, cold, s | warm, s |" in text


def test_goals_stand_beside_ratios() -> None:
    case = Case(CELLS["lstm"], read_shapes("S2")[0])
    peers = {"unfold": 0.01, "torch": 0.021, "jax": 0.03}
    results = [
        compare.Result(case, peer, 1 if peer == "jax" else 2, timing.Times(least, least, 5), 1e-7)
        for peer, least in peers.items()
    ]
    results.append(compare.Result(case, "numpy", 1, note="no answer in 600 s"))
    found = {
        "results": document.result_rows(results, peak=2.5e11),
        "starts": [],
        "settings": {"gemm": 2048, "threads": 2},
        "peak": {"1": 1.25e11, "2": 2.5e11},
        "versions": {},
        "date": "today",
        "machine": {**describe_machine(), "load": 3.0},
    }
    table = report.tables(found)[0]
    assert table.rows == [
        ["lstm", "S2", "10.0", "57 (60)", "21.0", "30.0¹", "–", "torch 2.10 (1.8)"]
    ]
    assert any("Other programs were running" in line for line in report.facts(found))
    found["machine"]["load"] = 0.1
    assert not any("Other programs" in line for line in report.facts(found))
    assert report.facts(found)[-1] == "lstm S2: numpy was not timed: no answer in 600 s."


def test_the_time_of_a_step_is_shown_where_steps_vary() -> None:
    cases = [Case(CELLS["rnn"], shape) for shape in read_shapes("S1,T=1000,T=10000")]
    times = {"S1": 1.0, "T=1000": 0.5, "T=10000": 6.0}
    results = [
        compare.Result(case, "jax", 1, timing.Times(least, least, 5), 0.0)
        for case, least in zip(cases, times.values(), strict=True)
    ]
    found = {"results": document.result_rows(results, peak=1e11), "starts": []}
    growth = report.tables(found)[-1]
    assert growth.title == "Microseconds of a step, minimum"
    assert growth.rows == [
        ["rnn", "T=1000, B=1, H=64", "500"],
        ["rnn", "T=10000, B=1, H=64", "600"],
    ]


def test_peers_are_tried_with_several_numbers_of_threads() -> None:
    assert list(map(str, team.seats(["unfold", "jax"], 1))) == ["unfold", "jax@1"]
    assert list(map(str, team.seats(["jax"], 2))) == ["jax@1", "jax@2"]
    assert [s.threads for s in team.seats(["numpy"], 16)] == [1, 2, 16]
    assert team.thread_settings(None) == {}
    assert team.thread_settings(2)["OMP_NUM_THREADS"] == team.thread_settings(2)["NPROC"] == "2"


class FakePlayer:
    """Stands for a process: answers with given numbers and times."""

    def __init__(self, loss: float, seconds: float, fails: str = "") -> None:
        self.loss, self.seconds, self.fails = loss, seconds, fails

    def ask(self, request: str, *arguments: Any) -> Any:
        """Answer, or fail."""
        if request == self.fails:
            raise team.Failed("out of order")
        answers = {"prepare": (1.0, self.seconds), "numbers": (self.loss, {})}
        answers |= {"forget_peak": True, "memory": 10 * self.seconds}
        return answers.get(request, [self.seconds])


def test_the_better_number_of_threads_counts_and_the_wrong_are_left_out() -> None:
    case = Case(CELLS["lstm"], TINY)
    players = {
        team.Seat("unfold", None): FakePlayer(2.0, 1.0),
        team.Seat("torch", 1): FakePlayer(2.0, 4.0),
        team.Seat("torch", 2): FakePlayer(2.0, 3.0),
        team.Seat("torch-loop", 1): FakePlayer(2.0, 3.0, fails="prepare"),
        team.Seat("jax", 1): FakePlayer(2.0, 1.0),
        team.Seat("jax", 2): FakePlayer(2.0, 9.0),
        team.Seat("numpy", 1): FakePlayer(2.1, 1.0),
    }
    told: list[str] = []
    results = compare.compare(case, players, seconds=0.0, tell=told.append)  # type: ignore[arg-type]
    found = {r.peer: (r.threads, r.times and r.times.minimum, r.note) for r in results}
    assert found == {
        "unfold": (None, 1.0, ""),
        "torch": (2, 3.0, ""),
        "torch-loop": (1, None, "out of order"),
        "jax": (1, 1.0, ""),
        "numpy": (1, None, "loss differs by 5.0e-02"),
    }
    memory = {r.peer: r.memory for r in results if r.memory is not None}
    assert memory == {"unfold": 10.0, "torch": 30.0, "jax": 10.0}, "of those that were timed"
    assert "lstm tiny: numpy@1 disagrees: loss differs by 5.0e-02" in told
    players[team.Seat("jax", 1)].fails = "turn"
    results = compare.compare(case, players, seconds=0.0, tell=told.append)  # type: ignore[arg-type]
    assert [r.times for r in results] == [None] * 5
    assert [r.memory for r in results] == [None] * 5
    assert results[0].note == "a peer failed: out of order"


@pytest.mark.skipif(not worker.PEAK.exists(), reason="only Linux forgets a peak")
def test_the_peak_of_memory_is_that_of_the_timed_runs() -> None:
    own = worker.Worker(PEERS["numpy"].make())
    np.ones(2**23)  # 64 MB, freed
    before = own.memory()
    assert own.forget_peak()
    assert own.memory() < before - 32


def test_memory_has_a_table_where_it_is_known() -> None:
    case = Case(CELLS["rnn"], read_shapes("S1")[0])
    times = timing.Times(1.0, 1.0, 3)
    known = compare.Result(case, "unfold", None, times, 0.0, memory=101.4)
    other = compare.Result(case, "jax", 1, times, 0.0)
    for results, rows in (([known, other], [["rnn", "S1", "101", "–"]]), ([other], None)):
        found = report.tables({"results": document.result_rows(results, 1e11), "starts": []})
        shown = [t.rows for t in found if t.title.startswith("Memory of the process")]
        assert shown == ([rows] if rows else [])


def test_a_worker_survives_a_failed_request(capfd: pytest.CaptureFixture[str]) -> None:
    case = Case(CELLS["rnn"], TINY)
    player = team.Player(team.Seat("numpy", 1))
    try:
        with pytest.raises(team.Failed, match="AssertionError"):
            player.ask("numbers")
        first, second = player.ask("prepare", case)
        assert first > 0 and second > 0
        assert player.ask("numbers")[0] == pytest.approx(numbers("numpy", case)[0])
    finally:
        player.close()
    with pytest.raises(team.Failed, match="its process has ended"):
        player.ask("turn", 0.1)
    assert "Traceback" in capfd.readouterr().err
    with pytest.raises(team.Failed, match="TypeError"):
        team.Player(team.Seat("numpy", 1), options={"unknown": "1"})
    start = startup.start(case, team.Seat("numpy", 1), options={"unknown": "1"})
    assert "TypeError" in start.note and start.cold is None


def test_mistakes_on_the_command_line(capsys: pytest.CaptureFixture[str]) -> None:
    for words in (["--cells", "elman"], ["--shapes", "S0"], ["--peers", "theano"]):
        with pytest.raises(SystemExit):
            run.read_arguments(words)
        assert "expected" in capsys.readouterr().err
    assert run.read_arguments(["--startup", "none"]).startup == []


# --- unfold bench ---------------------------------------------------------------------------------


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Replace the slow measurement of the machine's limit."""
    monkeypatch.setattr(command, "gemm_peak", lambda threads: 1e11 * threads)


@pytest.mark.usefixtures("quick")
def test_bench_times_a_spec(capsys: pytest.CaptureFixture[str]) -> None:
    spec = "gru"
    words = ["bench", spec, "--backend", "reference", "--batch", "2", "--seconds", "0"]
    assert invoke([*words, "--set", "axis.t=3"]) == 0
    told = capsys.readouterr().out
    assert "gru  t=3 · batch 2 · float32" in told
    assert "forward + backward" in told and "% of GEMM" in told
    assert invoke([*words, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["ok"] and found["failed"] == {} and found["axes"] == {"t": 24}
    model = unfold.load(spec)
    cost = model.cost(batch=2)
    assert cost.backward_flops is not None
    flops = {"forward": cost.flops, "forward + backward": cost.flops + cost.backward_flops}
    assert {r["what"]: round(r["rate"] * r["minimum"]) for r in found["rows"]} == flops
    assert all(r["first"] > 0 and r["runs"] >= 3 for r in found["rows"])


@pytest.mark.usefixtures("quick")
def test_bench_without_a_loss_times_forward(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    spec = tmp_path / "plain.yaml"
    spec.write_text(
        "unfold: 1\nname: plain\naxes: {t: 3}\ninputs:\n  x[t]: [2]\nnodes:\n"
        "  h[t]: tanh(x[t] + h[t-1])\n"
    )
    words = ["bench", str(spec), "--backend", "reference", "--seconds", "0", "--json"]
    assert invoke(words) == 0
    assert [r["what"] for r in json.loads(capsys.readouterr().out)["rows"]] == ["forward"]


def test_bench_refuses_what_it_does_not_know(capsys: pytest.CaptureFixture[str]) -> None:
    spec = "gru"
    assert invoke(["bench", spec, "--backend", "abacus"]) == 1
    assert "--backend abacus: this version has" in capsys.readouterr().err
    assert invoke(["bench", spec, "--dtype", "int8"]) == 1
    assert "--dtype int8: expected one of float32, float64" in capsys.readouterr().err


def test_bench_compares_in_a_checkout_only(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert invoke(["bench", "--shapes", "S0", "--json"]) == 1
    shown = capfd.readouterr()
    assert json.loads(shown.out)["ok"] is False
    assert "shape S0: expected STEPSxBATCHxHIDDEN" in shown.err
    monkeypatch.setattr(command, "REPOSITORY", tmp_path)
    assert invoke(["bench"]) == 1
    assert "is in the repository, not in the package" in capfd.readouterr().err
