"""What a peer is: a name, the cells and lengths it takes on, and how it prepares a case.

A prepared case is two functions: `run` computes loss and gradients once, from weights and data that
are already where the peer wants them, and returns when it is done; `read` turns what `run` returned
into a loss and gradients by the names of the spec.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from typing import Any, Generic, Protocol, TypeVar

from benchmarks.peers.cases import Arrays, Case

Numbers = tuple[float, Arrays]


class Named(Protocol):
    """A case, of which the comparison only needs the name; the peers know the rest."""

    @property
    def name(self) -> str:
        """As in `lstm S2`."""
        ...


Work = TypeVar("Work", bound=Named)


@dataclass(frozen=True)
class Prepared:
    """A case that is ready to be timed."""

    run: Callable[[], Any]
    read: Callable[[Any], Numbers]


class Peer(ABC, Generic[Work]):
    """An implementation of the cases; made in a process whose thread counts are already set."""

    @abstractmethod
    def prepare(self, case: Work) -> Prepared:
        """Move weights and data to where they are needed; compile nothing that `run` would."""

    @abstractmethod
    def versions(self) -> Mapping[str, str]:
        """Return the versions of what computes."""


@dataclass(frozen=True)
class Entry:
    """A peer before anything of it is imported.

    Attributes:
        module: its function `make(**options)` returns the Peer.
        needs: a package that must be importable.
        options: of `make`.
        threaded: whether it is told how many threads to use; else it decides itself.
        cells: those it has; None: all.
        longest: number of steps that it can be asked for in reason.
        about: what it is, in the report.
    """

    module: str
    needs: str
    about: str
    options: Mapping[str, str]
    threaded: bool = True
    cells: tuple[str, ...] | None = None
    longest: int | None = None

    def takes(self, case: Case) -> bool:
        """Say whether this peer is asked for a case."""
        fits = self.longest is None or case.shape.steps <= self.longest
        return fits and (self.cells is None or case.cell.name in self.cells)

    @property
    def available(self) -> bool:
        """Whether its package can be imported."""
        return find_spec(self.needs) is not None

    def make(self, **more: str) -> Peer[Any]:
        """Import the peer and return it."""
        return import_module(self.module).make(**{**self.options, **more})


PEERS: Mapping[str, Entry] = {
    "unfold": Entry(
        "benchmarks.peers.unfold_peer",
        "unfold",
        "this package, its public interface",
        {},
        threaded=False,
    ),
    "torch": Entry(
        "benchmarks.peers.torch_peer",
        "torch",
        "PyTorch eager, nn.RNN, nn.LSTM and nn.GRU",
        {"style": "library"},
        cells=("rnn", "lstm", "gru"),
    ),
    "torch-loop": Entry(
        "benchmarks.peers.torch_peer",
        "torch",
        "PyTorch eager, loop by hand",
        {"style": "loop"},
        longest=20_000,
    ),
    "torch-compile": Entry(
        "benchmarks.peers.torch_peer",
        "torch",
        "torch.compile of that loop",
        {"style": "compile"},
        longest=1000,
    ),
    "jax": Entry("benchmarks.peers.jax_peer", "jax", "JAX, jit of value_and_grad of lax.scan", {}),
    "numpy": Entry(
        "benchmarks.peers.numpy_peer", "numpy", "NumPy, forward and backward by hand", {}
    ),
}
USUAL = tuple(n for n in PEERS if n != "torch-compile")
