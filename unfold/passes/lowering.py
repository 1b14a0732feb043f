"""The order of the passes: from the equations of a spec to those that a run or a Plan computes.

Read this first. Every list is data: a pass, and why it stands where it does. `lower` runs a list,
and verifies the Program after each pass.

    forward      to_mode (to_chunk) (to_next)
    gradients    ... ZEROS to_derivative
    compiled     ... to_backend to_plan, and then `unfold.planning.plan` makes the Plan
    written      settle close separate choose (`unfold.passes.decoding`), and then as above

`unfold.passes.pipeline` keeps what these lists make of one spec. `unfold.passes.segments` and
`unfold.passes.step_map` cut a Program, and lower the pieces by the same lists.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial

from unfold.core.align import align
from unfold.core.program import Program
from unfold.core.verify import verify
from unfold.passes.boundaries import lower_boundaries
from unfold.passes.carry import carry_state, hand_over
from unfold.passes.decompose import decompose
from unfold.passes.differentiate import differentiate
from unfold.passes.lengths import mask_lengths
from unfold.passes.modes import ProgramMode, resolve_modes
from unfold.passes.newest import count_newest
from unfold.passes.pack import pack
from unfold.passes.products import join_products
from unfold.passes.reach import Reach

Pass = Callable[[Program], Program]
Passes = tuple[tuple[Pass, str], ...]

ALIGN: Passes = ((align, "some cycles have an order only if one axis has one name in them"),)
ZEROS: Passes = ((lower_boundaries, "adjoints and buffers know only zeros outside of a domain"),)


def lower(program: Program, passes: Passes) -> Program:
    """Return what passes make of a Program, verified after each that changed it."""
    for rewrite, _ in passes:
        made = rewrite(program)
        program = made if made is program else verify(made)
    return program


def to_mode(
    mode: ProgramMode,
    *,
    training: bool = False,
    start: bool = True,
    some_begin: str | None = None,
    counted: str | None = None,
) -> Passes:
    """Return how the Program of a spec becomes that of one mode.

    Args:
        mode, training, start, some_begin: see `resolve_modes`.
        counted: the axis of a chunk whose loss counts its newest points alone, if it does.
    """
    resolve = partial(
        resolve_modes, mode=mode, training=training, start=start, some_begin=some_begin
    )
    found: Passes = ((resolve, "no later pass knows of feedback and dropout"),)
    if counted is None:
        return found
    count = partial(count_newest, axis=counted)
    return ((count, "the loss is counted once, the same in every mode"), *found)


def to_chunk(axis: str, states: Mapping[str, int], *, some_begin: bool = False) -> Passes:
    """Return how a resolved Program goes on along an axis; see `carry_state`."""
    carry = partial(carry_state, axis=axis, needed=states, some_begin=some_begin)
    return ((carry, "a state stands where boundaries stood, so it comes before their zeros"),)


def to_next(axis: str, states: Mapping[str, int], overlap: int = 0) -> Passes:
    """Return how a resolved Program hands its state on; see `hand_over`."""
    hand = partial(hand_over, axis=axis, needed=states, overlap=overlap)
    return ((hand, "a state may lie outside of a domain, so it comes before zeros do"),)


def to_derivative(wrt: Iterable[str], *, of: str | None = None) -> Passes:
    """Return how a Program with zeros outside of domains gets its adjoint; see `differentiate`."""
    adjoint = partial(differentiate, wrt=tuple(wrt), of=of)
    return ((adjoint, "gradients are equations, so all that follows is the same for them"),)


def to_backend(varying: Iterable[str] = ()) -> Passes:
    """Return how a Program, forward or adjoint, becomes one that a Plan can be made of.

    Args:
        varying: axes whose length differs per sequence.
    """
    found: Passes = (
        *ZEROS,
        (join_products, "a sum and its product are one, as long as no mask is between them"),
    )
    axes = frozenset(varying)
    mask = partial(mask_lengths, varying=axes)
    return (*found, (mask, "no later pass knows of lengths")) if axes else found


def to_plan(reach: Reach) -> Passes:
    """Return how such a Program becomes that whose equations a Plan computes.

    Args:
        reach: which indices are no plain strides.
    """
    return (
        (partial(decompose, reach=reach), "a GEMM has two operands"),
        (pack, "products that share an operand are one GEMM"),
        *ALIGN,
    )
