"""The store of compiled kernels: found again, damaged, shared by processes, emptied."""

from __future__ import annotations

import ctypes
import errno
import json
import os
import py_compile
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from importlib.util import cache_from_source
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import unfold
from tests.runs import PATIENCE
from unfold.backends import kept
from unfold.backends.numba import compiler, scalars
from unfold.backends.numba.compiler import STORE as store
from unfold.errors import BackendError

# Writes its own argument's first integer, plus a number, behind it.
TEXT = """
from numba import cfunc

from unfold.backends.numba.calls import load_i64
from unfold.backends.numba.memory import put_float64


@cfunc("void(int64)", cache=True)
def block(f):
    put_float64(f + 8, load_i64(f, 0) + {number})
"""
RUN = """
import sys
sys.path[:0] = {path!r}
from tests.test_numba_store import TEXT, answer
from unfold.backends.numba.compiler import STORE as store
loaded = store.load(TEXT.format(number=5))
print(answer(loaded.address), loaded.compiled)
"""


def answer(address: int) -> float:
    """Call the kernel with 37."""
    slots = (ctypes.c_int64 * 2)(37, 0)
    ctypes.CFUNCTYPE(None, ctypes.c_int64)(address)(ctypes.addressof(slots))
    return ctypes.c_double.from_buffer(slots, 8).value


def other_process(folder: Path) -> subprocess.Popen[str]:
    """Load the kernel in another process."""
    root = str(Path(__file__).parent.parent)
    return subprocess.Popen(
        [sys.executable, "-c", RUN.format(path=[root])],
        env={**os.environ, "UNFOLD_CACHE": str(folder)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finished(process: subprocess.Popen[str]) -> list[str]:
    """Wait for a process and return the words it printed."""
    out, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, err
    return out.split()


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Use a store of its own; gives the folder of the user's choice that it is in."""
    monkeypatch.setenv("UNFOLD_CACHE", str(tmp_path))
    monkeypatch.setattr(store, "_modules", {})
    monkeypatch.setattr(store, "_given_up", [])
    kept.kernels.cache_clear()
    yield tmp_path
    kept.kernels.cache_clear()


def test_a_kernel_is_compiled_once(folder: Path) -> None:
    first = store.load(TEXT.format(number=5))
    assert (answer(first.address), first.compiled) == (42.0, True)
    assert not store.load(TEXT.format(number=5)).compiled
    assert finished(other_process(folder)) == ["42.0", "False"]


def test_another_text_is_another_kernel(folder: Path) -> None:
    addresses = [k.address for k in store.load_all([TEXT.format(number=n) for n in (1, 2, 1)])]
    assert [answer(a) for a in addresses] == [38.0, 39.0, 38.0]
    assert len(kept.entries()) == 2


@pytest.mark.parametrize("suffix", [".py", ".o", "checksums.json"])
@pytest.mark.parametrize("damage", ["cut", "changed", "gone"])
def test_damaged_entries_are_made_anew(folder: Path, suffix: str, damage: str) -> None:
    store.load(TEXT.format(number=5))
    (entry, _, _) = kept.entries()[0]
    (file,) = [f for f in entry.rglob("*") if f.name.endswith(suffix)]
    whole = file.read_bytes()
    if damage == "gone":
        file.unlink()
    else:
        changed = bytes([whole[0] ^ 1]) + whole[1:]
        file.write_bytes(whole[: len(whole) // 2] if damage == "cut" else changed)
    store._modules.clear()
    again = store.load(TEXT.format(number=5))
    assert (answer(again.address), again.compiled) == (42.0, True)


def test_an_entry_without_machine_code_is_made_anew(folder: Path) -> None:
    """Also if its checksums miss nothing."""
    store.load(TEXT.format(number=5))
    ((entry, _, _),) = kept.entries()
    checks = entry / "checksums.json"
    sums = json.loads(checks.read_text())
    assert len(sums) == 2
    for name in [n for n in sums if not n.endswith(".py")]:
        (entry / name).unlink()
        del sums[name]
    checks.write_text(json.dumps(sums))
    store._modules.clear()
    again = store.load(TEXT.format(number=5))
    assert (answer(again.address), again.compiled) == (42.0, True)


def test_processes_share_a_store(folder: Path) -> None:
    answers = [finished(p) for p in [other_process(folder) for _ in range(3)]]
    assert [a[0] for a in answers] == ["42.0"] * 3
    assert sum(a[1] == "True" for a in answers) == 1
    assert len(kept.entries()) == 1


def test_a_kernel_that_does_not_compile_names_its_file(folder: Path) -> None:
    with pytest.raises(BackendError, match=r"the kernel .*k[0-9a-f]+\.py does not compile"):
        store.load(TEXT.format(number="no_such_name"))
    assert not store.is_ready(TEXT.format(number="no_such_name"))


def test_a_failure_shows_the_equation_and_the_generated_line(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(scalars.HEADS, "abs", "no_such_function({})")
    model = unfold.loads(
        "unfold: 1\nname: broken\naxes: {t: 3}\ninputs: {x[t]: [4]}\nnodes:\n  h[t]: abs(x[t])\n",
        file="broken.yaml",
    )
    with pytest.raises(BackendError) as told:
        model.forward({}, {"x": np.zeros((1, 3, 4))}, backend="numba")
    assert "broken.yaml:6:" in str(told.value) and "h[t]: abs(x[t])" in str(told.value)
    assert "= no_such_function(x" in str(told.value)


def test_clearing(folder: Path) -> None:
    store.load(TEXT.format(number=5))
    count, size = kept.clear()
    assert count == 1
    assert size > 1000
    assert kept.entries() == []


def sized(monkeypatch: pytest.MonkeyPatch, entries_kept: int) -> None:
    """Limit the store to about so many entries, and look at it after every kernel."""
    (_, size, _), *_ = kept.entries()
    monkeypatch.setattr(kept, "LIMIT", int(size * (entries_kept + 0.5)))
    monkeypatch.setattr(store, "_compiled", _Always())


class _Always(list[str]):
    """A list whose length is always that at which the store is looked at."""

    def __len__(self) -> int:
        return 1


def numbers(folder: Path) -> set[int]:
    """Return which kernels are in the store."""
    wanted = {store._name(TEXT.format(number=n)): n for n in range(10)}
    return {wanted[e.name] for e, _, _ in kept.entries()}


def used_long_ago(folder: Path, number: int, hours: int) -> None:
    """Pretend that a kernel was used some hours ago, by a process that has ended."""
    name = store._name(TEXT.format(number=number))
    then = time.time() - 3600 * hours
    os.utime(folder / "kernels" / name / kept.CHECKS, (then, then))
    store._modules.pop(name)


def test_the_least_recently_used_go_first(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number, hours in ((1, 2), (2, 4), (3, 3), (4, 5)):
        store.load(TEXT.format(number=number))
        used_long_ago(folder, number, hours)
    sized(monkeypatch, 3)
    store.load(TEXT.format(number=4))  # it is in the store: used now
    store.load(TEXT.format(number=5))
    assert numbers(folder) == {1, 4, 5}
    assert len(list(folder.glob("kernels/*.lock"))) == 3
    assert answer(store.load(TEXT.format(number=2)).address) == 39.0


def test_what_a_process_uses_is_kept(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store.load(TEXT.format(number=1))
    sized(monkeypatch, 1)
    store.load_all([TEXT.format(number=n) for n in (2, 3)])
    assert numbers(folder) == {1, 2, 3}


def test_what_another_process_makes_stays(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It holds the lock of its entry; what is half made belongs to it."""
    store.load(TEXT.format(number=1))
    used_long_ago(folder, 1, 5)
    (held, _, _) = kept.entries()[0]
    (held / kept.CHECKS).unlink()
    sized(monkeypatch, 0)
    with kept.locked(held):
        store.load(TEXT.format(number=2))
        assert held in [e for e, _, _ in kept.entries()]
        assert kept.clear()[0] == 1
        assert [e for e, _, _ in kept.entries()] == [held]
    assert kept.clear()[0] == 1
    assert [p.name for p in (folder / "kernels").iterdir()] == [kept.TAG]


def test_a_lock_that_is_removed_while_one_waits(folder: Path) -> None:
    """Whoever waited for it takes the new one: two never hold an entry at once."""
    entry, held, seen = folder / "k0", threading.Event(), threading.Event()

    def hold() -> None:
        with kept.locked(entry):
            held.set()
            seen.wait()

    with kept.locked(entry):
        waiting = threading.Thread(target=hold, daemon=True)
        waiting.start()
        time.sleep(0.05)
        (folder / "k0.lock").unlink()
    held.wait()
    with kept.locked(entry, wait=False) as mine:
        assert not mine
    seen.set()
    waiting.join()


def test_processes_share_a_store_that_is_emptied(folder: Path) -> None:
    """Loading, removing and making the same kernel at once gives the right answer to everybody."""
    processes = [other_process(folder) for _ in range(2)]
    while any(p.poll() is None for p in processes):
        kept.clear()
        time.sleep(0.002)
    assert [finished(p)[0] for p in processes] == ["42.0"] * 2


# Places that are not as one would like


def test_cache_clear_deletes_foreign_folders(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What begins with k in the user's folder, or lies among the kernels, is not ours."""
    foreign = ["keep/a.txt", "klaus-photos/1.jpg", "kitchen.lock", f"k{'0' * 24}/x", "k0/x"]
    foreign += [f"kernels/{name}" for name in ("keep/a.txt", "kitchen.lock", f"k{'0' * 63}/x")]
    store.load(TEXT.format(number=1))
    used_long_ago(folder, 1, 5)
    for name in foreign:
        (folder / name).parent.mkdir(exist_ok=True, parents=True)
        (folder / name).write_text("precious")
    sized(monkeypatch, 0)
    store.load(TEXT.format(number=2))
    assert numbers(folder) == {2}
    assert kept.clear()[0] == 1
    assert [n for n in foreign if not (folder / n).exists()] == []


def test_a_folder_of_kernels_that_unfold_did_not_make_is_left_alone(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = store._name(TEXT.format(number=5))
    (folder / "kernels" / name).mkdir(parents=True)
    (folder / "kernels" / name / "mine.txt").write_text("precious")
    with pytest.warns(UserWarning, match="kernels holds files that unfold did not write"):
        assert store.load(TEXT.format(number=5)).compiled
    assert kept.clear()[0] == 1
    assert (folder / "kernels" / name / "mine.txt").exists()


@pytest.mark.parametrize("how", ["writable", "link"])
def test_a_folder_that_others_may_write_to_is_not_used(folder: Path, how: str) -> None:
    """Whoever can put a kernel there can run any code as this user."""
    store.load(TEXT.format(number=5))
    place = folder / "kernels"
    if how == "writable":
        place.chmod(0o777)
    else:
        place.rename(folder / "elsewhere")
        place.symlink_to("elsewhere")
    kept.kernels.cache_clear()
    store._modules.clear()
    said = "others may write to .*kernels" if how == "writable" else "kernels is a symbolic link"
    with pytest.warns(UserWarning, match=f"{said}; yours go to .*kernels-{os.geteuid()}"):
        assert store.load(TEXT.format(number=5)).compiled
    kept.kernels.cache_clear()
    store._modules.clear()
    assert not store.load(TEXT.format(number=5)).compiled  # and nothing is said again


@pytest.mark.parametrize("how", ["entry", "file"])
def test_an_entry_that_others_may_write_to_is_made_anew(folder: Path, how: str) -> None:
    store.load(TEXT.format(number=5))
    ((entry, _, _),) = kept.entries()
    if how == "entry":
        entry.chmod(0o777)
    else:
        text = entry / f"{entry.name}.py"
        text.rename(folder / "elsewhere.py")
        text.symlink_to(folder / "elsewhere.py")
    store._modules.clear()
    assert store.load(TEXT.format(number=5)).compiled
    assert (entry / f"{entry.name}.py").is_file() and entry.stat().st_mode & 0o777 == 0o700


def test_second_user_of_a_shared_cache_is_refused(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second one gets a folder of their own, beside that of the first."""
    store.load(TEXT.format(number=5))
    first, second = os.geteuid(), os.geteuid() + 1
    theirs = folder / f"kernels-{second}"

    class Owned:
        """The status of a file that belongs to the user who made it."""

        def __init__(self, path: Path, found: os.stat_result) -> None:
            self.st_mode = found.st_mode
            self.st_uid = second if path.is_relative_to(theirs) else first

    lstat = Path.lstat
    kept.kernels.cache_clear()
    store._modules.clear()
    monkeypatch.setattr(kept.os, "geteuid", lambda: second)
    monkeypatch.setattr(kept, "status", lambda path: Owned(path, lstat(path)))
    with pytest.warns(UserWarning, match="belong to another user; yours go to .*-"):
        assert store.load(TEXT.format(number=5)).compiled
    assert [e.parent for e, _, _ in kept.entries()] == [theirs]
    assert kept.clear()[0] == 1
    assert len(list((folder / "kernels").glob("k*/checksums.json"))) == 1


def test_no_home_folder(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A container may run as a user whom nobody knows."""

    def unknown(user: int) -> None:
        raise KeyError(user)

    monkeypatch.setattr("pwd.getpwuid", unknown)
    for name in ("HOME", "UNFOLD_CACHE", "XDG_CACHE_HOME", "LOCALAPPDATA"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(folder)
    with pytest.warns(
        UserWarning, match="there is no home folder; compiled kernels are not stored"
    ):
        found = store.load(TEXT.format(number=5))
    assert (answer(found.address), found.compiled) == (42.0, True)
    assert list(folder.iterdir()) == []
    assert (kept.entries(), kept.clear()) == ([], (0, 0))


def test_an_unwritable_folder_is_told(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UNFOLD_CACHE", "/proc/unfold")
    with pytest.warns(UserWarning, match="cannot write to /proc/unfold"):
        assert kept.kernels() is None


def test_full_cache_disk(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Kernels are compiled all the same; nothing half-made stays, and the user is told once."""

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    store.load(TEXT.format(number=1))
    with monkeypatch.context() as during, pytest.warns(UserWarning) as told:
        during.setattr(Path, "write_bytes", full)
        found = [store.load(TEXT.format(number=n)) for n in (5, 6)]
    assert [answer(f.address) for f in found] == [42.0, 43.0]
    ((warning,),) = [[str(w.message) for w in told]]
    assert f"cannot store compiled kernels in {folder}/kernels: no space left" in warning
    assert "unfold cache --clear" in warning and "UNFOLD_CACHE" in warning
    assert numbers(folder) == {1}
    with pytest.raises(BackendError, match=r"(?s)the kernel <k.*no_such_name"):
        store.load(TEXT.format(number="no_such_name"))


def test_what_python_has_kept_of_a_module_is_not_run(folder: Path) -> None:
    """Only the text is compared; so only the text may be run."""
    store.load(TEXT.format(number=5))
    ((entry, _, _),) = kept.entries()
    assert not list(entry.rglob("*.pyc"))
    (other := folder / "other.py").write_text(TEXT.format(number=1000))
    planted = cache_from_source(str(entry / f"{entry.name}.py"))
    py_compile.compile(
        str(other), planted, invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH
    )
    store._modules.clear()
    assert answer(store.load(TEXT.format(number=5)).address) == 42.0


def test_folders_are_closed_to_others(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the process would let others do with new files."""
    monkeypatch.setenv("UNFOLD_CACHE", str(folder / "new"))
    kept.kernels.cache_clear()
    before = os.umask(0)
    try:
        store.load(TEXT.format(number=5))
    finally:
        os.umask(before)
    ((entry, _, _),) = kept.entries()
    assert entry.is_relative_to(folder / "new")
    for each in (entry, entry.parent, folder / "new"):
        assert each.stat().st_mode & 0o777 == 0o700


def test_an_entry_of_another_user_is_made_anew(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.load(TEXT.format(number=5))
    ((entry, _, _),) = kept.entries()
    lstat, theirs = Path.lstat, entry.stat().st_ino

    def status(path: Path) -> Any:
        found = lstat(path)
        user = found.st_uid + (path == entry and found.st_ino == theirs)
        return SimpleNamespace(st_mode=found.st_mode, st_uid=user)

    monkeypatch.setattr(kept, "status", status)
    store._modules.clear()
    (entry / "theirs").write_text("")
    assert store.load(TEXT.format(number=5)).compiled
    assert not (entry / "theirs").exists()


def test_locks_follow_no_links(folder: Path) -> None:
    """What a planted link leads to stays as it is, and runs go on."""
    text, precious = TEXT.format(number=5), folder / "precious"
    precious.write_text("precious")
    store.load(TEXT.format(number=1))
    lock = folder / "kernels" / f"{store._name(text)}.lock"
    lock.symlink_to(precious)
    with pytest.warns(UserWarning, match="lock is a symbolic link"):
        assert answer(store.load(text).address) == 42.0
    ((entry, _, _),) = kept.entries()
    (other := entry.with_name(f"{entry.name}.lock")).unlink()
    other.symlink_to(precious)
    assert kept.clear() == (0, 0)
    assert precious.read_text() == "precious" and lock.is_symlink() and other.is_symlink()


def test_clearing_leaves_links_to_folders(folder: Path) -> None:
    store.load(TEXT.format(number=5))
    (folder / "mine").mkdir()
    (folder / "mine" / "a.txt").write_text("precious")
    link = folder / "kernels" / f"k{'0' * 64}"
    link.symlink_to(folder / "mine")
    assert kept.clear()[0] == 1
    assert link.is_symlink() and (folder / "mine" / "a.txt").exists()


@pytest.mark.parametrize("room", [s.name for s in compiler.SOURCES])
def test_every_file_of_both_rooms_counts(
    folder: Path, monkeypatch: pytest.MonkeyPatch, room: str
) -> None:
    """A kernel is another one when a file beside it changes, or a new one comes."""
    copies = [Path(shutil.copytree(s, folder / s.name)) for s in compiler.SOURCES]
    monkeypatch.setattr(compiler, "SOURCES", tuple(copies))
    found = [compiler._fingerprint.__wrapped__()]
    assert found[0] == store.compiler.fingerprint()
    for file in [*sorted((folder / room).glob("*.py")), folder / room / "new.py"]:
        with file.open("a") as changed:
            changed.write("# changed\n")
        found.append(compiler._fingerprint.__wrapped__())
    assert len(set(found)) == len(found)
