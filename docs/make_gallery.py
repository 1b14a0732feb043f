"""Draw docs/gallery/*.svg and write docs/gallery.md, which shows them.

In: the specs of the library. Out: a folded and an unfolded picture of each, and a few more that
show what else can be drawn. Everything is deterministic: running it again changes nothing.

    python docs/make_gallery.py
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

import unfold
from unfold.api import Model
from unfold.drawing import Figure
from unfold.shipped import FAMILIES

DOCS = Path(__file__).parent
FOLDER = DOCS / "gallery"
SEQUENCE = 10


@dataclass(frozen=True)
class Extra:
    """A picture beside the two that every spec gets."""

    spec: str
    name: str
    caption: str
    arguments: dict[str, Any] = field(default_factory=dict)


EXTRAS = (
    Extra(
        "lstm-stack", "cells", "The same at the level of cells: one box per instance.",
        {"view": "unfolded", "detail": "cell"},
    ),
    Extra(
        "pattern-hidden", "backward",
        "Backpropagation through time is the unfolded adjoint: every arrow is reversed.",
        {"view": "backward"},
    ),
    Extra(
        "pattern-hidden", "elided",
        "A million steps: only the drawn part is computed.",
        {"view": "unfolded", "extents": {"t": 1_000_000}},
    ),
    Extra(
        "hello", "operations", "The same at the level of operations.",
        {"view": "unfolded", "detail": "op", "steps": 2},
    ),
    Extra(
        "teacher-forcing", "compare",
        "Training and use, side by side: they differ in the fed-back value.",
        {"view": "compare"},
    ),
    Extra(
        "attention", "backward", "The path of the gradient back through the attention.",
        {"view": "backward", "steps": 3},
    ),
)  # fmt: skip

GRADIENTS = (
    (0.4, "vanishing", "W has the singular value 0.4: the gradient of the early steps vanishes."),
    (1.6, "exploding", "W has the singular value 1.6: the gradient of the early steps explodes."),
)


def gradient_figure(scale: float) -> Figure:
    """Draw the gradient norms of pattern-last with an orthogonal recurrence, scaled."""
    model = unfold.load("pattern-last", axes={"t": SEQUENCE})
    generator = np.random.default_rng(0)
    params = model.init(seed=0)
    params["W"] = params["W"] * scale
    sizes = {v.name: v.type.shape for v in model.program.inputs}
    # Small inputs keep tanh in its linear range, so that W alone decides.
    inputs = {
        "x": 1e-3 * generator.standard_normal((1, SEQUENCE, *sizes["x"])),
        "y": np.zeros(1, dtype=np.int64),
    }
    return model.draw("gradients", params=params, inputs=inputs, steps=SEQUENCE)


def save(figure: Figure, name: str) -> str:
    """Write one picture and return how the page shows it."""
    figure.save(FOLDER / f"{name}.svg")
    return f"![{name}](gallery/{name}.svg)"


def section(model: Model, stem: str) -> list[str]:
    """Draw everything of one spec and return its part of the page."""
    lines = [f"### {stem}", "", model.about.strip(), ""]
    lines += [save(model.draw("folded"), f"{stem}-folded"), ""]
    lines += [save(model.draw("unfolded"), f"{stem}-unfolded"), ""]
    for extra in EXTRAS:
        if extra.spec == stem:
            picture = save(model.draw(**extra.arguments), f"{stem}-{extra.name}")
            lines += [extra.caption, "", picture, ""]
    if stem == "pattern-last":
        for scale, name, caption in GRADIENTS:
            lines += [caption, "", save(gradient_figure(scale), f"{stem}-{name}"), ""]
    return lines


def main() -> None:
    """Draw all pictures and write the page."""
    FOLDER.mkdir(exist_ok=True)
    for old in FOLDER.glob("*.svg"):
        old.unlink()
    lines = [
        "# Gallery",
        "",
        "The gallery shows every spec of `specs/`, folded (a delay is a black square on its edge)",
        "and unfolded (columns are steps, rows are values, one colour per shared parameter). Hover",
        "over a shape or an edge to see its description. `python docs/make_gallery.py` draws these",
        "pictures; `unfold render SPEC -o FILE` draws yours.",
        "",
    ]
    families = {name: [f for f in unfold.library() if f.parent.name == name] for name in FAMILIES}
    for family, files in families.items():
        lines.append(f"- {family}: " + ", ".join(f"[{f.stem}](#{f.stem})" for f in files))
    for family, files in families.items():
        lines += ["", f"## {family.capitalize()}", ""]
        for file in files:
            lines += section(unfold.load(file), file.stem)
    (DOCS / "gallery.md").write_text("\n".join(lines).rstrip() + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
