"""The Plans of the classic architectures: as text in tests/golden/plan-*.txt, and as facts.

    UNFOLD_PIN=1 pytest tests/test_plan_golden.py      writes the files anew; read the difference

A golden file is what `unfold explain --plan` prints. The facts are what must be true of each Plan
whatever it looks like: how many loops there are, which products are in them, and which are not.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

import unfold
from unfold.backends.numba.backend import Numba
from unfold.core.plan import Gemm, Kernel, Load, Loop, Nest, Plan, Statement
from unfold.core.program import BATCH
from unfold.explain.names import Names
from unfold.passes.lowering import lower, to_backend
from unfold.planning.plan import plan
from unfold.shipped import find
from unfold.terminal.plan_text import plan_lines

pytestmark = pytest.mark.usefixtures("compiled")
HERE = Path(__file__).parent
GOLDEN = HERE / "golden"
PIN = bool(os.environ.get("UNFOLD_PIN"))

LSTM = """
unfold: 1
name: lstm-language-model
axes: {t: 20}
sizes: {vocab: 11, embedding: 7, hidden: 5}
inputs:
  x[t]: {category: vocab}
  y[t]: {category: vocab}
parameters:
  E: [embedding, vocab]
  W_i: [hidden, hidden]
  W_f: [hidden, hidden]
  W_o: [hidden, hidden]
  W_g: [hidden, hidden]
  U_i: [hidden, embedding]
  U_f: [hidden, embedding]
  U_o: [hidden, embedding]
  U_g: [hidden, embedding]
  b_i: [hidden]
  b_f: [hidden]
  b_o: [hidden]
  b_g: [hidden]
  V: [vocab, hidden]
  c: [vocab]
nodes:
  e[t]: E @ x[t]
  i[t]: sigmoid(W_i @ h[t-1] + U_i @ e[t] + b_i)
  f[t]: sigmoid(W_f @ h[t-1] + U_f @ e[t] + b_f)
  o[t]: sigmoid(W_o @ h[t-1] + U_o @ e[t] + b_o)
  g[t]: tanh(W_g @ h[t-1] + U_g @ e[t] + b_g)
  s[t]: f[t] * s[t-1] + i[t] * g[t]
  h[t]: o[t] * tanh(s[t])
  logits[t]: V @ h[t] + c
loss: mean[t](cross_entropy(logits[t], y[t]))
"""
GATES = ("i", "f", "o", "g")


def spec(name: str) -> str:
    return find(name).read_text(encoding="utf-8")


# With vectors for characters, so that its products with the input are products.
HIGHWAY = spec("recurrent-highway").replace("x[t]: {category: vocab}", "x[t]: [vocab]")
CASES: dict[str, tuple[str, str]] = {
    "lstm-language-model": (LSTM, "teacher"),
    "two-layers": (spec("lstm-stack"), "teacher"),
    "bidirectional": (spec("bidirectional"), "teacher"),
    "output-teacher": (spec("pattern-output"), "teacher"),
    "output-free": (spec("pattern-output"), "free"),
    "attention": (spec("attention"), "teacher"),
    "two-dimensions": (spec("rnn-2d"), "teacher"),
    "recurrent-highway": (HIGHWAY, "teacher"),
}


@dataclass(frozen=True)
class Product:
    """A product of a Plan: the loops around it, what it is for, and the axes it does at once."""

    loops: tuple[str, ...]
    equations: tuple[str, ...]
    at_once: frozenset[str]


class Facts:
    """What a Plan does, read from the Plan itself and not from its description."""

    def __init__(self, case: str) -> None:
        text, mode = CASES[case]
        self.model = unfold.loads(text)
        wrt = [v.name for v in self.model.program.parameters]
        program = self.model.pipeline.adjoint(wrt, mode=mode, state=True)
        self.plan: Plan = plan(lower(program, to_backend()), Numba.target)
        self.names = Names(self.plan.program)

    def _walk(
        self, statements: list[Statement], loops: tuple[str, ...] = ()
    ) -> Iterator[tuple[tuple[str, ...], Statement]]:
        """Yield statements with the loops around: `t+`, and `t+2` for the second one of a level."""
        seen: dict[str, int] = {}
        for statement in statements:
            if not isinstance(statement, Loop):
                yield loops, statement
                continue
            way = f"{statement.axis}{'+' if statement.direction > 0 else '-'}"
            seen[way] = seen.get(way, 0) + 1
            inner = (*loops, way if seen[way] == 1 else f"{way}{seen[way]}")
            yield inner, statement
            yield from self._walk(statement.body, inner)

    @property
    def loops(self) -> list[str]:
        """Every loop in order, as in `t+` or, inside of another one, `i+ j+`."""
        found = self._walk(self.plan.statements)
        return [" ".join(loops) for loops, s in found if isinstance(s, Loop)]

    @property
    def products(self) -> list[Product]:
        found: list[Product] = []
        for loops, statement in self._walk(self.plan.statements):
            if isinstance(statement, Gemm):
                dims = (*statement.m, *statement.k, *statement.outer)
                axes = {d.name for d in dims if d.size is None} - {BATCH}
                equations = self.names.equations(statement.value)
                found.append(Product(loops, equations, frozenset(axes)))
        return found

    def inside(self, loop: str) -> list[tuple[str, ...]]:
        """What the products directly inside of a loop are for."""
        return [p.equations for p in self.products if " ".join(p.loops) == loop]

    def outside(self) -> dict[tuple[str, ...], frozenset[str]]:
        """What the products outside of all loops are for, and the axes that they do at once."""
        return {p.equations: p.at_once for p in self.products if not p.loops}

    def kernels(self, loop: str = "") -> list[Kernel]:
        """The kernels directly inside of a loop."""
        nests = [(w, s) for w, s in self._walk(self.plan.statements) if isinstance(s, Nest)]
        return [k for w, s in nests if " ".join(w) == loop for k in s.kernels]

    def computed(self, loop: str) -> set[str]:
        """Equations that the kernels directly inside of a loop compute."""
        kept = self.plan.buffers
        values = {n for k in self.kernels(loop) for n in k.values}
        values |= {n for v in values for n in self.names.inside(v, kept)}
        return {e for n in values for e in self.names.equations(n)}

    def picks(self, *, stored: bool) -> set[str]:
        """Buffers whose rows categories pick, where they are read or where they are added to."""
        kernels = [k for _, s in self._walk(self.plan.statements) if isinstance(s, Nest)
                   for k in s.kernels]  # fmt: skip
        loads = [x.access for k in kernels for x in k.leaves.values() if isinstance(x, Load)]
        stores = [s.access for k in kernels for _, s in k.stores]
        return {self.names.show(a.buffer) for a in (stores if stored else loads) if a.indirect}

    def kept(self, name: str) -> dict[str, int | None]:
        """Axes of a buffer, with the number of points where not all are kept."""
        return {s.axis: s.ring for s in self.plan.buffers[name].axes if s.axis != BATCH}


T = frozenset({"t"})
BEGIN, END = "<!-- plan of char-rnn -->\n", "<!-- end of plan -->"


@pytest.mark.parametrize("case", CASES)
def test_the_plan_reads_as_pinned(case: str) -> None:
    text, mode = CASES[case]
    found = unfold.loads(text).plan(mode=mode, batch=8)
    lines = "\n".join(map(str, plan_lines(found, f"forward and backward, {mode}", 100))) + "\n"
    path = GOLDEN / f"plan-{case}.txt"
    if PIN:
        path.write_text(lines, encoding="utf-8")
    assert path.is_file(), f"no golden file for {case}: run with UNFOLD_PIN=1 and read it"
    assert lines == path.read_text(encoding="utf-8"), (
        "run with UNFOLD_PIN=1 and read the difference"
    )


def test_every_golden_plan_is_used() -> None:
    assert {p.stem for p in GOLDEN.glob("plan-*.txt")} == {f"plan-{c}" for c in CASES}


def test_the_page_on_the_engine_shows_a_real_plan() -> None:
    found = unfold.load("char-rnn").plan(batch=32)
    lines = "\n".join(map(str, plan_lines(found, "forward and backward, teacher", 96)))
    page = HERE.parent / "docs" / "engine.md"
    before, rest = page.read_text(encoding="utf-8").split(BEGIN)
    shown, after = rest.split(END)
    wanted = f"```text\n{lines}\n```\n"
    if PIN:
        page.write_text(f"{before}{BEGIN}{wanted}{END}{after}", encoding="utf-8")
        return
    assert shown == wanted, "run with UNFOLD_PIN=1 and read the difference"


def test_lstm_has_one_product_and_one_kernel_in_each_loop() -> None:
    facts = Facts("lstm-language-model")
    assert facts.loops == ["t+", "t-"]
    assert facts.inside("t+") == [GATES], "gates that share h[t-1] are one product"
    assert facts.inside("t-") == [("∂h",)]
    assert len(facts.kernels("t+")) == len(facts.kernels("t-")) == 1
    assert facts.computed("t+") == {*GATES, "s", "h"}


def test_lstm_does_all_steps_at_once_outside_of_its_loops() -> None:
    facts = Facts("lstm-language-model")
    assert facts.outside() == {
        GATES: T,  # the projection of the inputs
        ("logits",): T,
        ("∂h",): T,  # what the logits send back
        ("∂e",): T,
        ("∂W_i", "∂W_f", "∂W_o", "∂W_g"): T,
        ("∂U_i", "∂U_f", "∂U_o", "∂U_g"): T,
        ("∂V",): T,
    }
    assert len(facts.products) == 9
    assert not {"e", "logits", "loss"} & (facts.computed("t+") | facts.computed("t-"))
    assert "E transposed" in facts.picks(stored=False), "an embedding is a gather"
    assert facts.picks(stored=True) == {"∂E"}, "and a scatter in the adjoint"


def test_lstm_keeps_what_the_adjoint_reads_and_no_more() -> None:
    facts = Facts("lstm-language-model")
    assert facts.kept("h") == facts.kept("s") == facts.kept("i") == {"t": None}
    inner = [p.value for loops, p in facts._walk(facts.plan.statements) if loops == ("t+",)
             and isinstance(p, Gemm)]  # fmt: skip
    assert [facts.kept(name) for name in inner] == [{}], "a product is used up at its own step"
    forward = unfold.loads(LSTM).plan(gradients=False)
    assert sum(r.kind == "product" for r in forward.rows) == 3
    assert sum(r.kind == "loop" for r in forward.rows) == 1


def test_layers_are_done_one_after_the_other() -> None:
    facts = Facts("two-layers")
    assert facts.loops == ["t+", "t+2", "t-", "t-2"]
    assert facts.inside("t+") == [("l1.z",)]
    assert facts.inside("t+2") == [("l2.z",)]
    assert facts.inside("t-") == [("∂l2.h",)]
    assert facts.inside("t-2") == [("∂l1.h",)]
    outside = facts.outside()
    assert outside["l2.z",] == T, "the upper layer sees the lower one at all steps at once"
    assert outside["∂l1.h",] == T
    assert {("o",), ("∂l2.h",), ("∂V",), ("∂l1.W",), ("∂l2.W",), ("∂l2.U",)} <= set(outside)
    assert not any("l1" in e for e in facts.computed("t+2"))


def test_directions_have_loops_of_their_own() -> None:
    facts = Facts("bidirectional")
    assert sorted(facts.loops) == ["t+", "t+2", "t-", "t-2"]
    assert facts.inside("t+") == [("h",)]
    assert facts.inside("t-") == [("g",)]
    assert {e for loop in ("t+2", "t-2") for p in facts.inside(loop) for e in p} >= {"∂h", "∂g"}
    outside = facts.outside()
    assert outside["h", "g"] == T, "both directions project the inputs in one product"
    assert outside["∂U", "∂P"] == T
    assert {("o",), ("∂W",), ("∂Q",), ("∂V",), ("∂Z",)} <= set(outside)


def test_teacher_forcing_leaves_no_loop() -> None:
    facts = Facts("output-teacher")
    assert facts.loops == []
    assert len(facts.products) == 7
    assert {p.at_once for p in facts.products} == {T}


def test_free_running_needs_the_loop() -> None:
    facts = Facts("output-free")
    assert facts.loops == ["t+", "t-"]
    assert facts.inside("t+") == [("h",), ("o",)]
    assert facts.inside("t-") == [("∂h",), ("∂prev",)]
    assert facts.outside() == {("h",): T, ("∂R",): T, ("∂U",): T, ("∂V",): T}


def test_attention_projects_the_source_once() -> None:
    facts = Facts("attention")
    assert facts.loops == ["s+", "t+", "t-", "s-"]
    assert facts.inside("s+") == [("h",)]
    assert facts.inside("t+") == [("e", "d"), ("d",)], "A and W_d share d[t-1]"
    assert facts.inside("t-") == [("∂c",), ("∂d",)]
    outside = facts.outside()
    assert outside["e",] == {"s"}, "B @ h[s] does not depend on t"
    assert outside["∂B",] == {"s"}
    assert {e for e, axes in outside.items() if axes == T} == {
        ("o",), ("∂d",), ("∂A", "∂W_d"), ("∂K",), ("∂V",)
    }  # fmt: skip
    assert set(facts.plan.slow) == {"e", "∂v", "c", "∂a"}, "one decoder step has one row of weights"
    products = [p for p in facts.plan.walk() if isinstance(p, Gemm)]
    back = [
        p for p in products if [d.name for d in p.k] == ["t"] and [d.name for d in p.m] == ["s"]
    ]
    assert len(back) == 1, "what the contexts send back to h is one product after the loop"


def test_a_grid_does_rows_at_once_where_it_can() -> None:
    facts = Facts("two-dimensions")
    assert facts.loops == ["i+", "i+ j+", "i-", "i- j-"]
    found = {(p.loops, p.equations): p.at_once for p in facts.products}
    assert found[("i+",), ("h",)] == {"j"}, "W @ h[i-1,j] for a whole row"
    assert found[("i+", "j+"), ("h",)] == set()
    assert found[("i-",), ("∂h",)] == {"j"}
    assert found[(), ("h",)] == {"i", "j"}, "U @ x[i,j] for all points"
    for name in ("∂W", "∂Q", "∂U"):
        assert found[(), (name,)] == {"i", "j"}
    assert len(facts.kernels("i+ j+")) == len(facts.kernels("i- j-")) == 1


def test_micro_steps_are_a_loop_in_a_loop() -> None:
    facts = Facts("recurrent-highway")
    assert facts.loops == ["t+", "t+ l+", "t-", "t- l-"]
    assert facts.inside("t+") == facts.inside("t-") == []
    assert {e for p in facts.inside("t+ l+") for e in p} == {"u", "g"}
    outside = facts.outside()
    assert outside["u", "g"] == T, "W_H and W_T share x[t]"
    assert outside["∂R_H", "∂R_T"] == {"t", "l"}, "R_H[l] and R_T[l] share s[t,l-1]"
    assert outside["o",] == outside["∂V",] == outside["∂W_H", "∂W_T"] == T
