"""What a test needs to know of a spec to make it small: sizes, inputs, which axes vary, its oracle.

Case("gru", gated.gru, {"features": 7, "hidden": 11, "outputs": 13}, {"x": X, "y": Y})
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import unfold

Oracle = Callable[..., tuple[Any, dict[str, Any]]]


@dataclass(frozen=True)
class Input:
    """An input as the spec declares it: its axes, and its sizes (real) or its number of classes."""

    axes: tuple[str, ...] = ()
    shape: tuple[str | int, ...] = ()
    category: str | None = None


@dataclass(frozen=True)
class Case:
    """How one spec is made small.

    Attributes:
        name: the file's name in specs/ without its ending, or a free name where `text` is given.
        oracle: the JAX function of one sequence.
        sizes: every named size.
        inputs: every input by name.
        varying: the axes whose extent comes from the data.
        fixed: extents of the inner axes.
        modes: the modes in which the spec means something different.
        text: the spec itself, where it is not a file of the library.
        parameter_axes: the parameters with a varying axis, and that axis (always their first).
        given: whether the spec gives weights by number, so that its sizes cannot be chosen.
        lengths: of an axis, by the steps asked for, where those of `sample` make no sense.
        together: whether sequences depend on one another: the oracle gets all of them, as a list,
            and returns the mean loss and a list of nodes.
        cut: whether a `stop_gradient` makes the gradients others than those of the loss.
    """

    name: str
    oracle: Oracle
    sizes: Mapping[str, int]
    inputs: Mapping[str, Input]
    varying: tuple[str, ...] = ("t",)
    fixed: Mapping[str, int] = field(default_factory=dict)
    modes: tuple[str, ...] = ("teacher",)
    text: str | None = None
    parameter_axes: Mapping[str, str] = field(default_factory=dict)
    given: bool = False
    cut: bool = False
    together: bool = False
    lengths: Mapping[str, Mapping[int, list[int]]] = field(default_factory=dict)

    def load(self, extents: Mapping[str, int]) -> unfold.Model:
        """Load the spec with this case's sizes and these extents of the varying axes.

        Models of one spec and one size share their Programs and the walks of the reference.
        """
        axes = {**self.fixed, **extents}
        kept = _kept(self.name, self.text, *(tuple(d.items()) for d in (self.sizes, axes)))
        model = unfold.Model(kept.elaborated)
        model.pipeline = kept.pipeline
        model._execution.backends["reference"] = kept._execution.backend("reference")
        return model

    @property
    def real_inputs(self) -> list[str]:
        """The names of the inputs that can be differentiated."""
        return [name for name, declared in self.inputs.items() if declared.category is None]


@lru_cache(maxsize=16)
def _kept(
    name: str,
    text: str | None,
    sizes: tuple[tuple[str, int], ...],
    axes: tuple[tuple[str, int], ...],
) -> unfold.Model:
    if text is not None:
        return unfold.loads(text)
    return unfold.load(name, sizes=dict(sizes), axes=dict(axes))


X, Y = Input(("t",), ("features",)), Input(("t",), category="classes")
LABEL = Input((), category="classes")
CHARACTER = Input(("t",), category="vocab")
SOURCE, TARGET = Input(("s",), category="source"), Input(("t",), category="target")
SMALL = {"features": 7, "hidden": 11, "classes": 13}
