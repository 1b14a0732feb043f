"""Elaboration: from a parsed file to a verified Program.

    Spec ──expand──▶ definitions ──infer──▶ axes and types ──build──▶ Program ──verify──▶

Types of recurrent equations depend on one another. Inference translates every equation with the
types known so far, until nothing changes. One more pass collects the mistakes, and only a spec
without any is built. An equation that depends on a mistaken one stays silent, so that one mistake
is reported once.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from unfold.core.affine import Affine
from unfold.core.align import align
from unfold.core.bounds import narrow
from unfold.core.build import Builder
from unfold.core.program import BATCH, Axis, Program, StopRule
from unfold.core.verify import verify
from unfold.spec.file.model import Spec
from unfold.spec.file.sections import parse_spec_partly
from unfold.spec.meaning.boundaries import add_boundaries, declared
from unfold.spec.meaning.endings import Endings
from unfold.spec.meaning.equations import define
from unfold.spec.meaning.expand import Expansion, root_scope
from unfold.spec.meaning.files import CellFiles, check_extents, check_overrides, settle_open
from unfold.spec.meaning.infer import Inference
from unfold.spec.meaning.limits import check_program
from unfold.spec.meaning.scope import Definition, Scope
from unfold.spec.meaning.targets import check_targets
from unfold.spec.text.problems import Problems, fail


@dataclass(frozen=True)
class Elaborated:
    """The meaning of a file.

    Attributes:
        spec: the file.
        program: the equations; its values keep their places in the file.
        sizes: the named sizes in force.
        stop: the rule for the end of a free run, if there is one.
    """

    spec: Spec
    program: Program
    sizes: Mapping[str, int]
    stop: StopRule | None


def elaborate(
    text: str,
    file: str,
    *,
    sizes: Mapping[str, int] | None = None,
    axes: Mapping[str, int] | None = None,
) -> Elaborated:
    """Turn the text of a spec into a Program.

    Args:
        text: the whole file.
        file: its path as the user wrote it.
        sizes: values in place of the file's sizes.
        axes: extents in place of the file's.

    Raises:
        SpecError: every independent mistake of the file, of syntax and of meaning.
    """
    problems = Problems()
    spec = parse_spec_partly(text, file, problems)
    if spec is None:
        problems.raise_if_any()
    assert spec is not None, file
    if spec.kind == "cell":
        problems.raise_if_any()
        raise fail(
            f"{file} is a cell, not a model",
            spec.locate("cell"),
            help=f"use it in a model: l1[t]: {spec.name}(x[t])",
        )
    check_overrides(spec, sizes or {}, axes or {})
    scope, found = root_scope(spec, problems, dict(sizes or {}), dict(axes or {}))
    if check_extents(spec, found, problems):
        found = settle_open(spec, found, axes or {})
    expansion = _expand(spec, scope, found, problems)
    if expansion.is_full:
        problems.raise_if_any()
    inference = Inference(expansion.names, expansion.axes)
    inference.run(problems)
    endings = Endings(spec, scope, inference)
    endings.check(problems)
    problems.raise_if_any()
    assert not problems.broken and not inference.mistakes, (problems.broken, inference.mistakes)
    inference.check_known()
    program, stop = _build(spec, inference, endings)
    check_program(program, problems)
    check_targets(program, declared(inference.names, inference.headers), problems)
    problems.raise_if_any()
    verify(program)
    sizes = {n: int(d) for n, d in scope.sizes.items()}
    return Elaborated(spec, program, sizes, stop)


def _expand(spec: Spec, scope: Scope, axes: Mapping[str, Axis], problems: Problems) -> Expansion:
    """Return every definition of the file and of the cells it calls."""
    whole = {BATCH: Axis(BATCH, Affine.number(1)), **axes}
    expansion = Expansion(CellFiles().load, problems, whole)
    for declaration in spec.inputs:
        target = declaration.target
        with problems.collect(target.name):
            own = expansion.axes_of(target, scope)
            expansion.define(Definition(target.name, own, scope, target.at, input=declaration))
    expansion.file(scope)
    return expansion


def _build(spec: Spec, inference: Inference, endings: Endings) -> tuple[Program, StopRule | None]:
    """Build the Program; only sizes and cycles can still be wrong."""
    names, headers = inference.names, inference.headers
    builder = Builder(dict(inference.axes), pending=inference.types)
    for definition in names.definitions.values():
        define(definition, builder, names, headers)
    add_boundaries(names, headers, builder)
    stop = endings.add(builder)
    ordered = sorted(builder.values.values(), key=lambda v: (not v.is_parameter, not v.is_input))
    loss = endings.loss_name if spec.loss is not None else None
    program = Program(spec.name, dict(builder.axes), {v.name: v for v in ordered}, (), loss)
    aliases = names.other_names()
    program = replace(program, outputs=endings.outputs(program), aliases=aliases)
    return align(narrow(program)), stop
