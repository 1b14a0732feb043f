"""Prepare a Program for writing: what it says becomes what it reads, by a rule that can be chosen.

Four rewrites, on the Program of the spec with its feedback still in it:

    settle     tau = feedback(steps[last], exp(l))    tau = exp(l): over no axis, so no output
    separate   prev[t] = feedback(y[t-1], argmax(o[t-1]))     prev.said[t] = argmax(o[t])
                                                      prev[t] = feedback(y[t-1], prev.said[t-1])
    close      reads x[t], scores y[t]; no feedback           x.said[t] = argmax(y[t])
                                                      x.fed[t] = feedback(x[t], x.said[t-1])
    choose     argmax(o[t]), wherever it stands               argmax(decoding.scores[t])
                                                      decoding.scores = o + decoding.noise

The noise is an input. Zeros make the choice greedy; T times Gumbel's numbers (Gumbel 1954) make it
a draw at the temperature T, so neither temperature nor seed is part of the Program, and a whole
piece of output is one run of compiled code. With `narrow`, the scores of all but the best few are
first lowered beyond reach. The few are what a threshold leaves of p = exp((o - max o) / T):

    floor[t,i] = floor[t,i-1] + 2^-(i+1)   where, at that threshold, still k symbols remain
                                           or the share `top_p` of all p (a bisection over i)

so that k and the share are numbers and not part of the Program either. Symbols whose p is less
than 2^-HALVINGS of the best one's are not told apart. With both k and a share, a symbol has to pass
both.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from unfold.core.affine import Affine
from unfold.core.build import Builder, Term
from unfold.core.op import Source
from unfold.core.origin import Fed, Part, Setting, Written
from unfold.core.program import BATCH, Axis, Program, Ref, Value
from unfold.core.types import Type
from unfold.errors import UnsupportedError
from unfold.passes.boundaries import zero_of

NOISE, SCORES, WARMTH, TOP_K, TOP_P, HALVING = (
    Setting("decoding", ".", n) for n in ("noise", "scores", "warmth", "top_k", "top_p", "halving")
)
FLOOR = Part(Written("decoding"), "floor")
HALVINGS = 40
UNREACHABLE = -1e30


@dataclass(frozen=True)
class Feedback:
    """How output becomes input.

    Attributes:
        said: the values that are fed back, [batch, axis, ...]; the first one is the output.
        axis: along which.
        teacher: the input that takes their place in training.
        lead: steps before the first symbol of the teacher is read: 1 for y[t-1], 0 for x[t].
        scores: the value whose largest entry is said; None where numbers are.
        temperature: of the spec's own `sample`; 0 for its argmax.
    """

    said: tuple[str, ...]
    axis: str
    teacher: str
    lead: int
    scores: str | None
    temperature: float = 0.0


def start_of(teacher: str) -> Fed:
    """Return the origin of the input that says what is read before the first output."""
    return Fed(teacher, "start")


def settle(program: Program) -> Program:
    """Return the Program with the free branch of every feedback that is over no axis.

    Such a one is no output that is read a step later. It says what stands in for something that is
    known in training alone, such as the number of steps, and writing never knows it.
    """
    builder = Builder.of(program)
    for value in program.feedbacks:
        if set(value.axes) <= {BATCH}:
            free = value.operands[1:]
            builder.values[value.name] = replace(value, op="identity", operands=free)
    return builder.build(program)


def close(program: Program, reads: str, says: str) -> Program:
    """Return the Program with a feedback from a value to the input that reads it a step later.

    Args:
        program: whose input `reads` is given from outside.
        reads: an input over one axis, which stays the teacher.
        says: scores of its classes, or a value of its type, over the same axis.

    Raises:
        UnsupportedError: they do not fit together.
    """
    value, source = program[reads], program[says]
    axes = [a for a in value.axes if a != BATCH]
    scores = value.type.kind == "category" and source.type.kind == "real"
    fits = source.type.shape == value.type.shape if scores else source.type == value.type
    if not value.is_input or len(axes) != 1 or source.axes != value.axes or not fits:
        raise UnsupportedError(
            f"{says} cannot be fed back as {reads}: {reads} must be an input over one axis, "
            f"and {says} must have the same axis and "
            f"{'one score per class' if scores else 'its shape'}\n"
            f"  {reads} is {_show(value)}, {says} is {_show(source)}"
        )
    builder = Builder.of(program)
    at = {axes[0]: Affine.axis(axes[0]) - 1}
    said = _say(builder, reads, builder.term(says), argmax=scores)
    origin, begin = Fed(reads, "fed"), start_of(reads)
    name = origin.name
    start = builder.add(Value(begin.name, (BATCH,), value.type, "input", origin=begin))
    _bound(builder, said, axes[0], start.ref)
    builder.origin, builder.at = origin, value.at
    builder.emit("feedback", (builder.term(reads), said.at(at)), origin=origin)
    builder.values[name] = replace(builder.values[name], boundary=value.boundary)
    for other in program:
        if other.name != reads:
            operands = tuple(_renamed(r, reads, name) for r in other.operands)
            boundary = {a: _renamed(r, reads, name) for a, r in other.boundary.items()}
            builder.values[other.name] = replace(other, operands=operands, boundary=boundary)
    return builder.build(program)


def separate(program: Program) -> tuple[Program, Feedback]:
    """Return the Program with a value for what each feedback says, and how that is fed back.

    Args:
        program: with at least one feedback.

    Raises:
        UnsupportedError: several outputs are fed back, along several axes, or not from the step
            before.
    """
    builder = Builder.of(program)
    loops = [_separated(builder, program, value) for value in program.feedbacks]
    first, *others = loops
    for other in others:
        if (other.axis, other.teacher, other.lead) != (first.axis, first.teacher, first.lead):
            raise UnsupportedError(
                f"{program.name} feeds back two outputs, instead of {first.teacher} and "
                f"{other.teacher}; it can run in free mode, but cannot generate"
            )
    return builder.build(program), replace(first, said=tuple(n for p in loops for n in p.said))


def choose(program: Program, loop: Feedback, *, narrow: bool) -> Program:
    """Return the Program with noise added to the scores before the largest one is taken.

    Args:
        program: from `separate`.
        loop: with scores.
        narrow: whether only the best few take part: `decoding.warmth` (1 / temperature),
            `decoding.top_k` and `decoding.top_p` become parameters.
    """
    assert loop.scores is not None
    builder, scores = Builder.of(program), program[loop.scores]
    own = (BATCH, *(a for a in scores.axes if a != BATCH))
    builder.origin, builder.at = SCORES, scores.at
    noise = builder.add(Value(NOISE.name, own, scores.type, "input", origin=NOISE))
    raised = builder.term(scores.name)
    if narrow:
        raised = _narrowed(builder, raised)
    chosen = builder.emit("add", (raised, noise), origin=SCORES)
    here = builder.values[SCORES.name].axes
    for value in program.of("argmax"):
        found, _ = peel(builder, value.operands[0])
        if found.value == scores.name and value.batched:
            at = {BATCH: Affine.axis(BATCH), **dict(zip(scores.axes, found.index, strict=True))}
            ref = Ref(chosen.ref.value, tuple(at[a] for a in here))
            builder.values[value.name] = replace(value, operands=(ref,))
    return builder.build(program)


def peel(program: Program | Builder, ref: Ref) -> tuple[Ref, float]:
    """Return the scores below the noise and the temperature of a `sample`, and that temperature.

    Args:
        program: where the reference is to be looked up.
        ref: what an argmax reads; anything but a sample is returned as it is, with 0.
    """
    added = program.values[ref.value]
    if added.op != "add" or added.is_named:
        return ref, 0.0
    parts = [r for r in added.operands if not _is_noise(program, r)]
    if len(parts) != 1:
        return ref, 0.0
    inner = parts[0].substitute(_at(added, ref))
    scaled = program.values[inner.value]
    if scaled.op == "div" and not scaled.is_named:
        divisor = program.values[scaled.operands[1].value]
        if divisor.is_constant:
            below = scaled.operands[0].substitute(_at(scaled, inner))
            return below, float(divisor.attributes["value"])
    return inner, 1.0


def end_symbol(program: Program, loop: Feedback, when: str) -> int | None:
    """Return the symbol that ends a sequence where the rule is that it is said, else None.

    Args:
        program: of the spec.
        loop: how it feeds back.
        when: the value of the stopping rule, as in  argmax(o[t]) == 0.
    """
    rule = program[when]
    if rule.op != "equal" or loop.scores is None:
        return None
    left, right = (program[r.value] for r in rule.operands)
    number, said = (left, right) if left.is_constant else (right, left)
    if not number.is_constant or said.op != "argmax":
        return None
    if not float(number.attributes["value"]).is_integer():
        return None  # no class equals it
    here = peel(program, said.operands[0])[0] == program[loop.scores].here
    return int(number.attributes["value"]) if here else None


def _separated(builder: Builder, program: Program, value: Value) -> Feedback:
    """Give what one feedback says a name of its own."""
    teacher, free = value.operands
    inputs = {r for r in _cone(program, teacher) if program[r.value].is_input}
    cone = _cone(program, free)
    parts = [program[r.value] for r in cone if not program[r.value].is_named]
    inner = next((v for v in parts if v.op == "argmax"), None)
    if inner is not None:
        origins = {peel(program, inner.operands[0])[0]}
    else:
        origins = {r for r in cone if program[r.value].is_named and not _is_source(program, r)}
    if len(inputs) != 1 or len(origins) != 1 or _axis(program, *origins) is None:
        raise UnsupportedError(
            f"{f'{value.at}: ' if value.at else ''}{value.node} does not feed back the "
            f"output of the previous step in place of "
            f"one input\n"
            f"  help: write  {value.node}[t]: feedback(teacher=y[t-1], free=choice[t-1])"
        )
    (read,), (shown,) = inputs, origins
    origin, axis = program[shown.value], _axis(program, shown)
    assert axis is not None
    said = _say(builder, value.name, builder.term(origin.name), argmax=inner is not None)
    outside, back = origin.boundary.get(axis), said.at(_at(origin, shown)).ref
    scores, warmth = None, 0.0
    if inner is not None:
        scores, warmth = origin.name, peel(program, inner.operands[0])[1]
        first = builder.read(outside) if outside else zero_of(builder, origin)
        outside = first.apply("argmax").ref
        builder.values[inner.name] = replace(inner, op="identity", operands=(back,))
    else:
        if origin.op == "argmax":
            below, warmth = peel(program, origin.operands[0])
            scores = below.value if below == program[below.value].here else None
        for part in parts:
            operands = tuple(back if r == shown else r for r in part.operands)
            builder.values[part.name] = replace(part, operands=operands)
        if free == shown:
            builder.values[value.name] = replace(value, operands=(teacher, back))
    if outside is not None:
        _bound(builder, said, axis, outside)
    place = program[read.value].axes.index(axis)
    lead = -(read.index[place].offset_from(axis) or 0)
    return Feedback((said.ref.value,), axis, read.value, lead, scores, warmth)


def _narrowed(builder: Builder, scores: Term) -> Term:
    """Return scores of which all but the best few are beyond reach."""
    axis = HALVING.name
    builder.axes[axis] = Axis(axis, Affine.number(HALVINGS))
    fixed = {"init": "ones", "argument": None, "frozen": True}
    warmth, count, share = (
        builder.add(Value(n.name, (), Type(), "parameter", attributes=fixed, origin=n))
        for n in (WARMTH, TOP_K, TOP_P)
    )
    zero, one = builder.number(0.0), builder.number(1.0)
    p = ((scores - scores.apply("feature_max", keep=True)) * warmth).apply("exp")
    total = p.apply("feature_sum")
    own = builder.ordered({*scores.axes, axis})
    builder.pending[FLOOR.name] = Type()
    here = {a: Affine.axis(a) for a in own}
    before = builder.read(Ref(FLOOR.name, tuple((here | {axis: here[axis] - 1})[a] for a in own)))
    index = {"index": here[axis] + 1}
    halving = builder.emit("index", (), index, axes=(axis,), type=Type())
    middle = before + builder.number(0.5) ** halving
    below = p.apply("less", middle)
    enough = below.apply("where", zero, one).apply("feature_sum").apply("greater_equal", count)
    mass = below.apply("where", zero, p).apply("feature_sum")
    raised = enough.apply("or", mass.apply("greater_equal", total * share))
    builder.emit("where", (raised, middle, before), origin=FLOOR)
    last = {axis: Affine.number(HALVINGS - 1)}
    floor = builder.term(FLOOR.name).at(last)
    return p.apply("less", floor).apply("where", builder.number(UNREACHABLE), scores)


def _say(builder: Builder, node: str, term: Term, *, argmax: bool) -> Term:
    builder.origin = Fed(node, "said")
    return builder.emit("argmax" if argmax else "identity", (term,), origin=builder.origin)


def _bound(builder: Builder, said: Term, axis: str, outside: Ref) -> None:
    value = builder.values[said.ref.value]
    builder.values[value.name] = replace(value, boundary={axis: outside})


def _cone(program: Program, start: Ref) -> list[Ref]:
    """Return what an operand reads through the unnamed parts of its equation, itself included."""
    found, work = dict[Ref, None](), [start]
    while work:
        ref = work.pop()
        found[ref] = None
        part = program[ref.value]
        if not part.is_named:
            work += [r.substitute(_at(part, ref)) for r in part.operands]
    return list(found)


def _at(value: Value, ref: Ref) -> dict[str, Affine]:
    return dict(zip(value.axes, ref.index, strict=True))


def _axis(program: Program, ref: Ref) -> str | None:
    """Return the axis along which a reference reads one step before, if it does that alone."""
    pairs = zip(program[ref.value].axes, ref.index, strict=True)
    moved = [(a, i) for a, i in pairs if i != Affine.axis(a)]
    return moved[0][0] if len(moved) == 1 and moved[0][1].offset_from(moved[0][0]) == -1 else None


def _is_source(program: Program, ref: Ref) -> bool:
    return program[ref.value].source is not None


def _is_noise(program: Program | Builder, ref: Ref) -> bool:
    """Say whether a value is made of random numbers alone."""
    value = program.values[ref.value]
    if value.source is Source.RANDOM:
        return True
    below = value.operands if not value.is_named else ()
    return bool(below) and all(_is_noise(program, r) for r in below)


def _renamed(ref: Ref, old: str, new: str) -> Ref:
    return replace(ref, value=new) if ref.value == old else ref


def _show(value: Value) -> str:
    axes = ", ".join(a for a in value.axes if a != BATCH)
    return f"{value.name}{f'[{axes}]' if axes else ''}: {value.type.show()}"
