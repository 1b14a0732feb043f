"""Random values: a number depends on its seed, its value's name and its index point alone.

So it is the same in every order of execution, for every split of a batch and every length of the
arrays, in the forward run and in the adjoint; and the numbers look like what they are drawn from.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from gradients import check_model, sample

import unfold
from unfold.core.random import stream, uniform
from unfold.ops.source import _normal_evaluate

NOISE = """
unfold: 1
name: noise
axes: {t: 40}
sizes: {n: 30}
inputs: {x[t]: [n]}
parameters: {W: [n, n], b: [n]}
nodes:
  d[t]: dropout(x[t], rate=0.25)
  e[t]: dropout(x[t], rate=0.25)
  z[t]: normal(shape=[n])
  s[t]: sample(b * x[t])
  h[t]: tanh(W @ h[t-1] + d[t] + 0.1 * z[t])
loss: sum[t](h[t] @ h[t])
"""


def noise(
    batch: int = 50, steps: int = 40, seed: int = 0, training: bool = True, **sizes: int
) -> Any:
    model = unfold.loads(NOISE, axes={"t": steps}, sizes=sizes)
    n = sizes.get("n", 30)
    params = {"W": np.zeros((n, n)), "b": np.zeros(n)}
    x = np.ones((batch, steps, n))
    return model.forward(params, {"x": x}, seed=seed, training=training)


# The generator


def grid(*extents: int) -> list[Any]:
    return list(np.meshgrid(*map(np.arange, extents), indexing="ij", sparse=True))


def test_known_numbers() -> None:
    """Pinned: a run taken up again, or another backend, must draw the same."""
    found = uniform(stream(0, "h.1"), grid(2, 2, 1), (2,)).ravel()
    assert [float(x).hex() for x in found] == [
        "0x1.7e420ded73e5bp-1",
        "0x1.1810d857c6cfbp-1",
        "0x1.aa22113991c43p-1",
        "0x1.27fbfa04c9b52p-2",
        "0x1.26f9eb4339eadp-1",
        "0x1.fdaccba7c4d10p-5",
        "0x1.3effa2c5131f4p-3",
        "0x1.c8b96b0fdc52cp-3",
    ]


def test_a_number_depends_on_its_coordinates_alone() -> None:
    key = stream(3, "noise")
    whole = uniform(key, grid(6, 5, 1), (4,))
    assert whole.shape == (6, 5, 1, 4)
    point = [np.array([4, 1]).reshape(2, 1, 1), np.array([[[3]]]), np.array([[[0]]])]
    part = uniform(key, point, (4,))
    np.testing.assert_array_equal(part[:, 0, 0], whole[[4, 1], 3, 0])
    np.testing.assert_array_equal(uniform(key, grid(6, 5, 1), (2,)), whole[..., :2])


def test_streams_differ() -> None:
    draws = [uniform(stream(s, n), grid(9), (3,)) for s in (0, 1) for n in ("a", "b", "a.1")]
    for i, a in enumerate(draws):
        for b in draws[:i]:
            assert not np.any(a == b)


def test_coordinates_do_not_commute() -> None:
    """(1, 2) and (2, 1) are different points."""
    square = uniform(stream(0, "a"), grid(8, 8), ())
    assert len(np.unique(square)) == 64


def test_numbers_are_strictly_between_zero_and_one() -> None:
    """Also the extreme ones: a logarithm of either end would be infinite."""
    top = np.uint64(2**64 - 1)
    largest = (float(top >> np.uint64(12)) + 0.5) * 2.0**-52
    assert 0 < 0.5 * 2.0**-52 and largest < 1
    many = uniform(stream(1, "a"), grid(500, 500), ())
    assert many.min() > 0 and many.max() < 1


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_uniform_statistics(axis: int) -> None:
    """Mean, variance, spread over twenty bins, and no correlation of neighbours along any axis."""
    numbers = uniform(stream(2, "a"), grid(40, 50, 1), (60,))[:, :, 0]
    count = numbers.size
    assert abs(numbers.mean() - 0.5) < 4 * np.sqrt(1 / 12 / count)
    assert abs(numbers.var() - 1 / 12) < 4 * np.sqrt(1 / 180 / count)
    found, _ = np.histogram(numbers, bins=20, range=(0, 1))
    chi = np.sum((found - count / 20) ** 2 / (count / 20))
    assert chi < 43.8  # one in a thousand for 19 degrees of freedom
    a = np.moveaxis(numbers, axis, 0) - 0.5
    correlation = np.mean(a[1:] * a[:-1]) * 12
    assert abs(correlation) < 4 / np.sqrt(a[1:].size)


def test_normal_statistics() -> None:
    z = _normal_evaluate(key=stream(0, "z"), coordinates=grid(50, 40, 1), shape=(30,))
    assert z.shape == (50, 40, 1, 30)
    count = z.size
    assert abs(z.mean()) < 4 / np.sqrt(count)
    assert abs(z.var() - 1) < 4 * np.sqrt(2 / count)
    assert abs((z**3).mean()) < 4 * np.sqrt(15 / count)
    assert abs((z**4).mean() - 3) < 4 * np.sqrt(96 / count)
    assert abs(np.mean(z[..., 1:] * z[..., :-1])) < 4 / np.sqrt(count)


# Runs


def test_the_same_seed_gives_the_same_numbers() -> None:
    first, again, other = noise(seed=5), noise(seed=5), noise(seed=6)
    for name in ("d", "z", "s", "h"):
        assert np.array_equal(first[name], again[name]), name
        assert not np.array_equal(first[name], other[name]), name


def test_the_size_of_a_run_does_not_matter() -> None:
    """The first sequences and steps of a large run are a small run."""
    large, small = noise(batch=9, steps=12), noise(batch=4, steps=5)
    for name in ("d", "z", "s"):
        np.testing.assert_array_equal(large[name][:4, :5], small[name])


def test_equations_draw_their_own_numbers() -> None:
    run = noise()
    kept = (run["d"] != 0) & (run["e"] != 0)
    assert abs(kept.mean() - 0.75**2) < 4 * np.sqrt(0.75**2 / kept.size)


def test_dropout() -> None:
    """What is kept is scaled up, so that the mean stays; without training everything is kept."""
    run = noise()
    assert set(np.unique(run["d"])) == {0.0, 1 / 0.75}
    assert abs(run["d"].mean() - 1) < 4 * np.sqrt(1 / 3 / run["d"].size)
    np.testing.assert_array_equal(noise(training=False)["d"], np.ones((50, 40, 30)))


def test_samples_follow_the_softmax() -> None:
    model = unfold.loads(NOISE, axes={"t": 40}, sizes={"n": 4})
    probabilities = np.array([0.1, 0.2, 0.3, 0.4])
    params = {"W": np.zeros((4, 4)), "b": np.log(probabilities) + 7}
    run = model.forward(params, {"x": np.ones((500, 40, 4))})
    counts = np.bincount(run["s"].ravel(), minlength=4)
    chi = np.sum((counts - 20000 * probabilities) ** 2 / (20000 * probabilities))
    assert chi < 16.3  # one in a thousand for 3 degrees of freedom


@pytest.mark.parametrize(("temperature", "most"), [(0.05, 0.999), (50.0, 0.3)])
def test_temperature(temperature: float, most: float) -> None:
    """A low one takes the largest logit, a high one takes them all alike."""
    text = NOISE.replace("x[t])\n  h", f"x[t], temperature={temperature})\n  h")
    model = unfold.loads(text, sizes={"n": 4})
    params = {"W": np.zeros((4, 4)), "b": np.array([0.0, 0.3, 0.6, 1.0])}
    drawn = model.forward(params, {"x": np.ones((50, 40, 4))})["s"]
    share = np.mean(drawn == 3)
    assert share > most if temperature < 1 else share < most


def test_what_has_no_axis_is_drawn_once_per_sequence() -> None:
    """A part of an equation has just the axes of its operands, random ones too."""
    text = NOISE.replace("dropout(x[t], rate=0.25)", "dropout(b, rate=0.5) * x[t]", 1)
    model = unfold.loads(text, sizes={"n": 7})
    params = {"W": np.zeros((7, 7)), "b": np.ones(7)}
    run = model.forward(params, {"x": np.ones((5, 40, 7))}, training=True)
    assert np.all(run["d"] == run["d"][:, :1]) and not np.all(run["d"] == run["d"][:1])


def test_unequal_lengths_draw_the_same() -> None:
    model = unfold.loads(NOISE, sizes={"n": 3})
    params = {"W": np.zeros((3, 3)), "b": np.zeros(3)}
    x = np.ones((3, 40, 3))
    whole = model.forward(params, {"x": x}, training=True)
    run = model.forward(params, {"x": x}, training=True, lengths={"t": [40, 3, 17]})
    for number, steps in enumerate([40, 3, 17]):
        np.testing.assert_array_equal(run["d"][number, :steps], whole["d"][number, :steps])
        assert not run["d"][number, steps:].any()


SCHEDULED = """
unfold: 1
name: scheduled
axes: {t: 30}
inputs: {x[t]: [2], y[t]: [2]}
parameters: {W: [2,2], U: [2,2]}
nodes:
  prev[t]: feedback(teacher=y[t-1], free=o[t-1])
  o[t]: tanh(W @ prev[t] + U @ dropout(x[t], rate=0.5))
loss: mean[t](mse(o[t], y[t]))
"""


@pytest.mark.parametrize("probability", [0.0, 0.3, 1.0])
def test_scheduled_runs_toss_a_coin_per_step_and_sequence(probability: float) -> None:
    model, params, inputs, _ = sample(SCHEDULED, {"t": 30}, batch=40)
    run = model.forward(params, inputs, mode=("scheduled", probability), seed=1)
    taught = np.all(run["prev"][:, 1:] == inputs["y"][:, :-1], axis=-1)
    free = np.all(run["prev"][:, 1:] == run["o"][:, :-1], axis=-1)
    assert np.all(taught ^ free)
    deviation = np.sqrt(probability * (1 - probability) / taught.size)
    assert abs(taught.mean() - probability) <= 4 * deviation
    if 0 < probability < 1:
        assert not np.all(taught == taught[:1]) and not np.all(taught == taught[:, :1])


@pytest.mark.parametrize("mode", ["teacher", "free", ("scheduled", 0.5)])
def test_gradients_of_a_random_run(mode: Any) -> None:
    """The adjoint draws the numbers that the forward run drew."""
    model, params, inputs, _ = sample(SCHEDULED, {"t": 6})
    check_model(model, params, inputs, order=1, mode=mode, seed=3, training=True)


def test_a_copy_of_a_random_value_keeps_its_numbers() -> None:
    """Differentiation merges copies; the copy of a random value must not rename it."""
    text = """
unfold: 1
name: copies
axes: {t: 4}
inputs: {x[t]: [3]}
parameters: {w: [3]}
nodes:
  z[t]: normal(shape=[3])
  c[t]: z[t]
  y[t]: c[t] * w * x[t]
loss: sum[t](y[t] @ y[t])
"""
    model, params, inputs, _ = sample(text, {"t": 4})
    check_model(model, params, inputs, order=1)
