"""What a spec has beside equations: initial values, the loss, how it stops, how it is run."""

from __future__ import annotations

from dataclasses import dataclass, field

from tests.differential.case import Equation, Mode, Piece, Run
from tests.differential.draft import Cycle, Draft, Place, Source
from tests.differential.expressions import Writer

BATCH = {1: 2.0, 2: 4.0, 3: 3.0, 4: 1.0, 5: 1.5, 9: 0.4, 17: 0.3}
LONG = 5000  # steps over which the roundings of one number after the other would show
STEPS = {1: 1.2, 2: 2.0, 3: 2.0, 4: 2.0, 5: 2.0, 6: 1.0, 7: 1.0, 17: 0.1}


@dataclass
class Written:
    """What has been written of a spec.

    Attributes:
        equations: in their order.
        before: what could be read when a node's group was begun.
        grids: the cycles of two axes, by member.
        truths: inputs that a feedback reads.
        tags: for the histogram.
    """

    equations: list[Equation] = field(default_factory=list)
    before: dict[str, tuple[Source, ...]] = field(default_factory=dict)
    grids: dict[str, Cycle] = field(default_factory=dict)
    truths: list[str] = field(default_factory=list)
    tags: list[str] = field(default_factory=list)


def initial(w: Writer, written: Written) -> dict[str, Piece]:
    """Return entries of `initial` for about half of what has an axis."""
    d = w.draft
    found: dict[str, Piece] = {}
    everything = tuple(d.values)
    parameters = [p for p in d.parameters if p.axes and d.chance(0.2)]
    for number, source in enumerate([*everything, *parameters]):
        chance = 0.9 if source.name in written.grids else 0.5
        if not source.axes or not d.chance(chance):
            continue
        before = written.before.get(source.name, everything[:number])
        d.values = list(before)
        found |= _entries(w, source, written)
    d.values = list(everything)
    return found


def _entries(w: Writer, source: Source, written: Written) -> dict[str, Piece]:
    """Return one entry about all axes of a value, or one for some of them."""
    d = w.draft
    if len(source.axes) == 1 and source.kind != "bool" and d.chance(0.3):
        return {source.name: _points(w, source)}
    if len(source.axes) == 1 or d.chance(0.3):
        return {source.name: _value(w, source, Place())}
    found: dict[str, Piece] = {}
    cycle = written.grids.get(source.name)
    for axis in source.axes:
        key = f"{source.name}[{axis}]"
        others = tuple(a for a in source.axes if a != axis)
        second = None if cycle is None else cycle.second
        if cycle is not None and second is not None and axis == second[0] and d.chance(0.5):
            end = "last" if second[1] > 0 else "first"
            at = {cycle.main: f"{cycle.main}{-cycle.direction:+d}", axis: end}
            index = ", ".join(at[a] for a in source.axes)
            found[key] = Piece(f"{source.name}[{index}]", tag="initial: where a step ended")
        elif d.chance(0.7):
            found[key] = _value(w, source, Place(others))
    return found


def _points(w: Writer, source: Source) -> Piece:
    """Return values for single points outside of an axis, before it and after it."""
    d = w.draft
    ends = ("last+1", "last+2") if source.batched else ()  # a parameter is the same for all
    points = [p for p in ("-1", "-2", "-3", *ends) if d.chance(0.5)] or ["-1"]
    pieces = tuple(_value(w, source, Place()) for _ in points)
    text = ", ".join(f"{p}: {{{i}}}" for i, p in enumerate(points))
    bound = max(p.bound for p in pieces)
    return Piece(f"{{{{{text}}}}}", pieces, "initial: points", bound)


def _value(w: Writer, source: Source, place: Place) -> Piece:
    d = w.draft
    where = "" if not place.axes else " along one axis"
    if source.kind == "category":
        number = d.rng.randrange(-1, d.extent(source.shape[0]))
        found = d.sources(place, lambda v: v.kind == "category" and v.shape == source.shape)
        if found and d.chance(0.3):
            return Piece(d.read(d.pick(found), place).text, tag="initial: a category")
        return Piece(str(number), tag="initial: a class")
    if source.kind == "bool":
        if source.shape:
            return Piece("zeros", tag="initial: zeros")
        return Piece(d.pick(["1 > 0", "zeros"]), tag="initial: a condition")
    form = d.weigh({"zeros": 1, "ones": 1, "number": 1, "learned": 3, "expression": 4})
    tag = f"initial: {form}{where}"
    if form in ("zeros", "ones", "learned"):
        return Piece(form, tag=tag)
    if form == "number" or not source.batched:  # what a parameter reads is the same for all
        return Piece(d.pick(["0.5", "-0.25", "1", "2"]), tag=tag)
    piece = w.tame(w.real(source.shape, place, d.rng.randrange(3)), 3.0)
    return Piece("{0}", (piece,), tag, piece.bound)


# The loss


def loss(w: Writer, written: Written) -> tuple[Piece, ...]:
    """Return the terms of the loss, most nodes in one each."""
    d = w.draft
    nodes = [v for v in d.values if v.name in written.before and v.kind != "bool"]
    chosen = [v for v in nodes if d.chance(0.8)] or nodes[-1:]
    terms = [_term(w, v) for v in chosen]
    if not terms:
        number = Piece("0.5 * sum[t](t * b0)")
        d.declared["b0"] = "[]"
        return (number,)
    return tuple(terms)


def _term(w: Writer, source: Source) -> Piece:
    d = w.draft
    index, open_axes = [], []
    for axis in source.axes:
        if d.chance(0.85):
            index.append(axis)
            open_axes.append(axis)
        else:
            index.append(d.pick(["last", "first", "0", "last-1"]))
    text = f"{source.name}[{', '.join(index)}]" if index else source.name
    piece = _number(w, source, Piece(text, tag="read"), Place((), tuple(open_axes)))
    d.rng.shuffle(open_axes)
    while open_axes:
        count = min(len(open_axes), d.weigh({1: 3.0, 2: 1.0}))
        axes, open_axes = open_axes[:count], open_axes[count:]
        name = d.weigh({"sum": 4, "mean": 5, "max": 0.6, "logsumexp": 0.6, "min": 0.3})
        for axis in axes if name in ("max", "min") else ():
            piece = w.depends(piece, axis, certainly=True)
        piece = Piece(f"{name}[{', '.join(axes)}]({{0}})", (piece,), f"loss: {name} over axes")
    factor = d.pick(["", "", "0.3 * ", "2 * "])
    return Piece(f"{factor}{{0}}", (piece,))


def _number(w: Writer, source: Source, read: Piece, place: Place) -> Piece:
    """Return a number that depends on what is read."""
    d = w.draft
    if source.kind == "category":
        logits = w.real(source.shape, place, 1)
        return Piece("cross_entropy({0}, {1})", (logits, read), "loss: cross_entropy")
    rank = len(source.shape)
    if rank == 0:
        return Piece(d.pick(["{0} * {0}", "sin({0})", "softplus({0})"]), (read,), "loss: number")
    form = d.weigh({"square": 3, "sum": 1, "mse": 2, "bce": 0.7, "classes": 3, "other": 1})
    if form in ("mse", "bce"):
        target = w.real(source.shape, place, 1)
        text = "mse({0}, {1})" if form == "mse" else "bce({0}, sigmoid({1}))"
        return Piece(text, (read, target), f"loss: {form}")
    if form == "classes" and rank == 1:
        same = d.sources(place, lambda v: v.kind == "category" and v.shape == source.shape)
        if same:
            parts = (read, d.read(d.pick(same), place))
            return Piece("cross_entropy({0}, {1})", parts, "loss: cross_entropy")
        soft = w.real(source.shape, place, 1)
        return Piece("cross_entropy({0}, softmax({1}))", (read, soft), "loss: cross_entropy")
    if form == "sum" and rank == 1:
        return Piece("sum({0})", (read,), "loss: sum")
    if form == "square" and rank == 1:
        return Piece("({0} @ {0})", (read,), "loss: square")
    if form == "other" and rank == 1:
        text = d.pick(["logsumexp({0})", "max({0})", "min({0})", "mean({0} * {0})"])
        return Piece(text, (read,), "loss: other")
    return Piece("norm({0} + 0.3)", (read,), "loss: norm")


# The run


def stop(w: Writer, written: Written) -> str:
    """Return a rule that ends free runs, or nothing."""
    d = w.draft
    if not d.chance(0.35):
        return ""
    most = d.rng.randint(1, 6)
    found = [v for v in d.values if v.axes == ("t",) and v.name in written.before]
    if d.chance(0.3):
        return f"{{extent: {{t: {d.pick(['3.3', '1.2 + 1.5', '0.2'])}}}, at_most: {most}}}"
    if not found:
        return ""
    source = d.pick(found)
    name = f"{source.name}[t]"
    if source.kind == "category":
        return f"{{when: {name} == 0, at_most: {most}}}"
    if source.kind == "bool":
        return f"{{when: {name}, at_most: {most}}}" if not source.shape else ""
    number = {0: name, 1: f"sum({name})", 2: f"norm({name})"}[len(source.shape)]
    return f"{{when: {number} > 0.173, at_most: {most}}}"


def run(d: Draft, written: Written) -> Run:
    """Return how a case is run."""
    batch = d.weigh(BATCH)
    extents: dict[str, int] = {}
    lengths: dict[str, list[int]] = {}
    for axis in d.axes.values():
        if axis.origin == "data":
            extents[axis.name] = d.weigh(STEPS)
            if d.chance(0.55):
                top = extents[axis.name]
                lengths[axis.name] = [d.rng.randint(1, top) for _ in range(batch)]
                if d.chance(0.8):
                    lengths[axis.name][d.rng.randrange(batch)] = top
    long = len(d.axes) == 1 and d.chance(0.03)
    if long:
        extents, lengths = dict.fromkeys(extents, LONG), {}
    free = bool(written.truths)
    modes: dict[Mode, float] = {
        "teacher": 4.0 if free else 9.0,
        "free": 4.0 if free else 1.5,
        ("scheduled", d.pick([0.5, 0.25, 1.0])): 2.5 if free else 0.0,
    }
    mode = d.weigh(modes)
    return Run(
        batch=batch,
        extents=extents,
        lengths=lengths,
        mode=mode,
        training=d.chance(0.7),
        seed=d.rng.randrange(1000),
        chunks=2 if d.chance(0.15) else 1,
        spare=1 if d.chance(0.2) else 0,
        missing=tuple(written.truths) if mode == "free" and d.chance(0.5) else (),
        garbage=d.chance(0.3),
        spoiled=d.chance(0.02),
        alike=long,
    )
