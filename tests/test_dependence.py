"""The order of equations: loops where a dependence needs one, and nothing else in them.

`show` prints a nest: `for t (z h)` runs forward through t, `back t (∂h)` from the last step, and
what stands outside of parentheses is computed for all index points at once. Only named equations
are shown.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

import naive
import pytest
from gradients import sample
from recurrences import MEANINGS, extents, lengths, text

import unfold
from unfold.core.bounds import Offsets
from unfold.core.dependence import Block, Loop, Single, components, edges, order
from unfold.core.program import Program
from unfold.errors import CycleError


def show(program: Program, blocks: Iterable[Block]) -> str:
    parts = []
    for block in blocks:
        if isinstance(block, Loop):
            word = {1: "for", -1: "back"}[block.direction]
            parts.append(f"{word} {block.axis} ({show(program, block.body)})")
        elif program[block.name].is_named and program[block.name].operands:
            parts.append(block.name)
    return " ".join(parts)


# (spec, mode) -> the order of its Program, and what the adjoint adds
ORDERS = {
    ("char-rnn", "teacher"): (
        "for t (h) y loss",
        "∂loss ∂y back t (∂h) ∂W_hh ∂W_xh ∂W_hy ∂b_h ∂b_y",
    ),
    ("lstm-stack", "teacher"): (
        "for t (l1.z l1.i l1.f l1.o l1.g l1.s l1.h)"
        " for t (l2.z l2.i l2.f l2.o l2.g l2.s l2.h) o loss",
        "∂loss ∂o back t (∂l2.h ∂l2.s ∂l2.i ∂l2.f ∂l2.o ∂l2.g ∂l2.z)"
        " back t (∂l1.h ∂l1.s ∂l1.i ∂l1.f ∂l1.o ∂l1.g ∂l1.z)"
        " ∂V ∂c ∂l1.W ∂l1.U ∂l1.b ∂l2.W ∂l2.U ∂l2.b ∂l1.s.initial",
    ),
    ("bidirectional", "teacher"): (
        "for t (h) back t (g) o loss",
        "∂loss ∂o back t (∂h) for t (∂g) ∂W ∂U ∂b ∂Q ∂P ∂d ∂V ∂Z ∂c ∂g.initial",
    ),
    # With a teacher nothing is left to unfold in time.
    ("pattern-output", "teacher"): ("prev h o loss", "∂loss ∂o ∂h ∂R ∂U ∂V ∂b ∂c"),
    ("pattern-output", "free"): (
        "for t (prev h o) loss",
        "∂loss back t (∂o ∂h ∂prev) ∂R ∂U ∂V ∂b ∂c",
    ),
    ("encoder-decoder", "teacher"): (
        "for s (h) C prev for t (d) o choice loss",
        "∂loss ∂o back t (∂d) ∂C back s (∂h) ∂W ∂U ∂b ∂M ∂W_d ∂R ∂K ∂b_d ∂V ∂c",
    ),
    ("attention", "teacher"): (
        "for s (h) prev for t (e a c d) o choice loss",
        "∂loss ∂o back t (∂d ∂c ∂a ∂e) back s (∂h) ∂W ∂U ∂b ∂A ∂B ∂v ∂W_d ∂R ∂K ∂b_d ∂V ∂b_o",
    ),
    ("attention", "free"): (
        "for s (h) for t (e a c prev d o choice) loss",
        "∂loss ∂o back t (∂d ∂c ∂a ∂e) back s (∂h) ∂W ∂U ∂b ∂A ∂B ∂v ∂W_d ∂R ∂K ∂b_d ∂V ∂b_o",
    ),
    ("rnn-2d", "teacher"): (
        "for i (for j (h)) o loss",
        "∂loss ∂o back i (back j (∂h)) ∂W ∂Q ∂U ∂b ∂V ∂c",
    ),
    ("recurrent-highway", "teacher"): (
        "for t (for l (u g s)) o loss",
        "∂loss ∂o back t (back l (∂s ∂u ∂g)) ∂W_H ∂R_H ∂b_H ∂W_T ∂R_T ∂b_T ∂V ∂c",
    ),
    ("tdnn", "teacher"): ("g h o loss", "∂loss ∂o ∂h ∂g ∂K ∂b ∂M ∂d ∂V ∂c"),
}


# What the loss of a mode does not need.
UNUSED = {(name, "teacher"): " choice" for name in ("encoder-decoder", "attention")}


@pytest.mark.parametrize(("name", "mode"), ORDERS)
def test_order(name: str, mode: str) -> None:
    model = unfold.load(name)
    program = model.pipeline.resolved(mode=mode)
    forward, backward = ORDERS[name, mode]
    found = show(program, order(program))
    assert found == forward
    wrt = [v.name for v in program.parameters]
    adjoint = model.pipeline.adjoint(wrt, mode=mode, training=False)
    needed = forward.replace(UNUSED.get((name, mode), ""), "")
    assert show(adjoint, order(adjoint)) == f"{needed} {backward}"


def test_products_with_the_input_leave_the_loop() -> None:
    model = unfold.load("pattern-hidden")
    program = model.program
    blocks = order(program)
    loop = next(b for b in blocks if isinstance(b, Loop))
    inside = {n for n in names(loop.body)}
    products = [v for v in program.of("einsum") if v.node == "a"]
    placed = {v.operands[0].value: v.name in inside for v in products}
    assert placed == {"W": True, "U": False}
    assert all(n not in inside for n in program.values if program[n].node in ("o", "loss"))


def names(blocks: Iterable[Block]) -> Iterator[str]:
    for block in blocks:
        if isinstance(block, Single):
            yield block.name
        else:
            yield from names(block.body)


# Every node is computed after what it reads


def times(
    blocks: Sequence[Block], at: tuple[int, ...], fixed: Mapping[str, int], program: Program,
    sizes: Mapping[str, int],
) -> Iterator[tuple[tuple[str, tuple[int, ...]], tuple[int, ...]]]:  # fmt: skip
    """Yield every node with the moment at which it is computed, a tuple that is compared."""
    for position, block in enumerate(blocks):
        if isinstance(block, Single):
            own = naive.inner(program[block.name])
            free = tuple(a for a in own if a not in fixed)
            for point in naive.points(free, sizes):
                where = {**fixed, **point}
                here = {a: where[a] for a in own}
                if not naive.within(program[block.name], here, sizes):
                    continue
                yield (block.name, tuple(where[a] for a in own)), (*at, position)
            continue
        for step in range(sizes[block.axis]):
            moment = step if block.direction > 0 else sizes[block.axis] - 1 - step
            inner = {**fixed, block.axis: step}
            yield from times(block.body, (*at, position, moment), inner, program, sizes)


@pytest.mark.parametrize("name", MEANINGS)
def test_what_is_read_was_computed(name: str) -> None:
    """For the Program and its adjoint, node by node, against the graph that `naive` writes down."""
    own = lengths(name, 5)
    model, *_ = sample(text(name), extents(own), own)
    wrt = [v.name for v in model.program.parameters]
    for program in (model.program, model.pipeline.adjoint(wrt, training=False)):
        domain = unfold_domain(program, extents(own))
        moments = dict(times(order(program), (), {}, program, domain))
        graph = naive.unfolded(program, domain)
        assert {n for n in graph if n[0] != "outside"} == set(moments)
        for source, reader in graph.edges():
            for node in graph.predecessors(source) if source[0] == "outside" else [source]:
                if node[0] != "outside" and reader[0] != "outside":
                    assert moments[node] < moments[reader], (node, reader)


def unfold_domain(program: Program, sizes: Mapping[str, int]) -> Mapping[str, int]:
    from unfold.runs.domain import Domain

    return Domain(program, {a: n for a, n in sizes.items() if a in program.axes}).extents


# Offsets


def offsets(equation: str, axes: str = "t: 5") -> list[dict[str, Offsets]]:
    """Return the spans with which `h` is read by the equation of `y`."""
    first = equation.split(":")[0].split("[")[1].split("]")[0]
    spec = f"""
unfold: 1
name: offsets
axes: {{{axes}}}
inputs: {{x[t]: [2]}}
nodes:
  h[t]: tanh(x[t])
  y[{first}]: {equation.split(":")[1]}
outputs: [y]
"""
    program = unfold.loads(spec).program
    readers = {n for n in program.values if program[n].node == "y"}
    found = [e for e in edges(program) if e.source == "h" and e.reader in readers]
    return [dict(e.offsets) for e in found]


INFINITE = float("inf")


@pytest.mark.parametrize(
    ("equation", "axes", "span"),
    [
        ("y[t]: h[t-2]", "t: 5", (-2, -2)),
        ("y[t]: h[t] + 1", "t: 5", (0, 0)),
        ("y[t]: h[t+3]", "t: 5", (3, 3)),
        ("y[t]: sum[k](h[t-k-1])", "t: 5, k: 3", (-3, -1)),
        ("y[t]: sum[k](h[t+k-2])", "t: 5, k: 3", (-2, 0)),
        ("y[t]: sum[k](h[t+2*k+1])", "t: 5, k: 3", (1, 5)),
        ("y[t]: h[2*t+1]", "t: 5", (1, INFINITE)),
        ("y[t]: h[last]", "t: 5", (0, INFINITE)),
        ("y[t]: h[last-t]", "t: 5", (-INFINITE, INFINITE)),
        ("y[t]: h[0]", "t: 5", (-INFINITE, 0)),
        ("y[t,s]: h[s] * t", "t: 5, s: t", (-INFINITE, INFINITE)),
        ("y[t,s]: h[t-s-1]", "t: 5, s: 4", (-4, -1)),
    ],
)
def test_offsets(equation: str, axes: str, span: tuple[float, float]) -> None:
    assert offsets(equation, axes) == [{"t": Offsets(*span)}]


def test_extents_of_a_run_bound_a_window() -> None:
    """h[t+k-3] is a delay while k has three points."""
    model = unfold.loads(text("window up to now"))
    order(model.program, {"t": 9, "k": 3})
    with pytest.raises(CycleError):
        order(model.program, {"t": 9, "k": 4})


# What cannot be ordered


@pytest.mark.parametrize(
    ("nodes", "message"),
    [
        (["h[t]: tanh(h[t])"], "same index point"),
        (["a[t]: tanh(c[t])", "b[t]: a[t] + x[t]", "c[t]: b[t] * 2"], "same index point"),
        (["h[t]: h[t-1] + h[t+1]"], "both earlier and later"),
        (["a[t]: b[t-1] + x[t]", "b[t]: a[t+1]"], "both earlier and later"),
        (["h[t]: sum[k](h[t-k])"], "in the order of any axis"),
        (["h[t]: h[last-t] + x[t]"], "in the order of any axis"),
        (["h[t]: sum[s](h[s]) + x[t]"], "in the order of any axis"),
        (["h[t]: h[last] + x[t]"], "in the order of any axis"),
    ],
)
def test_illegal_cycles(nodes: list[str], message: str) -> None:
    shaped = "\n".join(f"  {n}" for n in nodes).replace("h[t]: ", "h[t]: x[t] + ", 1)
    spec = f"""
unfold: 1
name: illegal
axes: {{t: 5, s: t, k: 3}}
inputs: {{x[t]: [2]}}
nodes:
{shaped}
outputs: [{nodes[0][0]}]
"""
    with pytest.raises(CycleError, match=message):
        unfold.loads(spec)


def test_a_cycle_may_need_several_axes() -> None:
    """a needs b one row up, b needs a one column to the left and one row up: one loop is enough."""
    spec = """
unfold: 1
name: rows
axes: {i: 3, j: 4}
inputs: {x[i,j]: [2]}
nodes:
  a[i,j]: tanh(b[i-1,j+1] + x[i,j])
  b[i,j]: a[i-1,j-2]
outputs: [b]
"""
    program = unfold.loads(spec).program
    assert show(program, order(program)) == "for i (a b)"


def test_components_come_in_order() -> None:
    program = unfold.load("lstm-stack").program
    found = components(list(program.values), edges(program))
    place = {n: i for i, component in enumerate(found) for n in component}
    for edge in edges(program):
        assert place[edge.source] <= place[edge.reader]
    assert sorted(place) == sorted(program.values)
