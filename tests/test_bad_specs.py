"""Every mistake a spec can have is reported at its place, once, with what to do about it.

tests/bad_specs/NAME.yaml is a spec with one mistake, or a few independent ones; NAME.txt is exactly
what the user reads. After a message has been changed on purpose, and read:

    UNFOLD_PIN=1 python -m pytest -q tests/test_bad_specs.py     then   git diff tests/bad_specs
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import unfold
from unfold.errors import Diagnostic, SpecError

FOLDER = Path(__file__).parent / "bad_specs"
SPECS = sorted(path.stem for path in FOLDER.glob("*.yaml"))
PIN = bool(os.environ.get("UNFOLD_PIN"))
# A mistake that is obvious from the message alone needs no advice.
SELF_EVIDENT = re.compile(
    r"expected|never closed|missing (between|after)|must be|cannot be|is not a finite|division by"
    r"|needs a vector"
)


def diagnostics(name: str, monkeypatch: pytest.MonkeyPatch) -> tuple[Diagnostic, ...]:
    """Load a bad spec from its own folder, so that messages hold no path of this machine."""
    monkeypatch.chdir(FOLDER)
    with pytest.raises(SpecError) as caught:
        unfold.load(f"{name}.yaml")
    return caught.value.diagnostics


@pytest.mark.parametrize("name", SPECS)
def test_message(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    found = "\n\n".join(map(str, diagnostics(name, monkeypatch))) + "\n"
    pinned = FOLDER / f"{name}.txt"
    if PIN:
        pinned.write_text(found, encoding="utf-8")
    assert pinned.is_file(), f"no message is pinned for {name}; see the docstring of this file"
    assert found == pinned.read_text(encoding="utf-8")


@pytest.mark.parametrize("name", SPECS)
def test_form(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each mistake names a piece of a file, says how to mend it, and is reported once."""
    found = diagnostics(name, monkeypatch)
    places = [(d.location, d.message) for d in found]
    assert len(places) == len(set(places))
    single = not name.startswith("many-")
    assert len(found) == 1 or not single or name in SEVERAL, [d.message for d in found]
    for diagnostic in found:
        at = diagnostic.location
        assert at is not None, diagnostic
        assert "\n" not in diagnostic.message and len(diagnostic.message) < 160
        if Path(at.file).is_file():
            line = Path(at.file).read_text(encoding="utf-8").split("\n")[at.line - 1]
            assert line == at.source
            assert at.column + at.length - 1 <= len(line) + 1, diagnostic
        if not SELF_EVIDENT.search(diagnostic.message):
            assert diagnostic.help, diagnostic


SEVERAL = {  # bad specs with the same mistake in several places
    "cell-mistakes-inside",
    "cycle-two",
    "key-sections",
    "loss-without-axis-and-unknown",
}


def test_there_are_enough_and_none_is_left_over() -> None:
    pinned = sorted(path.stem for path in FOLDER.glob("*.txt"))
    assert pinned == SPECS
    assert len(SPECS) >= 70


WHOLE = """unfold: 1
name: whole
axes: {t: 5, s: 4}
sizes:
  n: 3
  m: 2
  c: 4
inputs:
  x[s]: [n]
  y[t]: {category: c}
parameters:
  W: [m, m]
  U: [m, n]
  V: [c, m]
nodes:
  z[s]: U @ x[s]
  centred[s]: z[s] - mean[batch,s](z[s])
  h[s]: tanh(W @ h[s-1] + centred[s])
  e[t,s]: d[t-1] @ h[s]
  a[t,s]: softmax[s](e[t,s])
  k[t]: sum[s](a[t,s] * h[s])
  l1[t]: lstm(k[t], hidden=m)
  d[t]: tanh(W @ l1[t] + l1.s[t-1])
  o[t]: V @ d[t]
  end[t]: argmax(o[t])
  word[s]: argmax(concat(z[s], 0))
initial:
  d: h[last]
  l1.s: 0.5
stop: {when: end[t] == 1, at_most: 9}
loss: mean[t](cross_entropy(o[t], y[t])) + ctc[t,s](log_softmax(o[t]), word[s], blank=last)
"""
WRONG = {
    "sizes": ["nosuch", "0"],
    "inputs": ["[nosuch]", "{categry: 3}"],
    "parameters": ["[nosuch]", "{shpe: 2}"],
    "nodes": ["zzz", "exp(", "tanh(zzz)", "concat(1 > 0, 2)", "{is: zzz, shape: [m]}"],
    "initial": ["zzz", "exp("],
}


def one_by_one() -> Iterator[tuple[str, str]]:
    """Yield specs in which one entry is mistaken, and the entry."""
    section, lines = "", WHOLE.split("\n")
    for i, line in enumerate(lines):
        if not line.startswith(" "):
            section = line.partition(":")[0]
            continue
        for wrong in WRONG[section]:
            entry = f"{line.partition(': ')[0]}: {wrong}"
            yield "\n".join([*lines[:i], entry, *lines[i + 1 :]]), entry


def test_one_mistake_is_one_message() -> None:
    """Whatever depends on a mistaken entry, through shapes, axes, sizes or cells, stays silent."""
    unfold.loads(WHOLE)
    for text, entry in one_by_one():
        with pytest.raises(SpecError) as caught:
            unfold.loads(text)
        assert len(caught.value.diagnostics) == 1, (entry, str(caught.value))


def test_several_mistakes_are_reported_together(monkeypatch: pytest.MonkeyPatch) -> None:
    """Mistakes of syntax, sizes, names, shapes and sections, in the order of the file."""
    found = diagnostics("many-independent", monkeypatch)
    lines = [d.location.line for d in found if d.location is not None]
    assert len(found) == 7 and lines == sorted(lines)
