"""Draw docs/dynamics/*.svg, which docs/dynamics.md shows.

In: specs of the family `learning`. Out: gradients on unfolded graphs and over distance, a graph
that is cut, fixed points of trained networks. Running it again changes nothing.

    python docs/make_dynamics.py
"""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np

import unfold
from unfold import analysis
from unfold.training.data import make

FOLDER = Path(__file__).parent / "dynamics"
STEPS, FAR = 8, 50
Arrays = dict[str, Any]
COLOURS = ("#1f6fb4", "#5a6b7b", "#c0392b", "#e08a1e", "#4f8a4f")


def pairs(steps: int, count: int = 16) -> Arrays:
    """Return sequences of the adding problem."""
    data = make.task("adding", {"length": steps})
    columns = data.draw(np.random.default_rng(0), count).columns
    return {"x": columns["pair"].padded(), "target": columns["sum"].values}


def draw_gradients() -> None:
    """Draw how much gradient arrives at each step of three networks."""
    for name in ("vanishing", "exploding", "error-carousel"):
        model = unfold.load(name, axes={"t": STEPS})
        figure = model.draw("gradients", params=model.init(), inputs=pairs(STEPS), steps=STEPS)
        write(f"gradients-{name}", str(figure.render("svg")))


def draw_cut() -> None:
    """Draw the backward pass of the whole graph, and of the one that is cut."""
    for name in ("bptt", "truncated-by-hand"):
        model = unfold.load(name, axes={"t": 10})
        write(f"backward-{name}", str(model.draw("backward", steps=10).render("svg")))


def draw_distance() -> None:
    """Draw the norm of ∂loss/∂h(t), or ∂loss/∂s(t), over the distance to the end."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.5, 4.2), layout="constrained")
    axes = figure.subplots()
    inputs = pairs(FAR)
    model = unfold.load("vanishing")
    for gain, colour in zip((0.8, 1.0, 1.5, 3.0), COLOURS, strict=False):
        params = {**model.init(), "gain": np.array(gain)}
        norms = model.gradient_norms(params, inputs)["h"]
        distance = np.arange(len(norms))[::-1]
        label = f"tanh, σ = {gain:g}"
        axes.plot(distance, norms, color=colour, linewidth=1.8, label=label)
        bound = norms[-1] * gain**distance
        axes.plot(distance, bound, color=colour, linewidth=0.9, linestyle=(0, (3, 2)))
    model = unfold.load("error-carousel")
    norms = model.gradient_norms(model.init(), inputs)["s"]
    axes.plot(
        np.arange(len(norms))[::-1], norms, color=COLOURS[4], linewidth=2.2,
        label="LSTM without forget gates, s",
    )  # fmt: skip
    axes.plot([], [], color="#222222", linewidth=0.9, linestyle=(0, (3, 2)), label="σ^k")
    axes.set(
        yscale="log", ylim=(1e-8, 1e8), xlabel="steps before the end",
        ylabel="norm of the gradient of the loss",
    )  # fmt: skip
    axes.margins(x=0.01)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, fontsize="small", loc="upper left")
    write("distance", saved(figure))


def saved(figure: Any) -> str:
    """Return a chart as SVG, the same every time."""
    from matplotlib import rc_context
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    FigureCanvasAgg(figure)
    buffer = io.BytesIO()
    with rc_context({"svg.hashsalt": "unfold", "svg.fonttype": "none"}):
        figure.savefig(buffer, format="svg", metadata={"Date": None})
    return buffer.getvalue().decode("utf-8")


def draw_points(name: str, symbols: dict[int, str], x: Any, params: Arrays) -> None:
    """Draw the fixed points of a network under each symbol, among the states of sequences."""
    model = unfold.load(name)
    run = model.forward(params, {"x": x}, backend="reference")
    panels: list[analysis.Panel] = []
    visited = run["h"].reshape(-1, run["h"].shape[-1])
    for symbol, title in symbols.items():
        flow = analysis.state_map(model, params, {"x": symbol})
        found = analysis.fixed_points(flow, analysis.starts(visited, 200))
        panels.append(analysis.Panel(title, flow, found))
    paths = analysis.trajectories(panels[0].flow, run)
    picture = analysis.draw_dynamics(name, panels, paths, analysis.plane_of(visited))
    write(f"fixed-points-{name}", picture.decode("utf-8"))


def trained(name: str, seed: int) -> Arrays:
    """Return the parameters that a spec's own training leads to."""
    model = unfold.load(name)
    section = model.spec.data
    assert section is not None, name
    data = make.describe({**section.tree, "seed": seed})
    found = unfold.train(model, data, seed=seed, backend="numba", dtype="float32").params
    return {n: np.asarray(a, dtype=np.float64) for n, a in found.items()}


def write(name: str, svg: str) -> None:
    """Write one picture, without spaces at the ends of lines."""
    text = "\n".join(line.rstrip() for line in svg.splitlines())
    (FOLDER / f"{name}.svg").write_text(text + "\n", encoding="utf-8")


def main() -> None:
    """Draw everything."""
    FOLDER.mkdir(exist_ok=True)
    draw_gradients()
    draw_cut()
    draw_distance()
    latch = unfold.load("latch").init()
    zero = {n: np.zeros_like(a) for n, a in latch.items()} | {"w": latch["w"]}
    zero["U"] = np.array([[-1.0, 1.0]])
    bits = np.random.default_rng(0).integers(-1, 2, (8, 12))
    draw_points("latch", {-1: "nothing", 1: "symbol 1"}, bits, zero)
    counted = np.array([[0] + [1] * 10 + [2] * 10])
    params = trained("anbn-srn", 4)
    draw_points("anbn-srn", {1: "x = a", 2: "x = b"}, counted, params)


if __name__ == "__main__":
    main()
