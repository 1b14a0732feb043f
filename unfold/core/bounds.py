"""Bounds: affine forms that are not negative where a value exists or a reduction counts.

    c[t] = sum[s <= t](e[t,s] * v[s])        the form t - s, over the axis t and the reduced axis s

In: forms of a reader's axes (`Value.within`) and a reference. Out: what the forms say of what is
read (`pulled`), whether they imply another form (`implies`), how far an index is from an axis under
them (`reach`). `narrow` gives every equation of a spec the bounds that follow from its neighbours:

* a product is nowhere where one of its factors is nowhere, and neither is a sum of such products;
* an equation that is read at some of its points alone exists at no others.

The second is what makes a cycle through a causal reduction legal: the scores `e[t,s]` are needed
for s <= t alone, so they read no later key. Both look at forms of the same shape only, which is
enough for what people write; where a form is not recognised, a value exists at more points.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from fractions import Fraction
from itertools import product
from math import inf
from typing import NamedTuple

from unfold.core.affine import Affine, Parts, Terms
from unfold.core.program import BATCH, Program, Ref, Value

Forms = tuple[Affine, ...]
Key = tuple[Terms, Terms, Parts]
MOST_WEAKENINGS = 3  # of one form, on the way round a cycle


class Offsets(NamedTuple):
    """The least and the largest offset with which a reference reads along an axis.

    A delay h[t-1] has the span (-1, -1), a window h[t-k-1] with three points k has (-3, -1), and
    h[2*t+1] (1, inf): a tree is computed from its leaves.
    """

    low: float
    high: float

    @property
    def behind(self) -> bool:
        """Whether only earlier points are read."""
        return self.high < 0

    @property
    def ahead(self) -> bool:
        """Whether only later points are read."""
        return self.low > 0

    @property
    def here(self) -> bool:
        """Whether the reader's own point may be read."""
        return self.low <= 0 <= self.high


def simplified(forms: Iterable[Affine]) -> Forms:
    """Return forms without those that others of the same shape, or the domain, imply.

    Forms with parts are left out: a value then exists at more points.
    """
    strongest: dict[Key, Affine] = {}
    for form in forms:
        if form.parts or (form.constant >= 0 and _is_positive(form)):
            continue
        other = strongest.get(_key(form))
        if other is None or form.constant < other.constant:
            strongest[_key(form)] = form
    return tuple(strongest.values())


def implies(given: Iterable[Affine], wanted: Affine) -> bool:
    """Return whether a form is not negative wherever none of the given ones is."""
    if wanted.constant >= 0 and _is_positive(wanted):
        return True
    return any(_key(f) == _key(wanted) and f.constant <= wanted.constant for f in given)


def moved(forms: Iterable[Affine], replacements: Mapping[str, Affine]) -> Forms:
    """Replace axes in forms; a divisor does not change where a form is negative."""
    return tuple(replace(f.substitute(replacements), divisor=1) for f in forms)


def at_reader(source: Value, ref: Ref) -> Forms:
    """Return the bounds of a value that is read, in terms of the reader's axes."""
    return moved(bounds_of(source), dict(zip(source.axes, ref.index, strict=True)))


def is_covered(reader: Value, ref: Ref, source: Value) -> bool:
    """Return whether a reader reads nothing outside of the bounds of what it reads."""
    return all(implies(reader.within, f) for f in at_reader(source, ref))


def bounds_of(value: Value) -> Forms:
    """Return the forms over a value's own axes: those that say where it exists."""
    return tuple(f for f in value.within if set(f.axes) <= set(value.axes))


def can_hold(forms: Forms, free: Mapping[str, Sequence[str]], given: Forms) -> bool:
    """Return whether free axes have points at which forms hold, wherever the other axes are.

    Args:
        forms: over free and other axes.
        free: to each free axis the other ones over the same points.
        given: forms of the other axes that hold.
    """
    names = sorted({a for f in forms for a in f.axes} & set(free))
    choices = [
        [Affine.number(0), *(p for b in (a, *free[a]) for p in (Affine.last(b), Affine.axis(b)))]
        for a in names
    ]
    return any(
        all(implies(given, f) for f in moved(forms, dict(zip(names, points, strict=True))))
        for points in product(*choices)
    )


def pulled(forms: Iterable[Affine], source: Value, ref: Ref) -> Forms:
    """Return what a reader's bounds say of the points that it reads.

    Args:
        forms: over the reader's axes.
        source: what is read.
        ref: how.
    """
    known: dict[str, Affine] = {}
    for axis, index in sorted(
        zip(source.axes, ref.index, strict=True), key=lambda p: len(p[1].axes)
    ):
        free = [a for a in index.axes if a not in known]
        if axis == BATCH or not index.is_linear or len(free) != 1:
            continue
        (reader,) = free
        if abs(index.coefficient(reader)) == 1:
            point = Affine.axis(f"{axis}#")
            known[reader] = index.substitute(known).solve(reader, point)
    names = {f"{a}#": a for a in source.axes}
    return tuple(
        f.rename(names)
        for f in moved((f for f in forms if set(f.axes) <= set(known)), known)
        if source.batched or not f.lasts
    )


def reach(
    index: Affine, axis: str, extents: Mapping[str, int], within: Sequence[Affine] = ()
) -> Offsets:
    """Return the least and the largest value of `index - axis` over all index points.

    Args:
        index: along `axis`, in terms of the reader's axes.
        axis: of the value that is read.
        extents: those that are known; other axes have any number of points.
        within: bounds of the reader.
    """
    offset = index.offset_from(axis)
    if offset is not None:
        return Offsets(offset, offset)
    distance = index - Affine.axis(axis)
    low, high = _range(distance, extents)
    numerator = replace(distance, divisor=1)
    for bound in within:
        for name in set(bound.axes) & set(numerator.axes):
            ours, theirs = numerator.coefficient(name), bound.coefficient(name)
            # With k > 0 and a form f >= 0:  |theirs| d = (|theirs| d +- k f) -+ k f.
            rest = numerator * abs(theirs) - bound * (ours if theirs > 0 else -ours)
            least, most = (b / abs(theirs) / distance.divisor for b in _range(rest, extents))
            if (ours > 0) == (theirs > 0):
                low = max(low, least)
            else:
                high = min(high, most)
    return Offsets(low, high)


def _range(form: Affine, extents: Mapping[str, int]) -> tuple[float, float]:
    """Return the least and the largest value of a form over the box of its axes."""
    terms: dict[str, Fraction] = {}
    lasts: dict[str, Fraction] = {}
    low, high = _linear(form, Fraction(1), terms, lasts, extents)
    for name in {*terms, *lasts}:
        most = extents[name] - 1 if name in extents else inf
        here, end = terms.get(name, 0), lasts.get(name, 0)
        # The corners of 0 <= index <= last <= most.
        corners = [float(c * most) if c else 0.0 for c in (end, here + end)]
        low, high = low + min(0.0, *corners), high + max(0.0, *corners)
    return low, high


def _linear(
    form: Affine,
    factor: Fraction,
    terms: dict[str, Fraction],
    lasts: dict[str, Fraction],
    extents: Mapping[str, int],
) -> tuple[float, float]:
    """Add up the coefficients of a form, times a factor; return bounds of the rest."""
    factor /= form.divisor
    for total, own in ((terms, form.terms), (lasts, form.lasts)):
        for name, coefficient in own:
            total[name] = total.get(name, Fraction(0)) + factor * coefficient
    low = high = float(factor * form.constant)
    for part, coefficient in form.parts:
        own = factor * coefficient
        first = last = 0.0
        if part.remainder:
            spread = float(own) * _range(part.by - 1, extents)[1]
        else:  # floor(e / d) is e / d less at most (d - 1) / d
            by = part.by.constant
            first, last = _linear(part.inner, own / by, terms, lasts, extents)
            spread = float(own * (1 - by) / by)
        low, high = low + first + min(spread, 0.0), high + last + max(spread, 0.0)
    return low, high


def narrow(program: Program) -> Program:
    """Return the Program of a spec with the bounds that follow from those that are written."""
    if not any(v.within for v in program):
        return program
    return _demanded(_vanishing(program))


def _vanishing(program: Program) -> Program:
    """Let products, and sums of them, exist where all their factors do."""
    values = dict(program.values)
    waiting = [v.name for v in program if _factors(v)]
    grew = True
    while grew:
        grew = False
        for name in waiting:
            value = values[name]
            forms = [
                f
                for ref in _factors(value)
                for f in at_reader(values[ref.value], ref)
                if value.batched or not f.lasts
            ]
            within = simplified((*value.within, *forms))
            if set(within) != set(value.within):
                values[name] = replace(value, within=within)
                waiting = [n for n in waiting if n != name]  # once: a cycle could go on for ever
                grew = True
                break
    return replace(program, values=values)


def _factors(value: Value) -> tuple[Ref, ...]:
    """Return the operands of which one alone makes a value zero."""
    if value.row.factors:
        return value.operands
    return value.operands[:1] if value.row.vanishes else ()


def _demanded(program: Program) -> Program:
    """Let every equation exist where it is read, asked for or part of the loss."""
    reads = {v.name: [(r, program[r.value]) for r in program.reads(v)] for v in program}
    read = {r.value for found in reads.values() for r, _ in found}
    whole = {v.name for v in program if v.name not in read}
    whole |= {*program.outputs, *([program.loss] if program.loss else [])}
    demand: dict[str, dict[Key, Affine]] = {n: {} for n in whole}
    weakened: dict[tuple[str, Key], int] = {}
    work = list(whole)
    while work:
        value = program[work.pop()]
        own = simplified((*value.within, *demand[value.name].values()))
        for ref, source in reads[value.name]:
            new = {_key(f): f for f in simplified(pulled(own, source, ref))}
            old = demand.get(source.name)
            joined = new if old is None else _joined(source.name, old, new, weakened)
            if joined != old:
                demand[source.name] = joined
                work.append(source.name)
    return program.with_values(_narrowed(v, demand.get(v.name, {}).values()) for v in program)


def _joined(
    name: str,
    old: Mapping[Key, Affine],
    new: Mapping[Key, Affine],
    weakened: dict[tuple[str, Key], int],
) -> dict[Key, Affine]:
    """Return what two demands on a value have in common."""
    found: dict[Key, Affine] = {}
    for key in old.keys() & new.keys():
        weaker = max(old[key], new[key], key=lambda f: f.constant)
        count = weakened.get((name, key), 0) + (weaker != old[key])
        weakened[name, key] = count
        if count <= MOST_WEAKENINGS:
            found[key] = weaker
    return found


def _narrowed(value: Value, forms: Iterable[Affine]) -> Value:
    if value.source is not None:
        return value
    return replace(value, within=simplified((*value.within, *forms)))


def _key(form: Affine) -> Key:
    return form.terms, form.lasts, form.parts


def _is_positive(form: Affine) -> bool:
    """Whether a form without its constant is nowhere negative."""
    if form.parts:
        return False
    ends = dict(form.lasts)
    for axis, factor in form.terms:  # 0 <= index <= last
        if factor < 0 and ends.get(axis, 0) < -factor:
            return False
        if factor < 0:
            ends[axis] += factor
    return all(c >= 0 for c in ends.values())
