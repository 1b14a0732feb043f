"""Ranges of operators are true: what samples give is inside, and finite where a row says so."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

import unfold
import unfold.ops
from unfold.core.build import Builder
from unfold.core.op import OPS, Kind
from unfold.core.program import Program
from unfold.passes.boundaries import lower_boundaries
from unfold.passes.coverage import Coverage
from unfold.passes.differentiate import active_values
from unfold.passes.ranges import DATA, NO_RISK, POLE, Ranges

INTERVALS = ((-3.0, -1.0), (-2.0, 1.5), (0.0, 2.0), (0.5, 4.0), (2.0, 2.0), (-1.0, -1.0))
POINTWISE = [n for n, op in OPS.items() if op.kind is Kind.POINTWISE and op.bounds is not None]
PARTIAL = [n for n, op in OPS.items() if op.poles is not None]


def operands(name: str) -> list[tuple[tuple[float, float], ...]]:
    count = OPS[name].arity[0] - (name == "where")
    return list(product(INTERVALS, repeat=count))


def samples(ranges: tuple[tuple[float, float], ...]) -> list[np.ndarray]:
    lanes = [np.linspace(low, high, 7) for low, high in ranges]
    return [g.ravel() for g in np.meshgrid(*lanes)]


@pytest.mark.parametrize("name", POINTWISE)
def test_results_are_within_the_range(name: str) -> None:
    op = OPS[name]
    assert op.bounds is not None and op.evaluate is not None
    for ranges in operands(name):
        given = samples(ranges)
        if name == "where":
            given, ranges = [np.arange(given[0].size) % 2 == 0, *given], ((0.0, 1.0), *ranges)
        low, high = op.bounds(ranges)
        with np.errstate(all="ignore"):
            found = op.evaluate(*given)
        found = found[np.isfinite(found)]
        assert (found >= low - 1e-12).all() and (found <= high + 1e-12).all(), (ranges, low, high)


@pytest.mark.parametrize("name", PARTIAL)
def test_results_are_finite_where_a_row_has_no_pole(name: str) -> None:
    op = OPS[name]
    assert op.poles is not None and op.evaluate is not None
    seen = set[bool]()
    for ranges in operands(name):
        with np.errstate(all="ignore"):
            found = op.evaluate(*samples(ranges))
        seen.add(op.poles(ranges))
        assert op.poles(ranges) or np.isfinite(found).all(), ranges
    assert seen == {True, False} or name == "exp"
    assert OPS["exp"].poles is not None and OPS["exp"].poles([(0.0, 100.0)])


def lowered(nodes: str, loss: str) -> Program:
    model = unfold.loads(f"""
unfold: 1
name: small
axes: {{t: 4, l: 2}}
inputs: {{x[t]: [3], m[t]: []}}
parameters: {{w: [3], V: [3, 3]}}
nodes:
{"".join(f"  {n.strip()}" + chr(10) for n in nodes.strip().splitlines())}
loss: {loss}
""")
    return lower_boundaries(model.pipeline.resolved())


def covered(nodes: str, loss: str) -> Coverage:
    program = lowered(nodes, loss)
    assert program.loss is not None
    return Coverage(program, active_values(program, ("w", "V"), program.loss), program.loss)


def test_softmax_and_its_like_have_no_poles() -> None:
    program = lowered(
        "p[t]: softmax(V @ tanh(w))\nq[t]: log_softmax(V @ w * t)\nn[t]: layer_norm(V @ w * t)",
        "mean[t](sum(p[t] + q[t] + n[t]))",
    )
    ranges = Ranges(Builder.of(program), program)
    assert [ranges.risk(n) for n in ("p", "q", "n", "loss")] == [NO_RISK] * 4
    assert ranges.of("p") == (0.0, 1.0)


def test_a_softmax_over_the_past_has_no_poles_if_there_is_one() -> None:
    text = """unfold: 1
name: past
axes: {t: 4, s: t}
parameters: {w: [3]}
nodes:
  e[t,s]: sum(w) * s * t
  a[t,s]: softmax[s <= t](e[t,s])
  b[t]: logsumexp[s < t](e[t,s])
loss: mean[t](sum[s <= t](a[t,s]) + b[t])
"""
    program = lower_boundaries(unfold.loads(text).pipeline.resolved())
    ranges = Ranges(Builder.of(program), program)
    assert [ranges.risk(n) for n in "eab"] == [NO_RISK, NO_RISK, POLE]


def test_what_may_not_be_finite() -> None:
    program = lowered(
        "d[t]: w / m[t]\ne[t]: tanh(x[t]) + w\ng[t]: V @ g[t-1] + w\nh[t]: 0.5 * h[t-1] + w",
        "mean[t](sum(d[t] + e[t] + g[t] + h[t]))",
    )
    ranges = Ranges(Builder.of(program), program)
    assert [ranges.risk(n) for n in "degh"] == [POLE, DATA, DATA, NO_RISK]


def test_what_is_surely_read() -> None:
    found = covered(
        """
        c[t]: tanh(w * t)
        h[t]: tanh(V @ h[t-1] + c[t])
        o[t]: h[t] * 2
        p[t]: exp(w * t)
        q[t]: where(m[t] > 0, p[t], 0)
        k[t,l]: tanh(where(l == 0, c[t], 0) + k[t,l-1])
        u[t]: relu(V @ h[t])
        """,
        "mean[t](sum(q[t] + k[t,last] + u[t])) + sum(o[last])",
    )
    for name in ("c", "h", "q", "k", "u"):
        assert name in found.whole and name in found.certain, name
    assert "o" in found.certain and "o" not in found.whole  # only its last step is read
    assert "p" not in found.certain and "p" not in found.whole


def test_parts_of_a_vector_are_read_together() -> None:
    nodes = "a[t]: V @ w * t\nb[t], c[t], d[t]: split(a[t], 3)"
    assert "a" in covered(nodes, "mean[t](sum(b[t] * c[t] * d[t]))").whole
    assert "a" not in covered(nodes, "mean[t](sum(b[t] * c[t]))").whole
    ends = "a[t]: V @ w * t\nb[t]: a[t-1] + a[last]"
    assert "a" in covered(ends, "mean[t](sum(b[t]))").whole
    assert "a" not in covered("a[t]: V @ w * t\nb[t]: a[t-1]", "mean[t](sum(b[t]))").whole
