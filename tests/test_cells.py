"""Cells mean the equations they stand for, written out by hand in NumPy, one sequence at a time.

    "share": l[t]: lstm(x[t], hidden=m), twin[t]: {is: lstm(z[t], hidden=m), share: l}

Every case is a spec and a function of its parameters and of one sequence's inputs, made of the
loops in `cells`. The engine gets a padded batch of unequal lengths: every node that the function
names, the loss, and (by central differences) the gradients of all parameters, learned initial
states and inputs are compared.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from shutil import copy, copytree
from typing import Any

import numpy as np
import pytest
from cells import CELLS, Arrays, attend, deep, late, lstm, modulated, pool, rnn, twoway
from gradients import assert_close, check_model, sample

import unfold
from unfold.errors import SpecError
from unfold.spec.meaning import files

Loop = Callable[[Arrays, Arrays], dict[str, Any]]

BATCH = 3
LENGTHS = {"t": [5, 2, 3], "i": [1, 7, 2]}
HEAD = """
unfold: 1
name: cells
axes: {t: 5, i: 7, u: t // 2}
sizes: {n: 2, m: 4}
"""

# --- the cases ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Case:
    """A spec without its head, and what its nodes are: loop(parameters, inputs of a sequence)."""

    text: str
    loop: Loop


def chain(p: Arrays, i: Arrays) -> dict[str, Any]:
    below, found = i["x"], {}
    for layer in (1, 2, 3):
        below, memory = lstm(p, f"l.layer{layer}", below)
        found |= {f"l.layer{layer}": below, f"l.layer{layer}.s": memory}
    return found | {
        "l": below,
        "l.s": memory,
        "loss": np.sum(below**2) + np.sum(found["l.layer1.s"]),
    }


def stacked_pair(p: Arrays, i: Arrays) -> dict[str, Any]:
    first = modulated(p, "l.layer1", i["x"], i["z"])
    second = modulated(p, "l.layer2", first, i["z"])
    return {"l.layer1": first, "l": second, "loss": np.sum(second**2)}


def backwards(p: Arrays, i: Arrays) -> dict[str, Any]:
    h, s = (a[::-1] for a in lstm(p, "l", i["x"][::-1], p["l.s.initial"]))
    return {"l": h, "l.s": s, "loss": np.sum(h * h) + np.sum(s[0])}


def backwards_chain(p: Arrays, i: Arrays) -> dict[str, Any]:
    h = rnn(p, "l.layer2", rnn(p, "l.layer1", i["x"][::-1]))[::-1]
    return {"l": h, "loss": np.sum(h[0] ** 2) + np.sum(h[-1])}


def turned(cell: Callable[..., Any]) -> Loop:
    """Return the loop of a cell that runs forwards as `f` and backwards as `b`."""

    def loop(p: Arrays, i: Arrays) -> dict[str, Any]:
        forward, backward = cell(p, "f", i["x"]), cell(p, "b", i["x"][::-1])[::-1]
        return {"f": forward, "b": backward, "loss": np.sum(forward**2) + np.sum(backward**2)}

    return loop


def shared(p: Arrays, i: Arrays) -> dict[str, Any]:
    one, two = lstm(p, "l", i["x"])[0], lstm(p, "l", i["w"][::-1])[0][::-1]
    return {"l": one, "twin": two, "loss": np.sum(one * two)}


def shared_chain(p: Arrays, i: Arrays) -> dict[str, Any]:
    one, two = (rnn(p, "l.layer2", rnn(p, "l.layer1", i[name])) for name in ("x", "w"))
    return {"l": one, "twin": two, "loss": np.sum(one * two)}


def outer(p: Arrays, i: Arrays) -> dict[str, Any]:
    h = np.stack([rnn(p, "l", row, p["l.h.initial"]) for row in i["g"]])
    return {"l": h, "loss": np.sum(h * h)}


def outer_after(p: Arrays, i: Arrays) -> dict[str, Any]:
    h = np.stack([rnn(p, "l", column) for column in i["g"].swapaxes(0, 1)], axis=1)
    back = np.stack([rnn(p, "r", column[::-1])[::-1] for column in i["g"].swapaxes(0, 1)], axis=1)
    return {"l": h, "r": back, "loss": np.sum(h * h) + np.sum(back[0])}


def through_recurrence(p: Arrays, i: Arrays) -> dict[str, Any]:
    (W, U, b), h, o = (p[f"l.{letter}"] for letter in "WUb"), np.zeros(4), np.zeros(3)
    hidden, outputs = [], []
    for row in i["x"]:
        h = np.tanh(b + W @ h + U @ np.concatenate([row, o]))
        o = np.tanh(p["V"] @ h)
        hidden.append(h)
        outputs.append(o)
    return {"l": np.stack(hidden), "o": np.stack(outputs), "loss": np.sum(np.square(outputs))}


def reaching(p: Arrays, i: Arrays) -> dict[str, Any]:
    s = lstm(p, "l", i["x"], p["l.s.initial"])[1]
    first = rnn(p, "k.layer1", i["x"])
    before = np.concatenate([p["l.s.initial"][None], s[:-1]])
    y = before * s + first
    return {
        "y": y,
        "k": rnn(p, "k.layer2", first),
        "loss": np.sum(y * y) + np.sum(p["k.layer2.W"] ** 2),
    }


def nested_inside(p: Arrays, i: Arrays) -> dict[str, Any]:
    c = twoway(p, "l", i["x"])
    assert c.shape[1] == 4 + 3  # hidden = features + 2, and 3
    y = c[:, :4] * rnn(p, "l.f", i["x"])
    return {"l": c, "l.f": c[:, :4], "l.b": c[:, 4:], "y": y, "loss": np.sum(y * y) + np.sum(c)}


def own_initial(p: Arrays, i: Arrays) -> dict[str, Any]:
    """The cell's value before the first step is its own; the caller's wins for what it names."""
    a, b = late(p, "a", i["x"]), late(p, "b", i["x"], p["b.h.initial"])
    y = np.concatenate([np.full((1, 2), 7.0), i["x"][:-1]]) * a
    return {"a": a, "b": b, "y": y, "loss": np.sum(y * b)}


def strided(p: Arrays, i: Arrays) -> dict[str, Any]:
    pairs = np.stack([np.concatenate(i["x"][2 * u : 2 * u + 2]) for u in range(len(i["x"]) // 2)])
    h = rnn(p, "l", pairs)
    return {"l": h, "loss": np.sum(h * h)}


def learned_levels(p: Arrays, i: Arrays) -> dict[str, Any]:
    forward, backward = deep(p, "f", i["x"]), deep(p, "b", i["x"][::-1])[::-1]
    return {"f": forward, "b": backward, "loss": np.sum(forward * backward)}


BOTH_WAYS = """
inputs: {{x[t]: [n]}}
nodes:
  f[t]: {0}(x[t])
  b[t]: {{is: {0}(x[t]), reverse: t}}
loss: sum[t](f[t] @ f[t]) + sum[t](b[t] @ b[t])
"""

CASES = {
    "stack": Case(
        """
inputs: {x[t]: [n]}
nodes:
  l[t]: {is: lstm(x[t], hidden=m), stack: 3}
loss: sum[t](l[t] @ l[t]) + sum[t](sum(l.layer1.s[t]))
""",
        chain,
    ),
    "stack of a size": Case(
        """
inputs: {x[t]: [n]}
nodes:
  l[t]: {is: lstm(hidden=m, x=x[t]), stack: m - 1}
loss: sum[t](l[t] @ l[t]) + sum[t](sum(l.layer1.s[t]))
""",
        chain,
    ),
    "stack with two inputs": Case(
        """
inputs: {x[t]: [n], z: [3]}
nodes:
  l[t]: {is: modulated(c=z, x=x[t], hidden=m), stack: 2}
loss: sum[t](l[t] @ l[t])
""",
        stacked_pair,
    ),
    "reverse": Case(
        """
inputs: {x[t]: [n]}
nodes:
  l[t]: {is: lstm(x[t], hidden=m), reverse: t}
initial: {l.s: learned}
loss: sum[t](l[t] @ l[t]) + sum(l.s[first])
""",
        backwards,
    ),
    "reverse a stack": Case(
        """
inputs: {x[t]: [n]}
nodes:
  l[t]: {is: rnn(x[t], hidden=m), stack: 2, reverse: t}
loss: l[0] @ l[0] + sum(l[last])
""",
        backwards_chain,
    ),
    "share": Case(
        """
inputs: {x[t]: [n], w[t]: [n]}
nodes:
  l[t]: lstm(x[t], hidden=m)
  twin[t]: {is: lstm(w[t], hidden=m), share: l, reverse: t}
loss: sum[t](l[t] @ twin[t])
""",
        shared,
    ),
    "share a stack": Case(
        """
inputs: {x[t]: [n], w[t]: [n]}
nodes:
  l[t]: {is: rnn(x[t], hidden=m), stack: 2}
  twin[t]: {is: rnn(w[t], hidden=m), stack: 2, share: l}
loss: sum[t](l[t] @ twin[t])
""",
        shared_chain,
    ),
    "outer axis before": Case(
        """
inputs: {g[i,t]: [n]}
nodes:
  l[i,t]: rnn(g[i,t], hidden=m)
initial: {l.h: learned}
loss: sum[i,t](l[i,t] @ l[i,t])
""",
        outer,
    ),
    "outer axis after": Case(
        """
inputs: {g[t,i]: [n]}
nodes:
  l[t,i]: rnn(g[t,i], hidden=m)
  r[t,i]: {is: rnn(g[t,i], hidden=6), reverse: t}
loss: sum[t,i](l[t,i] @ l[t,i]) + sum[i](sum(r[first,i]))
""",
        outer_after,
    ),
    "size through a recurrence": Case(
        """
inputs: {x[t]: [n]}
parameters: {V: [3, m]}
nodes:
  l[t]: rnn(concat(x[t], o[t-1]), hidden=m)
  o[t]: tanh(V @ l[t])
loss: sum[t](o[t] @ o[t])
""",
        through_recurrence,
    ),
    "reaching inside": Case(
        """
inputs: {x[t]: [n]}
nodes:
  l[t]: lstm(x[t], hidden=m)
  k[t]: {is: rnn(x[t], hidden=m), stack: 2}
  y[t]: l.s[t-1] * l.s[t] + k.layer1[t]
initial: {l.s: learned}
loss: sum[t](y[t] @ y[t]) + sum(flatten(k.W * k.layer2.W))
""",
        reaching,
    ),
    "cells in a cell": Case(
        """
inputs: {x[t]: [n]}
nodes:
  l[t]: twoway(x[t])
  y[t]: slice(l[t], start=0, stop=4) * l.f[t]
loss: sum[t](y[t] @ y[t] + sum(l[t]))
""",
        nested_inside,
    ),
    "initial values of a cell": Case(
        """
inputs: {x[t]: [n]}
nodes:
  a[t]: late(x[t])
  b[t]: late(x[t])
  y[t]: x[t-1] * a[t]
initial: {x: 7, b.h: learned}
loss: sum[t](y[t] @ b[t])
""",
        own_initial,
    ),
    "strided": Case(
        """
inputs: {x[t]: [n]}
nodes:
  l[u]: rnn(concat(x[2*u], x[2*u+1]), hidden=m)
loss: sum[u](l[u] @ l[u])
""",
        strided,
    ),
    "both directions of cells in a cell": Case(BOTH_WAYS.format("twoway"), turned(twoway)),
    "self-attention": Case(BOTH_WAYS.format("attend"), turned(attend)),
    "strided in a cell": Case(BOTH_WAYS.format("pool"), turned(pool)),
    "initial input in both directions": Case(BOTH_WAYS.format("late"), turned(late)),
    "micro-steps": Case(
        """
inputs: {x[t]: [n]}
nodes:
  f[t]: deep(x[t])
  b[t]: {is: deep(x[t]), reverse: t}
loss: sum[t](f[t] @ b[t])
""",
        learned_levels,
    ),
}


@pytest.fixture(scope="module")
def cells(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write the cells of this file into a folder."""
    folder = tmp_path_factory.mktemp("cells")
    for name, text in CELLS.items():
        (folder / f"{name}.yaml").write_text(f"unfold: 1\ncell: {name}\n{text.strip()}\n")
    return folder


Drawn = tuple[unfold.Model, dict[str, Any], dict[str, Any], dict[str, list[int]]]


def drawn(name: str, cells: Path) -> Drawn:
    """Load a case and draw its values: model, parameters, inputs and lengths."""
    used = ", ".join(f"{cell}: {cells / cell}.yaml" for cell in CELLS)
    text = f"{HEAD.strip()}\nuse: {{{used}}}\n{CASES[name].text.strip()}\n"
    varying = {a: n for a, n in LENGTHS.items() if f"[{a}" in text or f",{a}]" in text}
    extents = {a: max(n) for a, n in varying.items()}
    model, params, inputs, _ = sample(text, extents, varying, batch=BATCH, seed=len(name))
    return model, params, inputs, varying


def sequence(model: unfold.Model, name: str, number: int, lengths: Mapping[str, list[int]]) -> Any:
    """Return where one sequence's values of a node or input lie in its array."""
    own = {a: n[number] for a, n in lengths.items()} | {"u": lengths["t"][number] // 2}
    name = model.program.aliases.get(name, name)
    return (number, *(slice(own[a]) for a in model.program[name].axes[1:]))


@pytest.mark.parametrize("name", CASES)
def test_values(name: str, cells: Path) -> None:
    model, params, inputs, lengths = drawn(name, cells)
    run = model.forward(params, inputs, lengths=lengths, backend="reference")
    losses = []
    for number in range(BATCH):
        own = {n: a[sequence(model, n, number, lengths)] for n, a in inputs.items()}
        expected = CASES[name].loop(params, own)
        losses.append(expected.pop("loss"))
        for node, value in expected.items():
            found = run[node][sequence(model, node, number, lengths)]
            assert_close(f"{node} of sequence {number}", found, value, 1e-12)
    assert_close("loss", run.loss, np.mean(losses), 1e-12)


@pytest.mark.parametrize("name", CASES)
def test_gradients(name: str, cells: Path) -> None:
    model, params, inputs, lengths = drawn(name, cells)
    check_model(model, params, inputs, order=1, lengths=lengths, backend="reference")


# --- names ----------------------------------------------------------------------------------------


def load(nodes: str, cells: Path | None = None) -> unfold.Model:
    use = f"use: {{twoway: {cells / 'twoway.yaml'}}}\n" if cells else ""
    return unfold.loads(f"{HEAD.strip()}\n{use}inputs: {{x[t]: [n]}}\nnodes:\n{nodes}")


def shapes(model: unfold.Model) -> dict[str, tuple[int, ...]]:
    return {name: array.shape for name, array in model.init().items()}


def test_layers_above_the_first_see_the_layer_below() -> None:
    model = load("  l[t]: {is: rnn(x[t], hidden=m), stack: 2}\n")
    assert shapes(model) == {
        "l.layer1.W": (4, 4),
        "l.layer1.U": (4, 2),
        "l.layer1.b": (4,),
        "l.layer2.W": (4, 4),
        "l.layer2.U": (4, 4),
        "l.layer2.b": (4,),
    }


def test_a_stack_of_one_is_a_layer_all_the_same() -> None:
    model = load("  l[t]: {is: rnn(x[t], hidden=m), stack: 1}\n")
    assert set(shapes(model)) == {"l.layer1.W", "l.layer1.U", "l.layer1.b"}


def test_who_shares_has_no_parameters_of_its_own() -> None:
    shared = "  l[t]: {is: rnn(x[t], hidden=m)}\n  k[t]: {is: rnn(x[t], hidden=m), share: l}\n"
    assert set(shapes(load(shared))) == {"l.W", "l.U", "l.b"}


def test_parameters_have_the_paths_of_their_instances(cells: Path) -> None:
    found = shapes(load("  o[t]: twoway(x[t])\n", cells))
    assert found["o.f.U"] == (4, 2) and found["o.b.U"] == (3, 2)
    assert {name.rpartition(".")[0] for name in found} == {"o.f", "o.b"}


def test_inputs_by_name_and_by_place_are_the_same(cells: Path) -> None:
    one = load("  o[t]: twoway(x[t])\n", cells)
    two = load("  o[t]: twoway(x=x[t])\n", cells)
    assert one.explain() == two.explain()


def test_the_default_of_a_size_gives_way_to_the_call(cells: Path) -> None:
    assert shapes(load("  o[t]: twoway(x[t], hidden=9)\n", cells))["o.f.W"] == (9, 9)


def test_a_cell_of_the_package_is_a_file(
    cells: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The recipe of CONTRIBUTING: no Python, and no list of names."""
    nodes = "  l[t]: twoway(x[t])\nloss: sum[t](l[t] @ l[t])\n"
    with pytest.raises(SpecError, match="twoway"):
        load(nodes)
    copytree(files.CELLS, tmp_path / "cells")
    copy(cells / "twoway.yaml", tmp_path / "cells")
    monkeypatch.setattr(files, "CELLS", tmp_path / "cells")
    assert load(nodes).explain() == load(nodes, cells).explain()
