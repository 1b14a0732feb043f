"""Kernels named by content: generated texts and their machine code, in the folders of `kept`.

    store = Store(compiler)
    store.load(text).address          the function `block` of a generated module
    store.load_module(text)           the module itself

A module's name is a hash of its text and of everything else that determines its machine code, which
the compiler knows. Its entry holds the text, the compiler's files, and a file of checksums that is
written last; an entry without valid checksums is made again. Several processes may use the store at
once: each entry has a lock for making and removing it. Readers never wait: an entry that is removed
meanwhile is made again. If the store grows beyond `kept.LIMIT`, the least recently used entries are
removed.

If nothing can be stored (no folder, or a full disk), kernels are compiled in memory.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
import warnings
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from unfold.backends import kept
from unfold.backends.kept import CHECKS
from unfold.backends.listening import tell
from unfold.errors import BackendError, DataError
from unfold.files import FULL, explain, is_regular, parse_json, read_regular, remove, write_whole

LARGEST = 2**30  # bytes of a file


@dataclass(frozen=True)
class Loaded:
    """A kernel that is ready.

    Attributes:
        address: of its function.
        compiled: whether it was compiled now; otherwise it came from the store.
        seconds: that this took.
    """

    address: int
    compiled: bool
    seconds: float


class Compiler(Protocol):
    """Makes modules of texts; the functions of a module have an `address`.

    Attributes:
        files: what an entry consists of, as the suffixes of the files that determine its code;
            ".py" of the text is among them.
    """

    files: frozenset[str]

    def fingerprint(self) -> bytes:
        """Return a hash of everything that kernels depend on, except their texts."""
        ...

    def module(self, name: str, text: str, file: Path | None) -> Any:
        """Return a module, compiled or loaded from the files beside its text.

        Args:
            name: of the module.
            text: to run; never Python's cached bytecode.
            file: of the text, or None if nothing is stored.

        Raises:
            OSError: compiled code cannot be written.
            BackendError: it does not compile.
        """
        ...


class Store:
    """Kernels that a compiler makes, in memory and on disk."""

    def __init__(self, compiler: Compiler) -> None:
        self.compiler = compiler
        self._modules: dict[str, Any] = {}
        self._compiled: list[str] = []  # names, in the order they were made
        self._given_up: list[str] = []  # why nothing is stored any more, if so

    def load(self, text: str, entry: str = "block") -> Loaded:
        """Return a function of a generated module.

        Args:
            text: the module.
            entry: the name of the function.

        Raises:
            BackendError: it does not compile.
        """
        start, before = time.perf_counter(), len(self._compiled)
        address: int = getattr(self.load_module(text), entry).address
        return Loaded(address, len(self._compiled) > before, time.perf_counter() - start)

    def load_all(self, texts: Sequence[str]) -> list[Loaded]:
        """Return the functions of several modules; listeners are told of those to be compiled.

        Args:
            texts: the modules; equal ones are compiled once.
        """
        missing = [t for t in dict.fromkeys(texts) if not self.is_ready(t)]
        done = {t: i for i, t in enumerate(missing)}
        found: list[Loaded] = []
        for text in texts:
            if text in done and not self.is_ready(text):
                tell(done[text], len(missing), self.place() is not None)
            found.append(self.load(text))
        if missing:
            tell(len(missing), len(missing), self.place() is not None)
        return found

    def place(self) -> Path | None:
        """Return the folder of the entries, or None if nothing is stored."""
        return None if self._given_up else kept.kernels()

    def is_ready(self, text: str) -> bool:
        """Whether a module is loaded or in the store (not whether it is whole)."""
        name, place = self._name(text), self.place()
        return name in self._modules or (place is not None and is_regular(place / name / CHECKS))

    def load_module(self, text: str) -> Any:
        """Return a module made from text, and store its compiled code."""
        name = self._name(text)
        if name in self._modules:
            return self._modules[name]
        place = self.place()
        if place is None:
            self._modules[name] = self._compile(name, text, None)
        elif not self._found(place / name, name, text):
            try:
                self._make(place / name, name, text)
            except (OSError, DataError) as error:
                self._give_up(place, error)
                return self.load_module(text)
            self._prune()
        return self._modules[name]

    def _name(self, text: str) -> str:
        return f"k{hashlib.sha256(self.compiler.fingerprint() + text.encode()).hexdigest()}"

    def _found(self, folder: Path, name: str, text: str) -> bool:
        """Load an entry if it is whole; tell whether it was."""
        try:
            if not self._is_whole(folder, text):
                return False
            self._modules[name] = self.compiler.module(name, text, folder / f"{name}.py")
        except (OSError, BackendError):  # it was removed in between
            return False
        with suppress(OSError):
            os.utime(folder / CHECKS)  # the least recently used go first
        return True

    def _make(self, folder: Path, name: str, text: str) -> None:
        """Write a module, compile it, and record checksums of its files, if no other process has.

        Raises:
            OSError: the entry cannot be written.
            BackendError: it does not compile.
        """
        with kept.locked(folder):
            if self._found(folder, name, text):
                return
            try:
                remove(folder)
                folder.mkdir(mode=0o700)
                file = folder / f"{name}.py"
                file.write_text(text, encoding="utf-8", newline="\n")
                self._modules[name] = self._compile(name, text, file)
                sums = {str(f.relative_to(folder)): _sum(f) for f in self._files(folder)}
                write_whole(folder / CHECKS, json.dumps(sums))
            except OSError:
                with suppress(OSError):
                    remove(folder)
                raise

    def _compile(self, name: str, text: str, file: Path | None) -> Any:
        found = self.compiler.module(name, text, file)
        self._compiled.append(name)
        return found

    def _give_up(self, place: Path, error: OSError | DataError) -> None:
        """Store no more kernels in this process, and warn why."""
        reason, how = str(error), "Set"
        if isinstance(error, OSError):
            reason = explain(error)
            if error.errno in FULL:
                how = "Make room, empty it by `unfold cache --clear`, or set"
        self._given_up.append(reason)
        warnings.warn(
            f"cannot store compiled kernels in {place}: {reason}; this run continues without them."
            f" {how} UNFOLD_CACHE to another folder",
            stacklevel=3,
        )

    def _files(self, folder: Path) -> Iterator[Path]:
        """Yield the files of an entry that matter: its text, and the compiler's files."""
        for file in sorted(folder.rglob("*")):
            if file.suffix in self.compiler.files:
                yield file

    def _is_whole(self, folder: Path, text: str) -> bool:
        """Whether an entry is this user's own, complete and undamaged."""
        try:
            if not kept.is_own(folder):
                return False
            sums = parse_json(read_regular(folder / CHECKS))
            files = {str(f.relative_to(folder)): f for f in self._files(folder)}
            own = read_regular(folder / f"{folder.name}.py").decode("utf-8")
            return (
                own == text
                and {f.suffix for f in files.values()} == self.compiler.files
                and files.keys() == sums.keys()
                and all(_sum(file) == sums[n] for n, file in files.items())
            )
        except (OSError, ValueError, AttributeError, DataError):
            return False

    def _prune(self) -> None:
        """Remove the least recently used entries beyond the limit; looked at once in a while."""
        if len(self._compiled) % 64 != 1:
            return
        own = kept.entries()
        total = sum(size for _, size, _ in own)
        for folder, size, _ in own:
            if total <= kept.LIMIT:
                return
            # This process has its kernels in memory, but another run would miss them.
            if folder.name not in self._modules and kept.discard(folder):
                total -= size


def _sum(file: Path) -> str:
    return hashlib.sha256(read_regular(file, LARGEST)).hexdigest()
