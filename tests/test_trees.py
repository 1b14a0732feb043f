"""docs/trees.md: the trees that can be written today load, and are what a recursion computes.

Values and gradients, on both backends, against plain Python that calls itself for every child; the
syntax that the page only proposes is refused with a message that says what an index is.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import unfold
from unfold.errors import SpecError, UnsupportedError

jax.config.update("jax_enable_x64", True)

PAGE = (Path(__file__).parent.parent / "docs" / "trees.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
COMPLETE, DENSE, PROPOSED = EXAMPLES[:3]
NODES, FEATURES, HIDDEN = 7, 3, 4
# Any binary tree, children before parents: ((0 1) ((3 4) 5)), and nodes 2 and 6 are inner ones.
LEFT = [-1, -1, 0, -1, -1, 3, 2]
RIGHT = [-1, -1, 1, -1, -1, 4, 5]

Trees = list[list[int]]


def recursion(p: Any, x: Any, children: Trees, node: int) -> Any:
    """Return h of a node: the function calls itself for the children that there are."""
    left, right = (side[node] for side in children)
    a = p["U"] @ x[node]
    a = a + (p["L"] @ recursion(p, x, children, left) if left >= 0 else 0)
    a = a + (p["R"] @ recursion(p, x, children, right) if right >= 0 else 0)
    return jnp.tanh(a)


def expected(p: Any, x: Any, children: Trees, root: int) -> tuple[float, Any]:
    """Return the mean loss of two trees of one shape, and its gradients."""

    def loss(p: Any) -> Any:
        roots = [recursion(p, one, children, root) for one in x]
        return sum(jnp.sum(h * h) for h in roots) / len(roots)

    return jax.value_and_grad(loss)(p)


def drawn(text: str) -> tuple[unfold.Model, dict[str, Any], Any]:
    model, generator = unfold.loads(text), np.random.default_rng(0)
    params = {n: generator.normal(size=a.shape) for n, a in model.init().items()}
    return model, params, generator.normal(size=(2, NODES, FEATURES))


def check(model: unfold.Model, p: Any, inputs: Any, children: Trees, root: int) -> None:
    loss, grads = expected(p, inputs["x"], children, root)
    for backend in ("reference", "numba"):
        found, own = model.value_and_grad(p, inputs, backend=backend)
        np.testing.assert_allclose(found, loss, rtol=1e-12)
        for name, gradient in grads.items():
            np.testing.assert_allclose(own[name], gradient, rtol=1e-10, atol=1e-12)


def test_a_complete_tree_is_an_index() -> None:
    model, p, x = drawn(COMPLETE)
    inside = [[c if c < NODES else -1 for c in (2 * n + 1, 2 * n + 2)] for n in range(NODES)]
    check(model, p, {"x": x}, [list(side) for side in zip(*inside, strict=True)], 0)
    spans = [model.cost(n=2**height - 1).span for height in (3, 4, 5, 6)]
    assert set(np.diff(spans)) == {spans[1] - spans[0]}, "the longest path grows with the height"
    with pytest.raises(UnsupportedError, match="h reads itself at a distance that varies"):
        model.measures()


def test_any_tree_is_a_sum_over_all_nodes_before() -> None:
    model, p, x = drawn(DENSE)
    sides = {}
    for name, side in (("left", LEFT), ("right", RIGHT)):
        sides[name] = np.zeros((2, NODES, NODES))
        for node, child in enumerate(side):
            if child >= 0:
                sides[name][:, node, node - child - 1] = 1
    check(model, p, {"x": x, **sides}, [LEFT, RIGHT], NODES - 1)


def test_what_is_proposed_is_refused_so_far() -> None:
    with pytest.raises(SpecError, match="index"):
        unfold.loads(PROPOSED)
