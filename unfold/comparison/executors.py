"""Where runs are done: in this process, in processes of this machine, or elsewhere.

    with executor(jobs=2) as workers:
        future = workers.submit(perform, trial)

Everything follows the interface of `concurrent.futures`. Processes of this machine share its
processors equally, and end with the process that made them.
"""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import signal
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from contextlib import contextmanager
from importlib import import_module
from typing import Any

from unfold.errors import UnfoldError

WITH_PARENT = 1  # PR_SET_PDEATHSIG of Linux


class Inline(Executor):
    """Does everything at once, in this process."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Call a function and return its result as a future."""
        future: Future[Any] = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except Exception as error:
            future.set_exception(error)
        return future


@contextmanager
def executor(
    jobs: int = 1, cluster: str | None = None, *, mpi: bool = False
) -> Iterator[Executor | None]:
    """Give workers.

    Args:
        jobs: processes of this machine.
        cluster: the address of a Dask scheduler to use in place of them.
        mpi: whether to use the processes that `mpiexec` has started; all but the first of these
            are given None once the others are done.

    Raises:
        UnfoldError: the extra that is needed is not installed, or nobody answers.
    """
    if cluster is not None:
        yield from _dask(cluster)
    elif mpi:
        yield from _mpi()
    elif jobs == 1:
        yield Inline()
    else:
        context = multiprocessing.get_context("spawn")
        turn = context.Value("i", 0)
        pool = ProcessPoolExecutor(jobs, context, _begin, (jobs, turn, os.getpid()))
        try:
            yield pool
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _begin(jobs: int, turn: Any, parent: int) -> None:
    """Prepare a process: its share of processors, and an end together with its parent."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides what an interrupt ends
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(WITH_PARENT, signal.SIGKILL)
        if os.getppid() != parent:  # it has ended before it could be said
            os._exit(1)
    with turn.get_lock():
        number, turn.value = turn.value, turn.value + 1
    if hasattr(os, "sched_setaffinity"):  # not on macOS and Windows
        every = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(0, every[number % jobs :: jobs] or every)


def _dask(address: str) -> Iterator[Executor]:
    try:
        distributed: Any = import_module("distributed")
    except ImportError:
        raise UnfoldError("--cluster needs Dask\n  help: pip install 'unfold[dask]'") from None
    try:
        client = distributed.Client(address, timeout=10)
    except (OSError, TimeoutError, ValueError) as error:
        raise UnfoldError(f"--cluster {address}: {error}") from None
    with client:
        yield client.get_executor()


def _mpi() -> Iterator[Executor | None]:
    try:
        futures: Any = import_module("mpi4py.futures")
    except ImportError:
        raise UnfoldError("--mpi needs mpi4py\n  help: pip install 'unfold[mpi]'") from None
    with futures.MPICommExecutor() as workers:
        yield workers
