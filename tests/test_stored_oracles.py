"""Kept values of oracles are what the oracles compute."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import sample as samples
import stored
from cases import CASES
from sample import Sample, sample
from test_library import small


def forget(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let oracles run as if nothing were kept."""
    monkeypatch.setattr(stored, "entries", lambda module: {})


@pytest.mark.parametrize("name", ["shared", "pattern-last", "dynamical-system"])
def test_oracles_compute_what_is_kept(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = small(name, seed=0)
    assert is_kept(drawn, "teacher", monkeypatch), "keep them:  make oracles"
    kept = samples.expect(drawn)
    forget(monkeypatch)
    computed = samples.expect(drawn)
    assert kept.loss == pytest.approx(computed.loss, abs=1e-12)
    assert set(kept.grads) == set(computed.grads)
    for array, value in computed.grads.items():
        np.testing.assert_allclose(kept.grads[array], value, rtol=0, atol=1e-12)
    for mine, theirs in zip(kept.nodes, computed.nodes, strict=True):
        assert set(mine) == set(theirs)
        for node, value in theirs.items():
            np.testing.assert_allclose(mine[node], value, rtol=0, atol=1e-12)


def is_kept(drawn: Sample, mode: str, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Say whether a sample's values are found without an oracle that runs."""

    def refuse(*_: object) -> None:
        raise LookupError

    with monkeypatch.context() as patched:
        patched.setattr(samples, "_compute", refuse)
        patched.setattr(samples, "_compute_together", refuse)
        try:
            samples.expect(drawn, mode)
        except LookupError:
            return False
    return True


def test_another_sample_is_not_found(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not is_kept(sample(CASES["shared"], steps=5, seed=99), "teacher", monkeypatch)


def test_an_edited_oracle_has_other_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    oracle = CASES["digits-rows-lstm"].oracle
    before = stored.fingerprint(stored.identity(oracle))
    sources = stored.sources
    monkeypatch.setattr(stored, "sources", lambda m: (*sources(m), b"# edited"))
    assert stored.fingerprint(stored.identity(oracle)) != before
    monkeypatch.undo()
    assert stored.identity(oracle) != stored.identity(CASES["digits-rows-gru"].oracle)


def test_recorded_values_are_collected(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recorded, kept = tmp_path / "recorded", tmp_path / "kept"
    recorded.mkdir()
    monkeypatch.setattr(stored, "FOLDER", kept)
    stored.record(recorded, "gated", "abc", {"loss": np.array(1.5), "grad W": np.eye(2)})
    assert stored.collect(recorded) == 1
    entry = stored.entries.__wrapped__("gated")["abc"]
    assert entry["loss"].shape == ()
    assert entry["loss"] == 1.5
    np.testing.assert_array_equal(entry["grad W"], np.eye(2))
