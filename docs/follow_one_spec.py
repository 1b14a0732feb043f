"""Write docs/follow-one-spec.md: one spec from YAML to gradients, printed after each file.

python docs/follow_one_spec.py            # rewrites the page; a test keeps it true
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

import unfold
from unfold.core.dependence import Block, Loop, order
from unfold.core.printing import show_program
from unfold.core.program import Program
from unfold.passes.boundaries import lower_boundaries
from unfold.passes.differentiate import differentiate
from unfold.passes.modes import resolve_modes
from unfold.shipped import find
from unfold.spec.file.sections import parse_spec
from unfold.terminal.plan_text import cost_columns, statement_lines
from unfold.training.data import random_inputs
from unfold.unfolded.graph import Node
from unfold.unfolded.levels import levels

HERE = Path(__file__).parent
PAGE = HERE / "follow-one-spec.md"
SPEC = find("pattern-last")
STEPS = 3


def page() -> str:
    """Return the whole page."""
    text = SPEC.read_text(encoding="utf-8")
    model = unfold.load(SPEC, axes={"t": STEPS})
    resolved = resolve_modes(model.program)
    lowered = lower_boundaries(resolved)
    adjoint = differentiate(lowered, [v.name for v in model.program.parameters])
    added = [v.name for v in adjoint if v.name not in lowered.values]
    inside = [v.name for v in lowered if v.name not in resolved.values or v.op == "where"]
    parts = [
        _INTRODUCTION,
        _section("1. The file", "specs/unfolding/pattern-last.yaml", _FILE, text, "yaml"),
        _section("2. The parsed spec", "unfold/spec/file/sections.py", _PARSED, _spec(text)),
        _section(
            "3. The Program",
            "unfold/spec/meaning/elaborate.py",
            _PROGRAM,
            show_program(model.program),
        ),
        _section(
            "4. Boundaries made explicit",
            "unfold/passes/boundaries.py",
            _LOWERED,
            show_program(lowered, only=[*inside, "h.1"]),
        ),
        _section(
            "5. The adjoint",
            "unfold/passes/differentiate.py",
            _ADJOINT,
            show_program(adjoint, only=added),
        ),
        _section("6. The order", "unfold/core/dependence.py", _ORDER, _order(adjoint)),
        _section("7. The unfolded graph", "unfold/unfolded/graph.py", _GRAPH, _graph(model)),
        _section("8. The run", "unfold/unfolded/reference.py", _RUN, _run(model)),
        _section("9. The Plan", "unfold/planning/plan.py", _PLAN, _plan(model)),
    ]
    return "\n".join(parts)


def _section(title: str, file: str, words: str, block: str, language: str = "text") -> str:
    return f"## {title}\n\n`{file}`. {words}\n\n```{language}\n{block.rstrip()}\n```\n"


def _spec(text: str) -> str:
    spec = parse_spec(text, "specs/unfolding/pattern-last.yaml")
    equation = spec.nodes[0]
    lines = [
        f"spec.name       {spec.name}",
        f"spec.axes       {[a.name for a in spec.axes]}",
        f"spec.parameters {[p.target.name for p in spec.parameters]}",
        f"spec.initial    {[(i.name, i.kind) for i in spec.initial]}",
        f"spec.nodes[0]   {equation.targets[0].at.source} = {equation.expression.at.source}",
        f"  written at    {equation.expression.at.location}",
        f"  its tree      {type(equation.expression).__name__}"
        f"({', '.join(type(a).__name__ for a in equation.expression.arguments)})",
    ]
    return "\n".join(lines)


def _order(program: Program) -> str:
    def lines(blocks: tuple[Block, ...], depth: int) -> list[str]:
        found: list[str] = []
        for block in blocks:
            if isinstance(block, Loop):
                way = "forwards" if block.direction > 0 else "backwards"
                found.append(f"{'  ' * depth}for {block.axis}, {way}:")
                found += lines(block.body, depth + 1)
            elif program[block.name].op not in ("input", "parameter", "constant"):
                found.append(f"{'  ' * depth}{block.name}")
        return found

    return "\n".join(lines(order(program), 0))


def _graph(model: unfold.Model) -> str:
    graph = model.unfold(t=STEPS)
    level = levels(graph.program, graph.domain)
    rows = [f"{graph.number_of_nodes()} nodes, {graph.number_of_edges()} edges"]
    for name in ("x", "h", "o", "loss"):
        array = level[name]
        rows.append(f"level of {name:<5} {array.tolist()}")
    read = ", ".join(str(node) for node in graph.predecessors(Node("h", (1,))))
    return "\n".join([*rows, f"h[1] reads {read}"])


def _run(model: unfold.Model) -> str:
    params = model.init(seed=0)
    inputs = random_inputs(model.program, batch=2, seed=0)
    run = model.forward(params, inputs)
    loss, grads = model.value_and_grad(params, inputs)
    rows = [f"h has the shape {list(run['h'].shape)}, [batch, t, hidden]", f"loss {loss:.6f}"]
    rows += [f"|∂{n}| = {np.linalg.norm(g):.6f}   {list(g.shape)}" for n, g in grads.items()]
    return "\n".join(rows)


def _plan(model: unfold.Model) -> str:
    found = model.plan(batch=2)
    rows = statement_lines(found.rows, cost_columns(found.rows, found.flops, found.bytes), 96)
    return "\n".join(map(str, rows))


_INTRODUCTION = """<!-- written by docs/follow_one_spec.py -->

# Follow one spec

This page follows a spec through nine files, from YAML to gradients and compiled loops. The program
itself prints every block below (`python docs/follow_one_spec.py`), with T = 3.
"""
_FILE = "A recurrent network that reads a sequence and gives one answer at its end."
_PARSED = (
    "The parser turns text into pieces with locations: every name and every part of an expression"
    " knows its line and column. Nothing is interpreted yet."
)
_PROGRAM = (
    "This stage resolves names, inlines cells and infers shapes. One equation of the file may"
    " become several values: `h.1` is a part of `h`. `| outside t` is the boundary, which is the"
    " value that `h[t-1]` reads at the first step. The right column shows the type, in terms of the"
    " sizes."
)
_LOWERED = (
    "The learned initial state becomes an ordinary `where`, so that every read outside a domain is"
    " zero. Only changed values are shown."
)
_ADJOINT = (
    "The gradient of a set of recurrence equations is another such set. The delay `t-1` becomes"
    " `t+1`, the fixed index `last` becomes a condition, and each weight gradient becomes one"
    " product summed over batch and time. Only added values are shown."
)
_ORDER = (
    "Two loops remain, one forwards and one backwards. Everything else is computed for all steps"
    " at once."
)
_GRAPH = (
    "The graph is the Program instantiated at every index point. It is never stored: nodes and"
    " edges are index arithmetic. The level of a node is the length of the longest path that ends"
    " there."
)
_RUN = "The reference walks the graph, wavefront by wavefront, forward and through the adjoint."
_PLAN = (
    "The Plan is the same adjoint for the Target of the compiled backend, the CPU: the loop nest,"
    " with operations and bytes. Values that depend only on inputs and parameters are computed"
    " before the loops, weight gradients after them. `unfold explain pattern-last --plan` prints"
    " more details, and [the compiled engine](engine.md) explains how to read them."
)


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
