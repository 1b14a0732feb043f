"""Five kills of a real run; `make kill` does fifty (see tests/kill)."""

from __future__ import annotations

from pathlib import Path

from tests.kill import Killer
from tests.runs import TINY, run, traces


def test_a_run_killed_five_times_ends_like_one_that_nobody_touched(tmp_path: Path) -> None:
    killed = list(Killer(tmp_path, seed=3).attempt(5))
    assert sum(k.resumable for k in killed) >= 3, killed


def test_the_comparison_can_fail(tmp_path: Path) -> None:
    (tmp_path / "tiny.yaml").write_text(TINY)
    for arguments in ((), ("--set", "train.seed=1")):
        assert run(tmp_path, "run", "tiny.yaml", *arguments).returncode == 0
    one, other = (traces(tmp_path / "runs" / f"tiny-{n}") for n in (1, 2))
    assert one.keys() == other.keys()
    assert {n for n in one if one[n] == other[n]} <= {"sample.txt"}
