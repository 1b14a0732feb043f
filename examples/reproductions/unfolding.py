"""What unfolding is, counted and compared without any training: rows A1 to A5, A7 and A8.

In: the specs of `specs/unfolding`, with random weights. Graphs are counted node by node, gradients
compared with the closed forms of Goodfellow, Bengio & Courville (2016), written here in NumPy.

    python -m examples.reproductions --only closed-forms
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

import unfold
from examples.reproductions.experiment import Experiment, Finding, spec
from unfold.unfolded.graph import Edge

Array = np.ndarray
Arrays = dict[str, Array]
TOLERANCE = 1e-12
LONGEST = 12
COUNTED = (5, 10, 20, 40, 80)
SHAPES = {
    "one-to-one": ("1 → 1", ("x", "o")),
    "one-to-many": ("1 → T", ("x", "o")),
    "many-to-one": ("T → 1", ("x", "o")),
    "many-to-many": ("T → T", ("x", "o")),
    "many-to-many-delayed": ("S → T", ("x", "o")),
}
EXTENTS = {"s": 4, "t": 5}


def _drawn(model: unfold.Model, seed: int) -> Arrays:
    """Return random parameters, none of them zero."""
    generator = np.random.default_rng(seed)
    return {n: generator.normal(size=a.shape) / 2 for n, a in model.init().items()}


def _names(graph: Any) -> list[str]:
    """Return the value of every node that is no boundary."""
    return [node.value for node in graph.nodes() if not node.boundary]


def _applications(seed: int) -> Finding:
    """Unfold s(t) = f(s(t-1)) from s(1) to s(tau) for every tau, and compare with f itself."""
    model = spec("dynamical-system")
    params = _drawn(model, seed)
    counts, worst = [], 0.0
    for tau in range(2, LONGEST + 1):
        steps = tau - 1
        counts.append(_names(model.unfold(t=steps)).count("s"))
        s = params["s.initial"]
        for _ in range(tau - 1):
            s = np.tanh(params["W"] @ s + params["b"])
        run = model.forward(params, {"y": np.zeros((1, steps, 2))}, backend="reference")
        worst = max(worst, float(np.abs(run["s"][0, -1] - s).max()))
    right = counts == list(range(1, LONGEST))
    cells = (str(counts[1]), "τ − 1" if right else str(counts), f"{worst:.0e}")
    return Finding(right and worst <= TOLERANCE, cells)


def _growth(seed: int) -> Finding:
    """Count the nodes of longer and longer unfoldings, and the parameters."""
    name = "driven-dynamical-system"
    model = spec(name)
    nodes = [len(_names(model.unfold(t=steps))) for steps in COUNTED]
    weights = {
        sum(a.size for a in unfold.load(name, axes={"t": steps}).init().values())
        for steps in COUNTED
    }
    per_step = {
        (b - a) / (later - sooner)
        for a, b, sooner, later in zip(nodes, nodes[1:], COUNTED, COUNTED[1:], strict=False)
    }
    cells = (
        ", ".join(map(str, nodes)),
        ", ".join(f"{rate:g}" for rate in sorted(per_step)),
        ", ".join(map(str, sorted(weights))),
    )
    return Finding(len(per_step) == 1 and per_step.pop() > 0 and len(weights) == 1, cells)


def _squares(seed: int) -> Finding:
    """Count the black squares of the folded and of the unfolded picture, and what they became."""
    model = spec("rnn-digest")
    folded = model.draw("folded").picture
    unfolded = model.draw("unfolded", steps=8, extents={"t": 8}).picture
    squares = [sum(n.shape == "square" for n in p.nodes) for p in (folded, unfolded)]
    loops = sum(e.source == e.target for e in unfolded.edges)
    chain = [e for e in _edges(model.unfold(t=8), "delay") if e.source.value == e.target.value]
    steps = sorted((e.source.point[0], e.target.point[0]) for e in chain)
    outputs = [n for n in model.program.values if n == "o"]
    reached = squares == [1, 0] and not loops and not outputs
    reached = reached and steps == [(t, t + 1) for t in range(7)]
    return Finding(reached, (str(squares[0]), str(squares[1]), str(len(steps)), str(len(outputs))))


def _edges(graph: Any, kind: str) -> Iterator[Edge]:
    return (edge for edge in graph.edges() if edge.kind == kind)


def closed_forms(p: Arrays, x: Array, y: Array) -> Arrays:
    """Return the gradients of one sequence by equations 10.18 to 10.28 of the book.

    Arguments:
        p: W, U, V, b, c.
        x: [T, features].
        y: classes, [T].
    """
    hs = [np.zeros(len(p["b"]))]
    for x_t in x:
        hs.append(np.tanh(p["b"] + p["W"] @ hs[-1] + p["U"] @ x_t))
    found = {name: np.zeros_like(value) for name, value in p.items()}
    from_later = np.zeros(len(p["b"]))
    for t in reversed(range(len(x))):
        h, before = hs[t + 1], hs[t]
        o = p["c"] + p["V"] @ h
        y_hat = np.exp(o - o.max()) / np.exp(o - o.max()).sum()
        nabla_o = y_hat - np.eye(len(o))[y[t]]
        nabla_h = from_later + p["V"].T @ nabla_o
        inside = (1 - h**2) * nabla_h
        found["c"] += nabla_o
        found["V"] += np.outer(nabla_o, h)
        found["b"] += inside
        found["W"] += np.outer(inside, before)
        found["U"] += np.outer(inside, x[t])
        from_later = p["W"].T @ inside
    return found


def _closed_forms(seed: int) -> Finding:
    """Compare backpropagation through time with the closed forms, parameter by parameter."""
    model = spec("pattern-hidden")
    params, generator = _drawn(model, seed), np.random.default_rng([seed, 1])
    x, y = generator.normal(size=(3, 12, 6)), generator.integers(0, 5, size=(3, 12))
    _, grads = model.value_and_grad(params, {"x": x, "y": y}, backend="reference")
    each = [closed_forms(params, *pair) for pair in zip(x, y, strict=True)]
    worst = {
        name: float(np.abs(grads[name] - np.mean([one[name] for one in each], axis=0)).max())
        for name in ("V", "c", "W", "U", "b")
    }
    cells = tuple(f"{error:.0e}" for error in worst.values())
    return Finding(max(worst.values()) <= TOLERANCE, cells)


def _loops(seed: int) -> Finding:
    """Count the loops over t of the plan of a training step, and how long its longest path is."""
    model = spec("pattern-output")
    loops, paths = [], []
    for mode in ("teacher", "free"):
        rows = model.plan(mode=mode, batch=8).rows
        loops.append(sum(row.kind == "loop" for row in rows))
        paths.append([model.cost(mode=mode, t=t).span for t in (10, 100)])
    cells = (*map(str, loops), *(" → ".join(map(str, p)) for p in paths))
    constant = paths[0][0] == paths[0][1] and paths[1][0] < paths[1][1]
    return Finding(loops[0] == 0 and loops[1] > 0 and constant, cells)


def _shapes(seed: int) -> Finding:
    """Count the nodes that are read and those that come out of the five shapes."""
    told, reached = [], True
    for name, (shape, (reads, says)) in SHAPES.items():
        model = spec(name)
        axes = {a: n for a, n in EXTENTS.items() if a in model.program.axes}
        names = _names(model.unfold(**axes))
        found = (names.count(reads), names.count(says))
        ends = {"1": 1, "S": EXTENTS["s"], "T": EXTENTS["t"]}
        reached = reached and found == tuple(ends[end] for end in shape.split(" → "))
        told.append(f"{found[0]} → {found[1]}")
    return Finding(reached, tuple(told))


def _modes(seed: int) -> Finding:
    """Count the unfolded graphs of training and use, and of the mixture between them."""
    model, steps = spec("teacher-forcing"), 10
    told, sources = [], {}
    for mode in ("teacher", "free", ("scheduled", 0.5)):
        graph = model.unfold(t=steps, mode=mode)
        fed = [e for e in _edges(graph, "feedback") if not e.source.boundary]
        key = mode if isinstance(mode, str) else mode[0]
        sources[key] = {name: [e.source.value for e in fed].count(name) for name in ("y", "choice")}
        told.append(f"{sources[key]['y']} + {sources[key]['choice']}")
    params, generator = _drawn(model, seed), np.random.default_rng([seed, 1])
    inputs = {"x": generator.normal(size=(80, 50, 6)), "y": generator.integers(0, 5, (80, 50))}
    run = model.forward(params, inputs, mode=("scheduled", 0.7), backend="reference")
    says, teaches = run["choice"][:, :-1], inputs["y"][:, :-1]
    apart = says != teaches  # elsewhere nobody can tell whom it listened to
    share = float((run["prev"][:, 1:] == teaches)[apart].mean())
    reached = (
        sources["teacher"] == {"y": steps - 1, "choice": 0}
        and sources["free"] == {"y": 0, "choice": steps - 1}
        and sources["scheduled"] == {"y": steps - 1, "choice": steps - 1}
        and abs(share - 0.7) < 0.05
    )
    return Finding(reached, (*told, f"{share:.3f}"))


EXPERIMENTS = (
    Experiment(
        "applications-of-f",
        ("A1",),
        "unfolding a dynamical system to τ steps applies f τ − 1 times",
        f"for every τ from 2 to {LONGEST} the unfolded graph has τ − 1 nodes s(t) after s(1), and"
        " s(τ) is f(f(…s(1))) as NumPy computes it, to 1e-12",
        ("f in s(3)", "f in s(τ)", "largest difference"),
        _applications,
        published="s(3) = f(f(s(1))) (Goodfellow, Bengio & Courville 2016, equation 10.3)",
        specs=("dynamical-system",),
        quick=True,
    ),
    Experiment(
        "growth",
        ("A2",),
        "the graph of a driven system grows with T, its parameters do not",
        "the same number of nodes is added by every further step, and the number of weights is the"
        " same for every T",
        (f"nodes for T = {', '.join(map(str, COUNTED))}", "nodes per step", "weights"),
        _growth,
        specs=("driven-dynamical-system",),
        quick=True,
    ),
    Experiment(
        "black-square",
        ("A3",),
        "a network without outputs: the delay of the folded picture becomes a chain",
        "the folded picture has one black square, the unfolded one of 8 steps has none and 7 edges"
        " from h(t-1) to h(t); nothing is called an output",
        ("squares, folded", "squares, unfolded", "edges h(t-1) → h(t)", "outputs"),
        _squares,
        published="Goodfellow, Bengio & Courville 2016, figure 10.2",
        specs=("rnn-digest",),
        quick=True,
    ),
    Experiment(
        "closed-forms",
        ("A4",),
        "gradients of output at each step, hidden recurrence, equal the closed forms",
        "no entry of a gradient differs from the closed form by more than 1e-12 (three sequences of"
        " 12 steps, random weights)",
        ("V", "c", "W", "U", "b"),
        _closed_forms,
        published="Goodfellow, Bengio & Courville 2016, equations 10.18 to 10.28",
        specs=("pattern-hidden",),
        notes="The columns give the largest difference for each parameter.",
        quick=True,
    ),
    Experiment(
        "decoupled-steps",
        ("A5",),
        "with recurrence from the output alone, teacher forcing decouples the steps",
        "the plan of a training step has no loop in teacher mode, and has one in free mode; the"
        " longest path to an output is as long for 100 steps as for 10 in teacher mode alone",
        ("loops, teacher", "loops, free", "path, teacher, T = 10 → 100", "path, free"),
        _loops,
        published="Goodfellow, Bengio & Courville 2016, section 10.2.1",
        specs=("pattern-output",),
        quick=True,
    ),
    Experiment(
        "five-shapes",
        ("A7",),
        "one or many to one or many: five shapes of one language",
        f"the unfolded graphs for S = {EXTENTS['s']} and T = {EXTENTS['t']} read and write as many"
        " nodes as their names say",
        tuple(f"{name}, {shape}" for name, (shape, _) in SHAPES.items()),
        _shapes,
        published="Karpathy 2015, the five pictures",
        specs=tuple(SHAPES),
        quick=True,
    ),
    Experiment(
        "two-graphs",
        ("A8",),
        "teacher forcing and free run are two graphs, scheduled sampling is between them",
        "of the 9 steps after the first one, all are fed by y(t-1) in training, all by the"
        " network's choice in use, and both in scheduled mode, where with p = 0.7 the share of"
        " steps that listened to the teacher is from 0.65 to 0.75",
        ("fed by y + choice: teacher", "free", "scheduled", "share of the teacher, p = 0.7"),
        _modes,
        specs=("teacher-forcing", "scheduled-sampling"),
        quick=True,
    ),
)
