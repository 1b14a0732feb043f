"""The quick benchmark: what it reads of a machine, what it measures, and what it says.

No test depends on the speed of the machine: where times matter, they are given.
"""

from __future__ import annotations

import ctypes
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import unfold
from unfold.backends.hardware import Hardware
from unfold.backends.numba import gemm, sweep, target
from unfold.backends.numba.compiler import STORE
from unfold.cli import invoke
from unfold.commands import bench as command
from unfold.speed import limits, machine, quick, timing
from unfold.speed.limits import Limits
from unfold.speed.machine import Blas, Cache, Others
from unfold.speed.quick import Case, Found
from unfold.speed.timing import Times
from unfold.speed.verdict import verdict
from unfold.speed.workload import MAIN, Shape
from unfold.terminal import quick_text

THREE = (Cache(1, 32 * 2**10), Cache(2, 512 * 2**10), Cache(3, 32 * 2**20, users=2))


def hardware(**changes: Any) -> Hardware:
    """Return a processor whose code reads nothing."""
    found = Hardware("AVX2", "znver3", 32, 16, True, ((4, 24), (6, 16)), 256, lambda size: len)
    return replace(found, **changes)


def found(**changes: Any) -> Found:
    """Return the findings on a machine without faults: two threads, 100 and 200 Gflop/s."""
    known = Limits(hardware(), THREE, 2, gemm={1: 1e11, 2: 2e11})
    for reading in known.reads:
        reading.rates = dict.fromkeys(reading.sizes, 1e11)
    about = {"processor": "AMD EPYC", "processors": 2, "system": "Linux x86_64", "load": 0.0}
    cases = [
        Case("lstm", MAIN["S2"], 4 * 128**2, Times(0.01, 0.011, 9)),
        Case("lstm", MAIN["S5"], 4 * 64**2, Times(0.0025, 0.003, 9)),
    ]
    made = Found(about, 2, None, Blas("OpenBLAS", "0.3.31", "Zen", 2), known, cases, seconds=30.0)
    return replace(made, **changes)


# --- the machine ----------------------------------------------------------------------------------


def test_memory_is_read_as_often_as_asked() -> None:
    """Each lane holds the sum of its column, as often as the memory is read."""
    lanes = target.vector_bytes() // 4
    memory = np.zeros((2 * sweep.SUMS + 1) * lanes + 16, np.float32)
    start = -memory.ctypes.data % 64 // 4
    rows = memory[start : start + 2 * sweep.SUMS * lanes].reshape(-1, lanes)
    rows[...] = np.arange(rows.size).reshape(rows.shape)
    result = memory[start + rows.size : start + rows.size + lanes]
    function = ctypes.CFUNCTYPE(None, *[ctypes.c_int64] * 4)(STORE.load(sweep.TEXT).address)
    function(rows.ctypes.data, 2, 3, result.ctypes.data)
    assert np.array_equal(result, 3 * rows.sum(0))


def test_a_reader_says_how_much_it_has_read() -> None:
    each = sweep.SUMS * target.vector_bytes()
    assert sweep.reader(5 * each + 7)(3) == 15 * each
    assert sweep.reader(1)(2) == 2 * each


@pytest.mark.parametrize(
    ("triple", "width", "fused", "name"),
    [
        ("x86_64-unknown-linux-gnu", 64, True, "AVX-512"),
        ("x86_64-unknown-linux-gnu", 32, True, "AVX2"),
        ("x86_64-pc-windows-msvc", 32, False, "AVX"),
        ("x86_64-apple-darwin", 16, False, "SSE"),
        ("arm64-apple-darwin23", 16, True, "NEON"),
        ("powerpc64le-unknown-linux-gnu", 16, True, "128 bits"),
    ],
)
def test_instruction_sets_have_their_usual_names(
    triple: str, width: int, fused: bool, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(target, "identity", lambda: (triple, "", ""))
    monkeypatch.setattr(target, "vector_bytes", lambda: width)
    monkeypatch.setattr(target, "is_fused", lambda: fused)
    assert target.instruction_set() == name


def test_the_description_is_that_of_the_products() -> None:
    seen = unfold.load("hello").backend("numba").hardware()
    assert seen is not None and seen.depth == gemm.KC
    lanes = seen.vector_bytes // 4
    for rows, columns in seen.tiles:
        assert columns % lanes == 0
        assert (rows + 1) * columns // lanes < seen.vector_registers, "sums and a row of B"
    assert unfold.load("hello").backend("reference").hardware() is None


def test_caches_are_those_that_the_system_tells_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machine, "CACHES", tmp_path)
    monkeypatch.setattr(machine.platform, "system", lambda: "Linux")
    assert machine.caches() == list(machine.USUAL), "nothing is known"
    entries = {"Data": "1 48K 0,4", "Instruction": "1 32K 0,4", "Unified": "3 24M 0-7"}
    for number, (kind, rest) in enumerate(entries.items()):
        folder = tmp_path / f"index{number}"
        folder.mkdir()
        names = ("type", "level", "size", "shared_cpu_list")
        for name, text in zip(names, (kind, *rest.split()), strict=True):
            (folder / name).write_text(f"{text}\n")
    assert machine.caches() == [
        Cache(1, 48 * 2**10, users=2),
        machine.USUAL[1],
        Cache(3, 24 * 2**20, users=8),
    ]


def test_the_time_that_a_container_may_take(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machine, "QUOTA", tmp_path / "cpu.max")
    assert machine.quota() is None
    for text, expected in (("max 100000\n", None), ("150000 100000\n", 1.5)):
        (tmp_path / "cpu.max").write_text(text)
        assert machine.quota() == expected


def test_the_blas_is_described() -> None:
    seen = machine.blas()
    assert seen.name and seen.version
    if seen.architecture is not None:  # an OpenBLAS answers both questions
        assert seen.threads is not None and seen.threads >= 1


def test_others_are_what_is_not_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([(0.0, 100.0, 7.0), (10.0, 119.0, 10.0), (20.0, 120.0, 30.0)])
    monkeypatch.setattr(Others, "_now", staticmethod(lambda: next(clock)))
    others = Others()
    assert others.used() == pytest.approx(1.6)
    assert others.used() == 0, "clocks of processors are coarse"


# --- limits ---------------------------------------------------------------------------------------


def test_each_level_is_read_in_arrays_that_only_it_holds() -> None:
    kib, mib = 2**10, 2**20
    sizes = [r.sizes for r in Limits(hardware(), THREE, 2).reads]
    assert sizes[:3] == [
        {1: 8 * kib, 2: 8 * kib},
        {1: 128 * kib, 2: 128 * kib},
        {1: 8 * mib, 2: 4 * mib},
    ]
    assert sizes[3][1] == 2 * sizes[3][2]
    shared = Limits(hardware(), (*THREE[:2], Cache(3, 8 * mib, users=8)), 8).reads
    assert shared[2].sizes == {1: 2 * mib}, "of 8 threads, each would fit into the second level"
    assert Limits(None, THREE, 2).reads == []


def test_the_best_measurement_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    peaks = iter([5.0, 9.0, 6.0, 8.0])
    monkeypatch.setattr(limits, "gemm_peak", lambda threads, runs: next(peaks))
    monkeypatch.setattr(limits, "REPEATS", 1)
    made: list[int] = []

    def reader(size: int) -> Any:
        made.append(size)
        return lambda turns: turns * size

    seen = Limits(hardware(reader=reader), (Cache(1, 2**12),), 2)
    rates = iter([3.0, 4.0, 1.0, 2.0, 2.0, 6.0, 7.0, 1.0])
    monkeypatch.setattr(limits, "_rate", lambda *_: next(rates))
    seen.measure()
    seen.measure()
    assert seen.gemm == {1: 6.0, 2: 9.0}
    assert [r.rates for r in seen.reads] == [{1: 3.0, 2: 6.0}, {1: 7.0, 2: 2.0}]
    assert seen.rate(1) == 3.0 and seen.rate(2) is None
    assert made[:3] == [2**10] * 3, "one thread, then two"


# --- what is said ---------------------------------------------------------------------------------


def test_nothing_is_said_of_a_machine_without_faults() -> None:
    assert verdict(found()) == []


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"others": 0.9}, "Other programs used 0.9 of 2 processors"),
        ({"present": 8}, "Only 2 of 8 processors may be used"),
        ({"quota": 1.5}, "The container may use the time of 1.5 processors, but 2 threads"),
    ],
)
def test_what_keeps_processors_away_is_said(changes: dict[str, Any], said: str) -> None:
    (sentence,) = verdict(found(**changes))
    assert sentence.startswith(said)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"gemm": {1: 1e11, 2: 1.3e11}}, "Products on 2 threads are 1.3 times as fast as on one"),
        ({"gemm": {1: 2e11, 2: 4e11}}, "lstm at S2: less than 50 % of the product of matrices"),
        ({"gemm": {1: 5e10, 2: 1e11}}, "The products of lstm at S2 are faster than those of"),
        ({"hardware": None}, "This backend generates no code"),
        (
            {"hardware": hardware(vector_bytes=16, processor="x86-64")},
            "Vectors have only 16 bytes (x86-64)",
        ),
    ],
)
def test_what_is_wrong_with_limits_is_said(changes: dict[str, Any], said: str) -> None:
    (sentence,) = verdict(found(limits=replace(found().limits, **changes)))
    assert sentence.startswith(said)


def test_figures_of_a_busy_machine_are_not_explained_otherwise() -> None:
    slow = replace(found().limits, gemm={1: 1e11, 2: 1.1e11})
    assert len(verdict(found(limits=slow, others=1.0))) == 1


def test_a_step_reads_its_matrices_twice() -> None:
    case = found().cases[1]
    assert case.read_rate == pytest.approx(2 * 1000 * 4 * 64 * 64 * 4 / 0.0025)
    assert found().cache_share(case) == pytest.approx(case.read_rate / 1e11)
    assert found().cache_share(found().cases[0]) is None, "several sequences"
    small = replace(case, weights=64 * 64)
    assert found().cache_share(small) is None, "its matrix lies in the first level"


def test_the_text_fits_a_narrow_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(quick_text, "terminal_width", lambda: 60)
    times = {"unfold": 0.01, "torch": 0.02, "jax": None}
    peers = [
        {"cell": "lstm", "shape": "S2", "peer": p, "minimum": m, "slower": m and m / 0.01}
        for p, m in times.items()
    ]
    quick_text.show(found(left_out=["rnn"], others=0.7), peers)
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 60
    text = " ".join(" ".join(lines).split())
    for said in (
        "AVX2, compiled for znver3: vectors of 32 bytes, 16 registers, multiplication and",
        "tiles of 4 × 24 or 6 × 16 (rows × columns), 256 terms at a time",
        "OpenBLAS 0.3.31, code for Zen, 2 threads",
        "product, 2048 × 2048, Gflop/s 100 200",
        "second-level cache, 128 KiB, GB/s 100 100",
        "lstm S2 10.0 142 71 –",
        "lstm S5 2.50 49.3 25 52",
        "lstm S2 10.0 20.0 (2.00) –",
        "There was no time left for rnn.",
    ):
        assert said in text, said


# --- the command ----------------------------------------------------------------------------------


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the benchmark small, on the reference, in a package without peers."""
    monkeypatch.setenv("UNFOLD_BACKEND", "reference")
    monkeypatch.setattr(limits, "gemm_peak", lambda threads, runs: 1e11 * threads)
    monkeypatch.setattr(quick, "SECONDS", 0.0)
    monkeypatch.setattr(quick, "QUICK", (Shape("S0", 2, 3, 5),))
    monkeypatch.setattr(command, "REPOSITORY", Path("nowhere"))
    monkeypatch.setattr(timing, "TURN", 0.0)


@pytest.mark.usefixtures("small")
def test_the_command_measures_every_cell(capsys: pytest.CaptureFixture[str]) -> None:
    assert invoke(["bench", "--quick", "--json"]) == 0
    shown = capsys.readouterr()
    document = json.loads(shown.out)
    rows = document["cases"]
    assert [r["cell"] for r in rows] == list(quick.CELLS) and document["left_out"] == []
    matrices = {"lstm": 4, "gru": 3, "lstm_peephole": 4, "rnn": 1}
    for row in rows:
        flops = 6 * 2 * 3 * (matrices[row["cell"]] * 25 + 65 * 5)
        assert row["rate"] * row["minimum"] == pytest.approx(flops)
        assert (row["steps"], row["batch"], row["hidden"]) == (2, 3, 5)
    assert document["hardware"] is None and document["peers"] == []
    assert any("generates no code" in sentence for sentence in document["verdict"])
    assert "lstm_peephole ..." in shown.err


@pytest.mark.usefixtures("small")
def test_the_minute_is_kept(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(quick, "MINUTE", 0.0)
    assert invoke(["bench", "--quick"]) == 0
    assert f"There was no time left for {', '.join(quick.CELLS)}." in capsys.readouterr().out


def test_it_takes_no_spec(capsys: pytest.CaptureFixture[str]) -> None:
    assert invoke(["bench", "gru", "--quick"]) == 1
    assert "time it with  unfold bench gru" in capsys.readouterr().err
