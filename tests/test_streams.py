"""Standard streams that fail: full disks, readers that leave, narrow encodings, closed streams."""

from __future__ import annotations

import errno
import io
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.runs import PATIENCE, TINY, begin, command, wait_for_steps
from unfold.cli import main
from unfold.errors import MISTAKE, OK
from unfold.terminal.progress import stop_on_signals

# What an outlet is put on: `after` writes succeed, then `error` comes.


class Descriptor(io.RawIOBase):
    """A place to write to that fails after some writes."""

    def __init__(self, error: int | None = None, after: int = 0) -> None:
        self.error, self.left, self.held = error, after, bytearray()

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        if self.error is not None and not self.left:
            raise OSError(self.error, os.strerror(self.error))
        self.left -= 1
        self.held += bytes(data)
        return memoryview(data).nbytes


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a spec; this process is in it."""
    (tmp_path / "tiny.yaml").write_text(TINY)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def spoken(
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    *,
    out: Descriptor,
    err: Descriptor | None = None,
    encoding: str = "utf-8",
) -> int:
    """Run the whole command, as its process does; return its exit code."""
    for name, place in (("stdout", out), ("stderr", err or Descriptor())):
        stream = io.TextIOWrapper(io.BufferedWriter(place), encoding=encoding)
        monkeypatch.setattr(sys, name, stream)
    monkeypatch.setattr("warnings.showwarning", None)
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    return int(str(ended.value.code))


COMMANDS = (
    ["check", "tiny.yaml"],
    ["check", "tiny.yaml", "--json"],
    ["explain", "tiny.yaml"],
    ["cache"],
    ["render", "tiny.yaml", "-o", "-"],
    ["check", "none.yaml", "--json"],
    ["--help"],
)
named = pytest.mark.parametrize("arguments", COMMANDS, ids=" ".join)


@named
def test_stdout_that_cannot_be_written(
    place: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str]
) -> None:
    err = Descriptor()
    assert spoken(monkeypatch, arguments, out=Descriptor(errno.ENOSPC), err=err) == MISTAKE
    said = err.held.decode()
    assert said == "cannot write to stdout: no space left on device; the output is not complete\n"


@named
def test_a_reader_that_goes_away_is_no_mistake(
    place: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str]
) -> None:
    err = Descriptor()
    assert spoken(monkeypatch, arguments, out=Descriptor(errno.EPIPE), err=err) == OK
    assert err.held == b""


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "cp437"])
@named
def test_encodings_without_all_characters(
    place: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], encoding: str
) -> None:
    out = Descriptor()
    code = spoken(monkeypatch, arguments, out=out, encoding=encoding)
    assert code == (MISTAKE if "none.yaml" in arguments else OK)
    assert out.held
    if "--json" in arguments:
        json.loads(out.held.decode(encoding))
    if arguments[0] == "explain":
        # Typer takes a stream of ASCII for one that nobody has set up, and writes UTF-8.
        sign = "∂".encode("utf-8" if encoding == "ascii" else encoding, "backslashreplace")
        assert sign + b"h[t]" in out.held


def test_json_of_a_narrow_encoding_is_json(monkeypatch: pytest.MonkeyPatch) -> None:
    """A replaced é would be no JSON."""
    out = Descriptor()
    assert spoken(monkeypatch, ["check", "ö.yaml", "--json"], out=out, encoding="ascii") == MISTAKE
    assert "ö.yaml" in json.loads(out.held)["specs"][0]["errors"][0]["message"]


@pytest.mark.parametrize("error", [errno.EPIPE, errno.ENOSPC, errno.EIO])
@pytest.mark.parametrize("stream", ["stdout", "stderr"])
def test_a_run_goes_on_when_nobody_reads_what_it_says(
    place: Path, monkeypatch: pytest.MonkeyPatch, stream: str, error: int
) -> None:
    places = {"stdout": Descriptor(), "stderr": Descriptor()}
    places[stream] = Descriptor(error, after=1)
    arguments = ["run", "tiny.yaml", "--set", "train.steps=9", "--backend", "reference"]
    code = spoken(monkeypatch, arguments, out=places["stdout"], err=places["stderr"])
    assert code == (MISTAKE if (stream, error) == ("stdout", errno.ENOSPC) else OK)
    folder = place / "runs" / "tiny-1"
    assert (folder / "checkpoint" / "000009").is_dir()
    assert json.loads((folder / "sessions.jsonl").read_text())["ending"] == "finished"
    assert (folder / "sample.txt").exists()


def test_a_run_whose_pipes_close_in_the_middle_of_training(place: Path) -> None:
    """As `unfold run SPEC 2>&1 | head -1`."""
    process = begin(place, "run", "tiny.yaml", "--set", "train.steps=150")
    assert process.stdout is not None and process.stderr is not None
    process.stdout.readline()
    process.stdout.close()
    wait_for_steps(process, place / "runs" / "tiny-1", 3)
    process.stderr.close()
    assert process.wait(timeout=PATIENCE) == OK
    assert (place / "runs" / "tiny-1" / "checkpoint" / "000150").is_dir()


@pytest.mark.skipif(os.name != "posix", reason="a shell closes the streams")
def test_a_run_without_any_stream_writes_into_its_own_files_only(place: Path) -> None:
    asked = command("run", "tiny.yaml", "--set", "train.steps=3", "--backend", "reference")
    done = subprocess.run(
        ["sh", "-c", 'exec "$@" <&- >&- 2>&-', "sh", *asked], cwd=place, timeout=PATIENCE
    )
    assert done.returncode == OK
    lines = (place / "runs" / "tiny-1" / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line)["step"] for line in lines] == [1, 2, 3]


@pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="no terminals that hang up")
def test_a_terminal_that_is_closed_stops_as_ctrl_c_does() -> None:
    """It may say so twice: the shell and the system both do."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)  # the tests may run under nohup
    try:
        with stop_on_signals() as stopped:
            for _ in range(2):
                os.kill(os.getpid(), signal.SIGHUP)
            assert stopped()
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        with stop_on_signals() as stopped:  # under nohup
            os.kill(os.getpid(), signal.SIGHUP)
            assert not stopped()
    finally:
        signal.signal(signal.SIGHUP, before)
