"""What each pass makes of a small spec, as text: tests/golden/*.txt.

    UNFOLD_PIN=1 pytest tests/test_passes_golden.py      writes the files anew; read the difference

A golden file holds the Program before and after the pass, and is the shortest way to see what the
pass does.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from recurrences import text

import unfold
from unfold.core.printing import show_program
from unfold.core.program import Program
from unfold.core.verify import verify
from unfold.passes.boundaries import lower_boundaries
from unfold.passes.carry import carry_state, delays, hand_over
from unfold.passes.differentiate import differentiate
from unfold.passes.modes import resolve_modes
from unfold.passes.simplify import drop_dead, merge_copies

GOLDEN = Path(__file__).parent / "golden"
PIN = bool(os.environ.get("UNFOLD_PIN"))

LEARNED = """
unfold: 1
name: learned
axes: {t: 5}
sizes: {hidden: 3, features: 2}
inputs: {x[t]: [features]}
parameters: {W: [hidden, hidden], U: [hidden, features]}
nodes:
  h[t]: tanh(W @ h[t-1] + U @ x[t])
initial: {h: learned}
loss: mean[t](h[t] @ h[t])
"""
MICRO = """
unfold: 1
name: micro-steps
axes: {t: 5, l: 3}
sizes: {hidden: 2}
inputs: {x[t]: [hidden]}
parameters: {R[l]: [hidden, hidden]}
nodes:
  s[t,l]: tanh(R[l] @ s[t,l-1] + x[t])
initial: {s[l]: "s[t-1,last]", s[t]: ones}
loss: sum[t](sum(s[t,last]))
"""
BOTH_WAYS = """
unfold: 1
name: both-ways
axes: {t: 5}
sizes: {n: 2}
inputs: {x[t]: [n]}
parameters: {a: [n]}
nodes:
  y[t]: x[t-1] + x[t+1] * x[last]
  z[t]: y[t-1] * y[t-1]
initial: {x: tanh(a), y: 0.5}
loss: sum[t](sum(z[t]))
"""
FEEDBACK = """
unfold: 1
name: feedback
axes: {t: 5}
sizes: {n: 3}
inputs: {x[t]: [n], y[t]: {category: n}}
parameters: {R: [n, n]}
nodes:
  prev[t]: feedback(teacher=y[t-1], free=choice[t-1])
  o[t]: tanh(R @ prev[t] + dropout(x[t], rate=0.5))
  choice[t]: argmax(o[t])
initial: {y: 2}
loss: sum[t](cross_entropy(o[t], y[t]))
"""
WINDOW = """
unfold: 1
name: window
axes: {t: 6, u: t // 2, k: 3}
sizes: {n: 2, m: 3}
inputs: {x[t]: [n]}
parameters: {K[k]: [m, n]}
nodes:
  y[u]: sum[k](K[k] @ x[2*u+k-1])
loss: sum[u](y[u] @ y[u])
"""
ENDS = """
unfold: 1
name: ends
axes: {t: 5}
sizes: {n: 2}
inputs: {x[t]: [n]}
parameters: {w: [n]}
nodes:
  h[t]: tanh(x[t] * w)
  o: h[0] * h[last]
  r[t]: h[last-t] * o
loss: sum[t](sum(r[t]))
"""
ATTENTION = """
unfold: 1
name: attention
axes: {s: 4, t: 5}
sizes: {n: 2, m: 3}
inputs: {q[t]: [n], v[s]: [m]}
parameters: {A: [m, n]}
nodes:
  a[t,s]: softmax[s](v[s] @ (A @ q[t]))
  c[t]: sum[s](a[t,s] * v[s])
loss: mean[t](c[t] @ c[t])
"""
SQUARE = """
unfold: 1
name: square
axes: {t: 5}
inputs: {x[t]: []}
parameters: {w: []}
nodes:
  y[t]: {is: "w * y[t-1] + x[t]", shape: []}
loss: sum[t](y[t] * y[t])
"""


def resolved(spec: str, mode: str = "teacher") -> Program:
    return resolve_modes(replace(unfold.loads(spec).program, outputs=()), mode=mode)


def lowered(spec: str) -> Program:
    return verify(lower_boundaries(resolved(spec)))


def adjoint(spec: str, *wrt: str) -> Program:
    return differentiate(lowered(spec), wrt)


def second(program: Program) -> Program:
    """Differentiate the gradient of w once more."""
    return differentiate(replace(program, loss=None), ("w",), of="∂w")


PASSES: dict[str, tuple[Program, Callable[[Program], Program]]] = {
    "boundaries-learned": (resolved(LEARNED), lower_boundaries),
    "boundaries-micro-steps": (resolved(MICRO), lower_boundaries),
    "boundaries-both-ends": (resolved(BOTH_WAYS), lower_boundaries),
    "boundaries-two-axes": (resolved(text("two boundaries")), lower_boundaries),
    "modes-teacher": (unfold.loads(FEEDBACK).program, resolve_modes),
    "modes-free": (unfold.loads(FEEDBACK).program, lambda p: resolve_modes(p, mode="free")),
    "modes-scheduled": (
        unfold.loads(FEEDBACK).program,
        lambda p: resolve_modes(p, mode=("scheduled", 0.25), training=True),
    ),
    "differentiate-learned": (
        lowered(LEARNED),
        lambda p: differentiate(p, ("W", "U", "h.initial", "x")),
    ),
    "differentiate-window": (lowered(WINDOW), lambda p: differentiate(p, ("K", "x"))),
    "differentiate-ends": (lowered(ENDS), lambda p: differentiate(p, ("w", "x"))),
    "differentiate-attention": (lowered(ATTENTION), lambda p: differentiate(p, ("A", "v"))),
    "differentiate-twice": (adjoint(SQUARE, "w"), second),
    "drop-dead": (replace(lowered(ENDS), outputs=("h",), loss=None), drop_dead),
    "merge-copies": (
        replace(lower_boundaries(resolved(FEEDBACK, mode="free")), outputs=("prev",), loss=None),
        merge_copies,
    ),
    "carry-learned": (resolved(LEARNED), lambda p: carry_state(p, "t")),
    "carry-micro-steps": (resolved(MICRO), lambda p: carry_state(p, "t")),
    "carry-hand-over": (resolved(LEARNED), lambda p: hand_over(p, "t", delays(p, "t"))),
}


@pytest.mark.parametrize("name", PASSES)
def test_what_a_pass_makes(name: str) -> None:
    before, transform = PASSES[name]
    after = verify(transform(verify(before)))
    found = f"{show_program(before)}\n\nbecomes\n\n{show_program(after)}\n"
    path = GOLDEN / f"{name}.txt"
    if PIN:
        path.write_text(found, encoding="utf-8")
    assert path.is_file(), f"no golden file for {name}: run with UNFOLD_PIN=1 and read it"
    assert found == path.read_text(encoding="utf-8"), (
        "run with UNFOLD_PIN=1 and read the difference"
    )


@pytest.mark.parametrize("name", PASSES)
def test_passes_are_pure(name: str) -> None:
    """A Program is not changed, and a pass makes the same of it again."""
    before, transform = PASSES[name]
    text_before = show_program(before)
    assert show_program(transform(before)) == show_program(transform(before))
    assert show_program(before) == text_before


IDEMPOTENT = {
    "lower_boundaries": lower_boundaries,
    "drop_dead": drop_dead,
    "merge_copies": merge_copies,
}


@pytest.mark.parametrize("transform", IDEMPOTENT)
@pytest.mark.parametrize("spec", [LEARNED, MICRO, ENDS, ATTENTION], ids=lambda s: s.split()[3])
def test_passes_that_are_done_have_nothing_to_do(spec: str, transform: str) -> None:
    function = IDEMPOTENT[transform]
    once = function(lowered(spec))
    assert function(once).values == once.values


def test_every_golden_file_is_used() -> None:
    found = {p.stem for p in GOLDEN.glob("*.txt") if not p.stem.startswith("plan-")}
    assert found == set(PASSES)
