"""Affine index expressions: the one notion of time, delay, window and micro-step.

An `Affine` is  floor((sum_a coefficient_a * a + sum_a last_a * last(a) + constant) / divisor)  over
axis names `a`, where `last(a)` is the largest index of axis `a` in the sequence that is being run.
As an *index* it must divide exactly (where it does not, it is outside of every domain); as an
*extent* it is floored.

    t-1        Affine.axis("t") - 1
    2*t+k-1    Affine.axis("t") * 2 + Affine.axis("k") - 1
    last - t   Affine.last("t") - Affine.axis("t")

Affine indices are closed under substitution and under solving for one of their axes, which is what
makes the adjoint of a Program a Program: reading `x[2*t+k-1]` scatters to `t = (p-k+1)/2`.

Beside axes there may be whole parts of other expressions, as if they were axes: what is left of a
division by a number that is floored (`l//2`), and a remainder by the length of a sequence
(`(i-k) % (last+1)`). A remainder by a number is made of the former: `l%3` is `l - 3*(l//3)`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from math import gcd
from typing import Any

Terms = tuple[tuple[str, int], ...]


def _merge(*parts: tuple[Terms, int]) -> Terms:
    """Add up scaled term lists and drop the zeros."""
    total: dict[str, int] = {}
    for terms, factor in parts:
        for name, coefficient in terms:
            total[name] = total.get(name, 0) + coefficient * factor
    return tuple(sorted((name, c) for name, c in total.items() if c))


def _gather(*parts: tuple[Parts, int]) -> Parts:
    """Add up scaled lists of parts and drop the zeros."""
    total: dict[Division, int] = {}
    for own, factor in parts:
        for part, coefficient in own:
            total[part] = total.get(part, 0) + coefficient * factor
    return tuple(sorted(((p, c) for p, c in total.items() if c), key=str))


@dataclass(frozen=True)
class Division:
    """A whole number made of an expression: floor(inner / by), or inner mod by.

    Attributes:
        inner: the expression.
        by: a positive number, or, in a remainder, one that depends on where sequences end.
        remainder: which of the two.
    """

    inner: Affine
    by: Affine
    remainder: bool = False

    def evaluate(self, index: Mapping[str, Any], last: Mapping[str, Any]) -> tuple[Any, Any]:
        """Return (value, whether the expression divides exactly)."""
        value, exact = self.inner.evaluate(index, last)
        by, _ = self.by.evaluate(index, last)
        return (value % by if self.remainder else value // by), exact

    def map(self, function: Callable[[Affine], Affine]) -> Affine:
        """Return the part of a changed expression."""
        inner, by = function(self.inner), function(self.by)
        return inner % by if self.remainder else inner.floor(by.constant)

    def show(self, rename: Callable[[str], str]) -> str:
        """Return the part as a person would write it."""
        inner, by = self.inner.show(rename), self.by.show(rename)
        inner = inner if inner.isalnum() else f"({inner})"
        return f"{inner}{'%' if self.remainder else '//'}{by if by.isalnum() else f'({by})'}"


Parts = tuple[tuple[Division, int], ...]


@dataclass(frozen=True)
class Affine:
    """An affine expression of axis indices with integer coefficients and one positive divisor."""

    terms: Terms = ()
    constant: int = 0
    lasts: Terms = ()
    divisor: int = 1
    parts: Parts = ()

    @staticmethod
    def axis(name: str) -> Affine:
        """Return the index of axis `name` itself."""
        return Affine(terms=((name, 1),))

    @staticmethod
    def last(name: str) -> Affine:
        """Return the largest index of axis `name` in the sequence that is being run."""
        return Affine(lasts=((name, 1),))

    @staticmethod
    def number(value: int) -> Affine:
        """Return a constant index."""
        return Affine(constant=value)

    def __add__(self, other: Affine | int) -> Affine:
        other = Affine(constant=other) if isinstance(other, int) else other
        if self.divisor == other.divisor == 1:
            return Affine(
                _merge((self.terms, 1), (other.terms, 1)),
                self.constant + other.constant,
                _merge((self.lasts, 1), (other.lasts, 1)),
                parts=_gather((self.parts, 1), (other.parts, 1)),
            )
        # Of two extents one must be whole: floor(x/d) + n = floor((x + n d)/d).
        left = _times(replace(self, divisor=1), other.divisor)
        right = _times(replace(other, divisor=1), self.divisor)
        return _reduced(left + right, self.divisor * other.divisor)

    def __sub__(self, other: Affine | int) -> Affine:
        return self + (-other if isinstance(other, int) else other * -1)

    def __mul__(self, factor: int) -> Affine:
        return _times(self, factor)

    def __floordiv__(self, divisor: int) -> Affine:
        if divisor < 1:
            raise ValueError(f"cannot divide an index by {divisor}")
        return _reduced(replace(self, divisor=1), self.divisor * divisor)

    def floor(self, divisor: int) -> Affine:
        """Return the whole part of a division by a positive number."""
        quotient = self // divisor
        if quotient.divisor == 1:
            return quotient
        if self.is_constant:
            return Affine.number(self.constant // divisor)
        alone = (
            self.parts[0] if len(self.parts) == 1 and not self.terms and not self.lasts else None
        )
        if alone is not None and alone[1] == 1 and self.divisor == 1 and not alone[0].remainder:
            inner, by = alone[0].inner, alone[0].by.constant  # of floor(inner/by) + constant
            return (inner + self.constant * by).floor(by * divisor)
        return Affine(parts=((Division(self, Affine.number(divisor)), 1),))

    def __mod__(self, modulus: Affine | int) -> Affine:
        modulus = Affine.number(modulus) if isinstance(modulus, int) else modulus
        if modulus.is_constant:
            return self - self.floor(modulus.constant) * modulus.constant
        return Affine(parts=((Division(self, modulus, remainder=True), 1),))

    def coefficient(self, axis: str) -> int:
        """Return the coefficient of an axis (of the numerator)."""
        return dict(self.terms).get(axis, 0)

    @property
    def axes(self) -> tuple[str, ...]:
        """The axes whose index this expression uses."""
        own = tuple(name for name, _ in self.terms)
        if not self.parts:
            return own
        return tuple(dict.fromkeys((*own, *(a for p, _ in self.parts for a in p.inner.axes))))

    @property
    def ends(self) -> tuple[str, ...]:
        """The axes whose last index this expression uses."""
        own = tuple(name for name, _ in self.lasts)
        inner = (e for p, _ in self.parts for e in (*p.inner.ends, *p.by.ends))
        return tuple(dict.fromkeys((*own, *inner)))

    @property
    def numbers(self) -> Iterator[int]:
        """Every number that is written in the expression."""
        yield from (self.constant, self.divisor)
        yield from (c for _, c in (*self.terms, *self.lasts, *self.parts))
        for part, _ in self.parts:
            yield from part.inner.numbers
            yield from part.by.numbers

    @property
    def is_constant(self) -> bool:
        """Whether this is a plain integer."""
        return not self.terms and not self.lasts and self.divisor == 1 and not self.parts

    @property
    def is_linear(self) -> bool:
        """Whether this is a sum of axes and ends, without a division."""
        return self.divisor == 1 and not self.parts

    def offset_from(self, axis: str) -> int | None:
        """Return c where the expression is `axis + c`, else None."""
        if self.terms == ((axis, 1),) and not self.lasts and self.is_linear:
            return self.constant
        return None

    def may_leave(self, axis: str) -> bool:
        """Return whether the expression, as an index along `axis`, can be outside of its domain."""
        if self.parts and self == (self.parts[0][0].inner % (Affine.last(axis) + 1)):
            return False
        return self not in (Affine.axis(axis), Affine.number(0), Affine.last(axis))

    def is_outside(self, axis: str) -> bool:
        """Return whether the expression, as an index along `axis`, is outside at every point.

        True for -1, last + 1, -t - 1 and t - last - 1, whatever the extents are; an index with a
        divisor counts as inside.
        """
        if not (self.is_linear and self.constant):
            return False
        return _is_negative(self if self.constant < 0 else Affine.last(axis) - self)

    def may_pass_the_end(self, axis: str) -> bool:
        """Return whether the expression, as an index along `axis`, can be above its domain."""
        offset = self.offset_from(axis)
        return self.may_leave(axis) and (offset is None or offset > 0)

    def substitute(self, replacements: Mapping[str, Affine]) -> Affine:
        """Replace axis indices by expressions (other axes stay)."""
        total = Affine(constant=self.constant, lasts=self.lasts)
        for name, coefficient in self.terms:
            total = total + _times(replacements.get(name, Affine.axis(name)), coefficient)
        for part, coefficient in self.parts:
            total = total + _times(part.map(lambda e: e.substitute(replacements)), coefficient)
        return total // self.divisor if self.divisor != 1 else total

    def rename(self, names: Mapping[str, str]) -> Affine:
        """Rename axes, in indices and in `last`."""
        return Affine(
            _merge((tuple((names.get(a, a), c) for a, c in self.terms), 1)),
            self.constant,
            _merge((tuple((names.get(a, a), c) for a, c in self.lasts), 1)),
            self.divisor,
            _gather(
                (
                    tuple(
                        (Division(p.inner.rename(names), p.by.rename(names), p.remainder), c)
                        for p, c in self.parts
                    ),
                    1,
                )
            ),
        )

    def resolve(self, known: Mapping[Division, Affine]) -> Affine:
        """Replace parts by expressions (others stay)."""
        total = replace(self, parts=(), divisor=1)
        for part, coefficient in self.parts:
            total = total + _times(known.get(part, Affine(parts=((part, 1),))), coefficient)
        return total // self.divisor

    def solve(self, axis: str, value: Affine) -> Affine:
        """Return the index of `axis` at which this expression equals `value`.

        Args:
            axis: an axis with a coefficient other than zero.
            value: the value wanted, an expression over other axes.
        """
        c = self.coefficient(axis)
        if not c:
            raise ValueError(f"{self} does not use axis {axis}")
        terms = _merge((self.terms, 1), (((axis, c),), -1))
        rest = replace(self, terms=terms, divisor=1)
        numerator = _times(value, self.divisor) - rest
        return numerator // c if c > 0 else (numerator * -1) // -c

    def evaluate(self, index: Mapping[str, Any], last: Mapping[str, Any]) -> tuple[Any, Any]:
        """Return (floored value, whether it divides exactly); integers or integer arrays."""
        total: Any = self.constant
        for name, coefficient in self.terms:
            total = total + coefficient * index[name]
        for name, coefficient in self.lasts:
            total = total + coefficient * last[name]
        exact: Any = True
        for part, coefficient in self.parts:
            value, good = part.evaluate(index, last)
            total, exact = total + coefficient * value, exact & good
        if self.divisor == 1:
            return total, exact
        return total // self.divisor, (total % self.divisor == 0) & exact

    def show(self, rename: Callable[[str], str] = str) -> str:
        """Return the expression as a person would write it."""
        parts: list[str] = []
        whole, remainders = self._remainders()
        if remainders:
            return "".join(
                [
                    *(
                        _signed(c, p.show(rename), first=not i)
                        for i, (p, c) in enumerate(remainders)
                    ),
                    *([] if whole == Affine() else [_signed_text(whole.show(rename))]),
                ]
            )
        for name, coefficient in self.terms:
            parts.append(_signed(coefficient, rename(name), first=not parts))
        for part, coefficient in self.parts:
            parts.append(_signed(coefficient, part.show(rename), first=not parts))
        for name, coefficient in self.lasts:
            parts.append(_signed(coefficient, f"last({rename(name)})", first=not parts))
        if self.constant or not parts:
            sign = ("-" if self.constant < 0 else "") if not parts else "+-"[self.constant < 0]
            parts.append(f"{sign}{abs(self.constant)}")
        text = "".join(parts)
        return text if self.divisor == 1 else f"({text})/{self.divisor}"

    def _remainders(self) -> tuple[Affine, Parts]:
        """Split off the remainders by numbers that the expression is made of."""
        rest: Affine = self
        found: list[tuple[Division, int]] = []
        for part, coefficient in self.parts:
            by = part.by.constant
            if self.divisor != 1 or part.remainder or coefficient % by or not part.inner.is_linear:
                continue
            factor = -coefficient // by
            moved = rest - _times(part.inner % part.by, factor)
            if len(moved.terms) < len(rest.terms):
                rest = moved
                found.append((replace(part, remainder=True), factor))
        return rest, tuple(found)

    def __str__(self) -> str:
        return self.show()


def _signed_text(text: str) -> str:
    return text if text.startswith("-") else f"+{text}"


def _signed(coefficient: int, name: str, *, first: bool) -> str:
    sign = "-" if coefficient < 0 else ("" if first else "+")
    size = abs(coefficient)
    if ("%" in name or "//" in name) and (size != 1 or (first and coefficient < 0)):
        name = f"({name})"
    return f"{sign}{name}" if size == 1 else f"{sign}{size}*{name}"


def _is_negative(value: Affine) -> bool:
    """Whether an expression is below 0 at every index point of axes of any extent."""
    terms, lasts = dict(value.terms), dict(value.lasts)
    ends = [(lasts.get(a, 0), lasts.get(a, 0) + terms.get(a, 0)) for a in {*terms, *lasts}]
    return value.constant < 0 and all(first <= 0 and last <= 0 for first, last in ends)


def _times(expression: Affine, factor: int) -> Affine:
    """Multiply an exactly dividing expression; a divisor that remains is kept."""
    numerator = Affine(
        _merge((expression.terms, factor)),
        expression.constant * factor,
        _merge((expression.lasts, factor)),
        parts=_gather((expression.parts, factor)),
    )
    return _reduced(numerator, expression.divisor)


def _reduced(numerator: Affine, divisor: int) -> Affine:
    common = divisor
    for _, c in (*numerator.terms, *numerator.lasts, *numerator.parts):
        common = gcd(common, c)
    common = gcd(common, numerator.constant)
    if common > 1:
        shrink = [
            tuple((n, c // common) for n, c in ts) for ts in (numerator.terms, numerator.lasts)
        ]
        parts = tuple((p, c // common) for p, c in numerator.parts)
        constant = numerator.constant // common
        return Affine(shrink[0], constant, shrink[1], divisor // common, parts)
    return replace(numerator, divisor=divisor)
