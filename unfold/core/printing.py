"""Printing a Program the way its spec would write it.

z.1[t] = einsum<ij,j->i>(W, h[t-1])   : [4*hidden]
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from math import prod
from typing import Any, cast

from unfold.core.affine import Affine
from unfold.core.op import OPS
from unfold.core.program import BATCH, Program, Ref, Value
from unfold.core.types import dims

HIDDEN = ("dim", "init_at")
"""Attributes that a spec does not write where the equation stands."""


def show_index(indices: list[Affine]) -> str:
    """Return `[t-1,s]`, or nothing without indices."""
    return f"[{','.join(i.show() for i in indices)}]" if indices else ""


def show_ref(program: Program, ref: Ref) -> str:
    """Return a reference without its batch index."""
    axes = program[ref.value].axes
    return ref.value + show_index([i for a, i in zip(axes, ref.index, strict=True) if a != BATCH])


def show_type(value: Value) -> str:
    """Return the shape by names: `[4*hidden]`, `number`, `category(vocab)`."""
    shape = ", ".join(d.text for d in dims(value.type.shape))
    if value.type.kind == "category":
        return f"category({shape})"
    if value.type.kind == "bool":
        return f"bool[{shape}]" if shape else "bool"
    return f"[{shape}]" if shape else "number"


def _attribute(value: Any) -> str:
    if isinstance(value, Affine):
        return value.show()
    if isinstance(value, tuple):
        return "[" + ", ".join(map(str, cast(tuple[Any, ...], value))) + "]"
    return str(value)


def show_expression(program: Program, value: Value) -> str:
    """Return the right-hand side of an equation."""
    operands = [show_ref(program, r) for r in value.operands]
    if value.is_contraction:
        letters = value.attributes["equation"]
        bound = f"sum{show_reduced(value)}" if value.reduced else ""
        if letters in ("ij,j->i", "i,i->", "ij,jk->ik", "i,ij->j"):
            product = " @ ".join(operands)
            return f"{bound}({product})" if bound else product
        return f"{bound}einsum<{letters}>({', '.join(operands)})"
    if value.is_constant:
        return str(value.attributes["value"])
    symbol = OPS[value.op].symbol
    if symbol and not value.reduced:
        return symbol.format(*operands)
    options = [
        f"{k}={_attribute(v)}"
        for k, v in value.attributes.items()
        if v is not None and k not in HIDDEN
    ]
    over = show_reduced(value) if value.reduced else ""
    return f"{value.op}{over}({', '.join(operands + options)})"


def show_form(form: Affine) -> str:
    """Return that a form is not negative, as a person would write it: `s <= t`."""
    sign, form = ("<", form + 1) if form.constant < 0 else ("<=", form)
    less = Affine(
        tuple((n, -c) for n, c in form.terms if c < 0),
        -min(0, form.constant),
        tuple((n, -c) for n, c in form.lasts if c < 0),
    )
    return f"{less.show()} {sign} {(form + less).show()}"


def show_reduced(value: Value) -> str:
    """Return the axes that an equation reduces over, with their bounds: `[s <= t]`."""
    forms = [f for f in value.within if set(f.axes) & set(value.reduced)]
    named = {a for f in forms for a in f.axes}
    return f"[{','.join([*(a for a in value.reduced if a not in named), *map(show_form, forms)])}]"


def show_value(program: Program, value: Value) -> str:
    """Return one equation as a line, its boundaries after it."""
    left = value.name + show_index([Affine.axis(a) for a in value.axes if a != BATCH])
    text = f"{left} = {show_expression(program, value)}"
    own = [f for f in value.within if set(f.axes) <= set(value.axes)]
    if own:
        text += f"  | for {' and '.join(map(show_form, own))}"
    for axis, ref in value.boundary.items():
        text += f"  | outside {axis}: {show_ref(program, ref)}"
    return text


def show_program(program: Program, only: Collection[str] | None = None) -> str:
    """Return a Program, or `only` some of it: one equation a line, types on the right."""
    shown = [v for v in program if only is None or v.name in only]
    lines = [show_value(program, v) for v in shown]
    width = min(72, max((len(line) for line in lines), default=0))
    typed = [
        f"  {line:<{width}} : {show_type(v)}{'  (shared)' if v.axes and not v.batched else ''}"
        for line, v in zip(lines, shown, strict=True)
    ]
    axes = ", ".join(
        f"{a.name} = {a.extent.show()}" for a in program.axes.values() if a.name != BATCH
    )
    head = f"program {program.name}   axes {axes or 'none'}"
    tail = [f"  loss {program.loss}"] if program.loss else []
    return "\n".join([head, *typed, *tail])


def shapes_of(program: Program, extents: Mapping[str, int]) -> dict[str, Any]:
    """Return the types of inputs, the shapes of parameters, and how many numbers those hold."""
    shapes = {
        v.name: [*(extents[a] for a in v.axes), *map(int, v.type.shape)] for v in program.parameters
    }
    return {
        "inputs": {v.name: v.type.show() for v in program.inputs},
        "parameters": shapes,
        "parameter_count": sum(prod(s) for s in shapes.values()),
    }
