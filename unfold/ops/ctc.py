"""Connectionist temporal classification (Graves et al. 2006): the loss and its derivatives.

    loss: ctc[t,u](log_softmax(o[t]), labels[u])        -log p(labels | log-probabilities)

    ctc             [t,u] bound; log-probabilities at t, labels at u, how many there are of each
    ctc_occupancy   γ[t]: the same, read at all t' and u, and written for all t at once
    ctc_curvature   the change of γ with the log-probabilities moving in a direction

Each is one KERNEL: it reads whole sequences. An equation that a kernel writes for all points of an
axis at once has that axis as its attribute `along`. Class -1 is not a label. If no alignment exists
the loss is infinite, and its gradient zero. There are no third derivatives.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import inf
from typing import Any

import numpy as np

from unfold.core.affine import Affine
from unfold.core.build import Term
from unfold.core.op import Attributes, Kind, Op, OpError, register
from unfold.core.program import Value
from unfold.core.types import REAL, Type
from unfold.errors import UnsupportedError
from unfold.ops.lattice import Lattice, lattices, together

LAST = -1  # the option blank=last: the class after all others


def _classes(types: Sequence[Type | None], attributes: Attributes) -> Type:
    """Check the operands and return the type of the log-probabilities."""
    log_probs, labels = types[:2]
    assert log_probs is not None and labels is not None
    if log_probs.kind != "real" or len(log_probs.shape) != 1:
        raise OpError(
            "ctc needs a vector of log-probabilities first",
            help="give one for each class and the blank, as in  log_softmax(o[t])",
            at=0,
        )
    if labels.kind != "category":
        raise OpError(
            "the labels of ctc must be a category",
            help="declare them as in  inputs: {labels[u]: {category: classes}}",
            at=1,
        )
    (classes,), (known,), blank = log_probs.shape, labels.shape, attributes["blank"]
    if blank >= classes:
        raise OpError(
            f"the blank cannot be class {blank} of {classes}",
            help=f"use a class from 0 to {int(classes) - 1}; blank=last is the last one",
            at="blank",
        )
    fits = known == classes or (blank in (LAST, classes - 1) and known == classes - 1)
    if not fits:
        raise OpError(
            "shapes do not match",
            f"the log-probabilities are {log_probs.show()}; the labels are {labels.show()}",
            help="the blank is a class, too: give as many log-probabilities as the labels have "
            "classes, or one more with blank=last",
        )
    return log_probs


def _ctc_type(types: Sequence[Type | None], attributes: Attributes) -> Type:
    if None not in types[:2]:
        _classes(types, attributes)
    return REAL


def _ctc(*operands: Any, blank: int) -> Any:
    loss = np.zeros(together(operands)[0].shape[:3])[:, :, :1]
    for at, own in _lattices(operands, blank):
        loss[at] = -own.log_probability
    return loss


def _occupancy(*operands: Any, blank: int, along: str, at: Any) -> Any:
    whole = np.zeros(together(operands)[0].shape)
    for i, own in _lattices(operands, blank):
        whole[i][: len(own.log_probs)] = own.occupancy()
    return _chosen(whole, at)


def _curvature(*operands: Any, blank: int, along: str, at: Any) -> Any:
    direction = together(operands)[4]
    whole = np.zeros(direction.shape)
    for i, own in _lattices(operands, blank):
        frames = len(own.log_probs)
        whole[i][:frames] = own.curvature(direction[i][:frames])
    return _chosen(whole, at)


def _lattices(operands: Sequence[Any], blank: int) -> Iterator[tuple[tuple[int, ...], Lattice]]:
    """Yield the lattices, the class of the blank counted from the first one."""
    return lattices(together(operands), blank % operands[0].shape[-1])


def _chosen(whole: Any, at: Any) -> Any:
    """Return the requested points of the axis that is written whole."""
    rows, points = np.ogrid[: whole.shape[0], : whole.shape[1]]
    return whole[rows[:, :, None], points[:, :, None], at]


def _bound(term: Term, value: Value) -> str:
    """Return the bound axis along which an operand is read."""
    return next(a for a in value.reduced if a in term.ref.axes)


def _ctc_vjp(g: Term, y: Term, xs: Sequence[Term], v: Value) -> Sequence[Term | None]:
    frames, labels = (_bound(x, v) for x in xs[:2])
    other = g.builder.alias(frames)
    moved = xs[0].at({frames: Affine.axis(other)})
    attributes = {"blank": v.attributes["blank"], "along": frames}
    occupancy = g.builder.emit(
        "ctc_occupancy", (moved, *xs[1:]), attributes, reduced=(other, labels), axes=(frames,)
    )
    return (-(g * occupancy), None, None, None)


def _occupancy_vjp(g: Term, y: Term, xs: Sequence[Term], v: Value) -> Sequence[Term | None]:
    # The matrix of second derivatives is symmetric: g sends back the change of γ along g.
    frames, labels = (_bound(x, v) for x in xs[:2])
    along = v.attributes["along"]
    moved = xs[0].at({frames: Affine.axis(along)})
    attributes = {"blank": v.attributes["blank"], "along": frames}
    change = g.builder.emit(
        "ctc_curvature", (moved, *xs[1:], g), attributes, reduced=(along, labels), axes=(frames,)
    )
    return (change, None, None, None)


def _curvature_vjp(g: Term, y: Term, xs: Sequence[Term], v: Value) -> Sequence[Term | None]:
    raise UnsupportedError("ctc has no third derivative, only the first two")


register(
    Op(
        name="ctc",
        usage="ctc[t,u](log_softmax(o[t]), labels[u])",
        kind=Kind.KERNEL,
        infer=_ctc_type,
        evaluate=_ctc,
        vjp=_ctc_vjp,
        selects=True,
        arity=(2, 2),
        options={"blank": 0, "impossible": inf},
        partial=True,
        categories=(1,),
        flops=30,
    )
)
register(
    Op(
        name="ctc_occupancy",
        hidden=True,
        kind=Kind.KERNEL,
        infer=_classes,
        evaluate=_occupancy,
        vjp=_occupancy_vjp,
        selects=True,
        categories=(1,),
        flops=70,
    )
)
register(
    Op(
        name="ctc_curvature",
        hidden=True,
        kind=Kind.KERNEL,
        infer=_classes,
        evaluate=_curvature,
        vjp=_curvature_vjp,
        selects=True,
        categories=(1,),
        flops=150,
    )
)
