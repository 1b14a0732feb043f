"""The adjoint Program unfolded: gradients flow from the loss down and back in time.

forward   h[0] -> h[1] -> h[2]          adjoint   ∂h[0] <- ∂h[1] <- ∂h[2]
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from unfold.core.program import Program
from unfold.drawing.blocks import plan_adjoint, plan_blocks
from unfold.drawing.boxes import Box
from unfold.drawing.finish import finish
from unfold.drawing.render import Figure
from unfold.drawing.scene import Scene
from unfold.drawing.scheme import Scheme
from unfold.unfolded.lines import Line


def draw(scene: Scene) -> Figure:
    """Draw the adjoints of the equations, each below its forward one."""
    adjoint = scene.adjoint()
    whole = scene.whole_scheme(adjoint)
    scheme, forward = map(scene.joined, (adjoint_scheme(whole), forward_scheme(whole)))
    plan = plan_adjoint(plan_blocks(forward, scene.options.columns), scheme)
    title = f"{adjoint.name}, backward"
    return Figure(finish(scene.unrolling(scheme, plan).sketch(title, scene.styles)))


def adjoint_scheme(scheme: Scheme) -> Scheme:
    """Return the part of a differentiated Program's scheme that is adjoint.

    Gradients of parameters are left out: they sum over all steps.
    """
    program = scheme.program
    names = [n for n, b in scheme.boxes.items() if b.is_adjoint and not _of_parameter(program, b)]
    found = scheme.between(names)
    lines = tuple(replace(x, via=x.via[::-1]) for x in found.lines)  # nearest to the forward source
    # This ignores parameters that only the forward values in an adjoint depend on.
    read = {n: dict.fromkeys(p for x in lines if x.target == n for p in _factors(x)) for n in names}
    boxes = {n: replace(b, parameters=tuple(read[n])) for n, b in found.boxes.items()}
    return replace(found, boxes=boxes, lines=lines)


def _factors(line: Line) -> Iterator[str]:
    return (r.value for r in (*line.via, *line.others))


def _of_parameter(program: Program, box: Box) -> bool:
    forward = box.forward
    return forward is not None and forward in program.values and program[forward].is_parameter


def forward_scheme(scheme: Scheme) -> Scheme:
    """Return the part of a differentiated Program's scheme that is not adjoint."""
    return scheme.between([n for n, b in scheme.boxes.items() if not b.is_adjoint])
