"""A command is one file of `unfold/commands/`, found by listing the folder, and imported late."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from unfold import commands
from unfold.cli import first_line, invoke
from unfold.errors import MISTAKE, USAGE

FILES = sorted(Path(commands.__file__).parent.glob("[!_]*.py"))
NAMES = [file.stem for file in FILES]

# The recipe of CONTRIBUTING: this is all that a new command needs.
WORDS = '''\
"""Count the words of a spec's description.

    unfold words gru
    unfold words hello

Words stand between blanks.
"""

from __future__ import annotations

from typing import Annotated

import typer

from unfold.errors import UnfoldError
from unfold.terminal.loading import load, read_changes
from unfold.terminal.options import JsonOption, SetOption, SpecArgument
from unfold.terminal.report import print_json
from unfold.terminal.screen import echo


def words(
    spec: SpecArgument,
    least: Annotated[int, typer.Option("--least", min=1, metavar="N", help="Count to N.")] = 1,
    changes: SetOption = None,
    json: JsonOption = False,
) -> int:
    """Count words and return the exit code."""
    count = len(load(spec, read_changes(changes)).about.split())
    if count < least:
        raise UnfoldError(f"--least {least}: {spec} has {count}")
    print_json({"ok": True, "words": count}) if json else echo(f"{count} words")
    return 0
'''


@pytest.fixture
def words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Add a command while the tests run: a file in a folder of the package."""
    (tmp_path / "words.py").write_text(WORDS)
    monkeypatch.setattr(commands, "__path__", [*commands.__path__, str(tmp_path)])
    yield
    sys.modules.pop("unfold.commands.words", None)


@pytest.mark.usefixtures("words")
def test_a_new_command_is_one_file(capsys: pytest.CaptureFixture[str]) -> None:
    def said(*arguments: str, code: int = 0) -> str:
        assert invoke([*arguments]) == code
        printed = capsys.readouterr()
        return printed.out + printed.err

    listed = [" ".join(line.split()) for line in said("--help").split("\n")]
    assert "words Count the words of a spec's description." in listed
    help = said("words", "-h")
    assert "\n\n      unfold words gru\n      unfold words hello\n\n  Words stand" in help
    assert "--least N" in help and "--set KEY=VALUE" in help
    assert said("words", "gru").endswith(" words\n")
    assert '"ok": true' in said("words", "gru", "--json")
    assert "gru has" in said("words", "gru", "--least", "100000", code=MISTAKE)
    assert "--least" in said("words", "gru", "--least", "0", code=USAGE)
    assert "Did you mean 'words'" in said("word", "gru", code=USAGE)


@pytest.mark.parametrize("width", [60, 100])
@pytest.mark.parametrize("file", FILES, ids=lambda f: f.stem)
def test_help_begins_with_the_line_of_the_list_and_fits(
    file: Path, width: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    line = first_line(file)
    assert line[0].isupper() and line.endswith(".")
    for arguments in (["--help"], [file.stem, "--help"]):
        assert invoke(arguments) == 0
        shown = capsys.readouterr().out.splitlines()
        assert line in " ".join(" ".join(shown).split())
        assert max(map(len, shown)) <= width
    examples = re.findall(r"^    (unfold .*)$", file.read_text(), re.M)
    assert [s[6:] for s in shown if s.startswith("      unfold ")] == examples


PLAIN = "unfold: 1\nname: plain\naxes: {t: 3}\ninputs: {x[t]: [2]}\nnodes: {h[t]: x[t]}\n"
SLOW = ("networkx", "matplotlib", "rich", "numba", "pygraphviz")
ALSO_SLOW = ("numpy", "yaml", *SLOW)
LOADED = """\
import sys
from unfold.cli import invoke
for arguments in {lines!r}:
    invoke(arguments)
print([m for m in sys.modules if m in {slow!r} or m.startswith("unfold.commands.")])
"""


@pytest.mark.parametrize(
    ("lines", "slow", "used"),
    [
        ([["--help"]], ("pydantic", *ALSO_SLOW), []),
        ([["--version"], ["chek"]], ALSO_SLOW, []),
        ([["check", "plain.yaml"]], SLOW, ["check"]),
        ([[name, "--help"] for name in NAMES], ALSO_SLOW, NAMES),
    ],
    ids=["--help", "no command", "check", "help of all"],
)
def test_modules_are_loaded_late(
    tmp_path: Path, lines: list[list[str]], slow: tuple[str, ...], used: list[str]
) -> None:
    """Neither slow ones, nor commands but those that are used."""
    (tmp_path / "plain.yaml").write_text(PLAIN)
    done = subprocess.run(
        [sys.executable, "-c", LOADED.format(lines=lines, slow=slow)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.splitlines()[-1] == str([f"unfold.commands.{name}" for name in used])
