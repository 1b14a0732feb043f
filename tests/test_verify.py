"""`verify`: every rule of a Program can be broken, and is then noticed.

Each case takes a Program that is right and spoils one thing in it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from programs import T, rnn

from unfold.core.affine import Affine
from unfold.core.origin import Written
from unfold.core.program import BATCH, Axis, Program, Ref, Value
from unfold.core.types import Type
from unfold.core.verify import verify
from unfold.errors import CycleError

B = Affine.axis(BATCH)


def change(program: Program, key: str, **changes: Any) -> Program:
    """Change one value, under its key."""
    values = dict(program.values)
    values[key] = replace(values[key], **changes)
    return replace(program, values=values)


def read(program: Program, name: str, position: int, ref: Ref) -> Program:
    """Change what one operand reads."""
    operands = list(program[name].operands)
    operands[position] = ref
    return change(program, name, operands=tuple(operands))


def product(program: Program) -> str:
    """Return the name of the product W @ h[t-1]."""
    return next(v.name for v in program.of("einsum") if v.operands[0].value == "W")


BROKEN: dict[str, Callable[[Program], Program]] = {
    "a name that is not its key": lambda p: change(p, "o", name="p"),
    "a name that is not its origin's": lambda p: change(p, "o", origin=Written("p")),
    "an unknown op": lambda p: change(p, "o", op="conjure"),
    "a composite op": lambda p: change(p, "h", op="softmax"),
    "an unknown axis": lambda p: change(p, "h", axes=(BATCH, "u")),
    "an axis twice": lambda p: change(p, "h", axes=(BATCH, "t", "t")),
    "an axis kept and reduced": lambda p: change(p, product(p), reduced=("t",)),
    "batch that is not first": lambda p: change(p, "h", axes=("t", BATCH)),
    "an op that cannot reduce": lambda p: replace(
        change(p, "h", reduced=("s",)), axes={**p.axes, "s": Axis("s", Affine.number(2))}
    ),
    "an unknown operand": lambda p: read(p, "h", 0, Ref("nothing", (B, T))),
    "too few indices": lambda p: read(p, product(p), 1, Ref("h", (B,))),
    "an index of an axis that is not there": lambda p: read(
        p, product(p), 1, Ref("h", (B, Affine.axis("u")))
    ),
    "another sequence of the batch": lambda p: read(p, product(p), 1, Ref("h", (B - 1, T - 1))),
    "a boundary along an axis it lacks": lambda p: change(
        p, "h", boundary={"u": Ref("x", (B, Affine.number(0)))}
    ),
    "a boundary along batch": lambda p: change(
        p, "h", boundary={BATCH: Ref("x", (B, Affine.number(0)))}
    ),
    "a boundary that is not there": lambda p: change(p, "h", boundary={"t": Ref("nothing", ())}),
    "a boundary of another type": lambda p: change(p, "h", boundary={"t": Ref("W", ())}),
    "a wrong type": lambda p: change(p, "h", type=Type((3,))),
    "an operand of another type": lambda p: change(p, "x", type=Type((3,))),
    "a category among numbers": lambda p: change(p, "h", operands=(Ref("c", (B, T)),)),
    "an unknown output": lambda p: replace(p, outputs=("nothing",)),
    "an unknown loss": lambda p: replace(p, loss="nothing"),
}


def right() -> Program:
    program = rnn()
    category = Value("c", (BATCH, "t"), Type((2,), "category"), "input", origin=Written("c"))
    return replace(program, values={**program.values, "c": category})


def test_what_is_right_passes() -> None:
    program = right()
    assert verify(program) is program
    start = Ref("x", (B, Affine.last("t")))
    verify(change(program, "h", boundary={"t": start}))


@pytest.mark.parametrize("what", BROKEN)
def test_what_is_wrong_is_noticed(what: str) -> None:
    with pytest.raises(AssertionError) as caught:
        verify(BROKEN[what](right()))
    assert caught.value.args, "an assertion without the values that broke it"


def test_an_illegal_cycle_is_the_users_mistake() -> None:
    program = right()
    with pytest.raises(CycleError):
        verify(read(program, product(program), 1, Ref("h", (B, T))))
