"""What commands print: names out of data files give no orders to a terminal."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from unfold.cli import invoke
from unfold.errors import printable
from unfold.terminal.screen import echo, paint

SPEC = """\
unfold: 1
name: d
axes: {t: 4}
sizes: {n: 2}
inputs: {x[t]: [n]}
parameters: {b: []}
nodes: {h[t]: b * sum(x[t])}
loss: mean[t](h[t])
data: {arrays: {file: s.npz}, inputs: {x: zz}, batch: 2}
"""
CLEAR, TITLE, EIGHT_BITS, BACKWARDS = "\x1b[2J\x1b[31mRED", "\x1b]0;title\x07", "\x9b2J", "\u202e"


@pytest.mark.parametrize("command", ["check", "run"])
def test_escape_sequences_from_data_in_messages(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    command: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    names = [f"a{CLEAR}", TITLE, EIGHT_BITS, BACKWARDS]
    np.savez("s.npz", **{n: np.ones((4, 4, 2)) for n in names})  # type: ignore[arg-type]
    Path("n.yaml").write_text(SPEC)
    assert invoke([command, "n.yaml"]) == 1
    printed = capsys.readouterr()
    text = printed.out + printed.err
    assert "they have: a\ufffd[2J\ufffd[31mRED, \ufffd]0;title\ufffd, \ufffd2J, \ufffd" in text
    assert printable(text) == text
    assert invoke([command, "n.yaml", "--json"]) == 1
    text = capsys.readouterr().out
    assert printable(text) == text
    errors = json.loads(text).get("errors") or json.loads(text)["specs"][0]["errors"]
    assert all(name in errors[0]["help"] for name in names)


def test_only_our_colours_reach_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    printed: list[str] = []
    monkeypatch.setattr("unfold.terminal.screen.typer.echo", lambda text, **_: printed.append(text))
    echo(f"\x1b[5m{paint(f'a{CLEAR}', fg='red', bold=True)} \ud800 b\tc\n{paint('', fg='red')}d")
    assert printed == ["\ufffd[5m\x1b[31;1ma\ufffd[2J\ufffd[31mRED\x1b[0m \ufffd b\tc\nd"]


def test_colours_are_dropped_elsewhere(capsys: pytest.CaptureFixture[str]) -> None:
    echo(paint("a", fg="red") + "b")
    assert capsys.readouterr().out == "ab\n"
