"""Systems without calls that Linux has: they are taken away, and everything works as before."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import unfold
from tests.runs import TINY
from tests.test_numba_store import TEXT, answer
from unfold.backends import kept
from unfold.backends.native.profile import Clocked
from unfold.backends.numba.compiler import STORE as store
from unfold.backends.numba.machine import Compiled
from unfold.commands.run import run
from unfold.core.processors import processors
from unfold.drawing import dot
from unfold.errors import OK
from unfold.files import flush, write_whole
from unfold.terminal.progress import stop_on_signals
from unfold.training.folder import create_run_folder

CALLS = ("pwrite", "pread", "sched_getaffinity", "geteuid", "getuid", "fchmod", "fork", "mkfifo")


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A system like Windows; gives a folder that this process is in."""
    opened = os.open

    def no_folders(path: Any, flags: int, *rest: Any, **more: Any) -> int:
        if Path(path).is_dir():
            raise PermissionError(13, "Permission denied", str(path))
        return opened(path, flags, *rest, **more)

    for name in CALLS:
        monkeypatch.delattr(os, name, raising=False)
    monkeypatch.setattr("unfold.files.SAFELY", 0)
    monkeypatch.setattr(os, "open", no_folders)
    monkeypatch.delattr(time, "CLOCK_MONOTONIC")
    monkeypatch.setattr("unfold.backends.numba.machine.CLOCK", 0)
    monkeypatch.setenv("UNFOLD_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(store, "_modules", {})
    monkeypatch.setattr(store, "_given_up", [])
    monkeypatch.chdir(tmp_path)
    kept.kernels.cache_clear()
    yield tmp_path
    kept.kernels.cache_clear()


def test_a_run_needs_no_call_that_only_posix_has(elsewhere: Path) -> None:
    (elsewhere / "tiny.yaml").write_text(TINY)
    for steps, old in ((3, None), (6, "runs/tiny-1")):
        spec = None if old else "tiny.yaml"
        changes = [f"train.steps={steps}", "train.save=3"]
        assert run(spec, changes, "reference", resume=old, json=True) == OK
    assert sorted(p.name for p in Path("runs/tiny-1/checkpoint").iterdir()) == ["000003", "000006"]


def test_kernels_are_kept_and_clocked(elsewhere: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class NoLibrary:
        """What Windows has instead of the process's own C library."""

        def __init__(self, name: str | None) -> None:
            raise TypeError("argument of type 'NoneType' is not iterable")

    monkeypatch.setattr(ctypes, "CDLL", NoLibrary)
    assert processors() >= 1
    found = [store.load(TEXT.format(number=5)) for _ in range(2)]
    assert [answer(f.address) for f in found] == [42.0, 42.0]
    assert kept.entries()[0][0].parent == elsewhere / "cache" / "kernels"
    machine = Clocked(Compiled())
    for _ in range(2):
        machine.call(0, 0)
    first, second = machine.calls
    assert 0 < first.start == first.end < second.start
    assert kept.clear()[0] == 2


def test_a_folder_cannot_be_flushed_everywhere(elsewhere: Path) -> None:
    flush(elsewhere)
    write_whole(elsewhere / "a", "a")
    with pytest.raises(FileNotFoundError):
        flush(elsewhere / "none")


def test_signals_that_a_system_lacks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("unfold.terminal.progress.STOPPING", (signal.SIGINT,))
    monkeypatch.setattr("unfold.terminal.progress.HANGUP", None)
    with stop_on_signals() as stopped:
        os.kill(os.getpid(), signal.SIGINT)
        assert stopped()


def test_without_a_folder_for_temporary_files(monkeypatch: pytest.MonkeyPatch) -> None:
    def nowhere(*_: object) -> None:
        raise FileNotFoundError(2, "No usable temporary directory found in ['/tmp']")

    monkeypatch.setattr(tempfile, "TemporaryFile", nowhere)
    with dot.quiet():
        os.write(2, b"")


def test_names_that_the_encoding_of_files_lacks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "getfilesystemencoding", lambda: "ascii")
    assert create_run_folder(tmp_path, "größe").name == "gre-1"
    assert create_run_folder(tmp_path, "∂").name == "run-1"
    assert create_run_folder(tmp_path, "a\udc80b").name == "ab-1"


def test_the_version_does_not_depend_on_the_distribution() -> None:
    text = (Path(unfold.__file__).parent / "version.py").read_text()
    assert f'VERSION = "{unfold.__version__}"' in text
