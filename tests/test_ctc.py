"""`ctc` against the enumeration of all alignments, PyTorch, differences, and at its extremes.

Tiny cases list every path of T frames over K classes, collapse it (merge repeats, drop blanks) and
add up the probabilities of those that give the labels. Float64 unless a test says otherwise.
"""

from __future__ import annotations

from itertools import groupby, product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from gradients import check_model

import unfold
from unfold.backends.numba.backend import Numba
from unfold.cli import invoke
from unfold.core.build import Builder
from unfold.core.op import OPS, Kind
from unfold.core.origin import Written
from unfold.core.plan import Call
from unfold.errors import SpecError, UnsupportedError
from unfold.ops.lattice import Lattice
from unfold.passes.differentiate import differentiate
from unfold.planning.plan import plan
from unfold.shipped import find

BACKENDS = ("reference", "numba")

SPEC = """
unfold: 1
name: alignments
axes: {{t: 4, u: 2}}
sizes: {{classes: {classes}, n: 5}}
inputs:
  x[t]: [n]
  y[u]: {{category: classes}}
parameters:
  V: [classes, n]
nodes:
  o[t]: V @ x[t]
loss: ctc[t,u]({what}, y[u]{options})
"""
GIVEN = """
unfold: 1
name: given
axes: {{t: 4, u: 2}}
sizes: {{classes: {classes}}}
inputs:
  p[t]: [classes]
  y[u]: {{category: {labels}}}
nodes:
  each: ctc[t,u](p[t], y[u]{options})
loss: each
"""


def collapse(path: Any, blank: int) -> list[int]:
    """Return what a path says."""
    return [int(k) for k, _ in groupby(path) if k != blank]


def listed(log_probs: Any, labels: Any, blank: int) -> float:
    """Return -log p(labels), by listing every path."""
    total = sum(
        np.exp(sum(log_probs[t, k] for t, k in enumerate(path)))
        for path in product(range(log_probs.shape[1]), repeat=len(log_probs))
        if collapse(path, blank) == [k for k in labels if k >= 0]
    )
    return float(-np.log(total)) if total else np.inf


def given(options: str = "", *, classes: int = 3, labels: str = "classes") -> unfold.Model:
    return unfold.loads(GIVEN.format(classes=classes, labels=labels, options=options))


def model(what: str = "log_softmax(o[t])", options: str = "", classes: int = 4) -> unfold.Model:
    return unfold.loads(SPEC.format(what=what, options=options, classes=classes))


def log_softmax(x: Any) -> Any:
    return x - np.logaddexp.reduce(x, axis=-1, keepdims=True)


def test_aab_collapses() -> None:
    """a−ab− and −aa−−abb both say aab (Graves et al. 2006)."""
    a, b, blank = 1, 2, 0
    assert collapse([a, blank, a, b, blank], blank) == [a, a, b]
    assert collapse([blank, a, a, blank, blank, a, b, b], blank) == [a, a, b]


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("blank", [0, 1, 2])
def test_all_alignments(blank: int, backend: str) -> None:
    """Every T to 5 and L to 3 at once: short and empty labels, repeats, too few frames."""
    rng = np.random.default_rng(blank)
    own = [k for k in range(3) if k != blank]
    cases = [(t, n) for t in range(1, 6) for n in range(1, 4) for _ in range(2)]
    p = rng.standard_normal((len(cases), 5, 3))  # no distribution: the sum is over all paths
    y = rng.choice(own, (len(cases), 3))
    y[::7, 1] = -1  # a label that is none
    y[3, :] = -1
    lengths = {"t": [t for t, _ in cases], "u": [n for _, n in cases]}
    wanted = [listed(p[i, :t], y[i, :n], blank) for i, (t, n) in enumerate(cases)]
    assert np.inf in wanted
    option = "" if blank == 0 else ", blank=last" if blank == 2 else ", blank=1"
    run = given(option).forward({}, {"p": p, "y": y}, lengths=lengths, backend=backend)
    np.testing.assert_allclose(run["each"], wanted, rtol=1e-12)


@pytest.mark.parametrize("backend", BACKENDS)
def test_labels_without_the_blank(backend: str) -> None:
    """With the blank last, labels need no class for it."""
    rng = np.random.default_rng(1)
    p, y = rng.standard_normal((2, 4, 3)), np.array([[0, 0], [1, 0]])
    run = given(", blank=last", labels="classes - 1").forward({}, {"p": p, "y": y}, backend=backend)
    np.testing.assert_allclose(run["each"], [listed(q, z, 2) for q, z in zip(p, y, strict=True)])


def drawn(batch: int = 6, frames: int = 9, labels: int = 4) -> tuple[Any, Any, Any]:
    """Return arrays of sequences of unequal lengths, what is beyond them not a number."""
    rng = np.random.default_rng(2)
    x, y = rng.standard_normal((batch, frames, 5)), rng.integers(1, 4, (batch, labels))
    lengths = {"t": [9, 5, 7, 8, 1, 6], "u": [4, 2, 1, 3, 1, 4]}
    y[0], y[5] = [1, 1, 2, 2], [2, 2, 2, 2]  # the last has too few frames
    for i in range(batch):
        x[i, lengths["t"][i] :] = np.nan
        y[i, lengths["u"][i] :] = 3
    return x, y, lengths


@pytest.mark.parametrize("backend", BACKENDS)
def test_against_pytorch(backend: str) -> None:
    torch = pytest.importorskip("torch")
    x, y, lengths = drawn()
    own = model(options=", impossible=0")
    params = own.init(seed=3, dtype="float64")
    loss, gradients = own.value_and_grad(params, {"x": x, "y": y}, lengths=lengths, backend=backend)
    V = torch.tensor(params["V"], requires_grad=True)
    scores = torch.tensor(np.nan_to_num(x)) @ V.T
    theirs = torch.nn.functional.ctc_loss(
        torch.log_softmax(scores, -1).transpose(0, 1),
        torch.tensor(y),
        torch.tensor(lengths["t"]),
        torch.tensor(lengths["u"]),
        reduction="none",
        zero_infinity=True,
    ).mean()
    theirs.backward()
    np.testing.assert_allclose(loss, theirs.item(), rtol=1e-12)
    np.testing.assert_allclose(gradients["V"], V.grad.numpy(), rtol=1e-10, atol=1e-12)


def test_gradients_and_products_against_differences() -> None:
    x, y, lengths = drawn()
    own = model("tanh(o[t])", ", impossible=0")  # no distribution
    check_model(own, own.init(seed=4, dtype="float64"), {"x": x, "y": y}, lengths=lengths, seed=4)


def test_second_order_agrees_between_backends() -> None:
    x, y, lengths = drawn()
    own = model("tanh(o[t])", ", impossible=0")
    params = own.init(seed=5, dtype="float64")
    direction = {"V": np.random.default_rng(6).standard_normal((4, 5))}
    found = [
        own.hessian_vector(params, {"x": x, "y": y}, direction, lengths=lengths, backend=b)["V"]
        for b in BACKENDS
    ]
    assert np.abs(found[0]).max() > 0.1
    np.testing.assert_allclose(found[1], found[0], rtol=1e-11, atol=1e-13)


def test_there_is_no_third_order() -> None:
    own = model()
    builder = Builder.of(own.pipeline.curvature(("V",)))
    builder.emit("sum_to", (builder.term("∂²V"),), {"shape": ()}, origin=Written("total"))
    second = builder.build(own.program, outputs=("∂²V",), loss=None, depth=2)
    with pytest.raises(UnsupportedError, match="ctc has no third derivative"):
        differentiate(second, ("V",), of="total")


@pytest.mark.parametrize("backend", BACKENDS)
def test_the_occupancy_of_frames_adds_up_to_one(backend: str) -> None:
    """-∂loss/∂p[t] is how likely each class is at t: the classes of a frame add up to 1."""
    rng = np.random.default_rng(7)
    p, y = log_softmax(rng.standard_normal((3, 8, 3))), np.array([[1, 2], [1, 1], [2, 1]])
    lengths = {"t": [8, 3, 5], "u": [2, 2, 1]}
    _, found = given().value_and_grad(
        {}, {"p": p, "y": y}, lengths=lengths, wrt=["p"], backend=backend
    )
    wanted = [[float(t < n) for t in range(8)] for n in lengths["t"]]
    np.testing.assert_allclose(-3 * found["p"].sum(-1), wanted, atol=1e-12)
    assert found["p"].max() <= 0


@pytest.mark.parametrize("backend", BACKENDS)
def test_an_impossible_sequence(backend: str) -> None:
    """Two equal labels need three frames; the others of the batch are what they are alone."""
    p = np.log(np.full((2, 2, 3), 1 / 3))
    arrays = {"p": p, "y": np.array([[1, 1], [1, 2]])}
    run = given().forward({}, arrays, backend=backend)
    np.testing.assert_allclose(run["each"], [np.inf, np.log(9)])
    run = given(", impossible=0").forward({}, arrays, backend=backend)
    np.testing.assert_allclose(run["each"], [0, np.log(9)])
    for option in ("", ", impossible=0"):
        _, found = given(option).value_and_grad({}, arrays, wrt=["p"], backend=backend)
        assert np.isfinite(found["p"]).all()
        assert not found["p"][0].any()
        assert found["p"][1].any()


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_label_that_is_the_blank_is_impossible(backend: str) -> None:
    p = np.log(np.full((1, 4, 3), 1 / 3))
    run = given().forward({}, {"p": p, "y": np.array([[1, 0]])}, backend=backend)
    assert run["each"][0] == np.inf


@pytest.mark.parametrize("backend", BACKENDS)
def test_classes_that_cannot_be(backend: str) -> None:
    """Log-probabilities of minus infinity close paths, and give no gradient that is no number."""
    rng = np.random.default_rng(8)
    p = log_softmax(rng.standard_normal((2, 4, 3)))
    p[0, 1, 0] = p[0, 2, 2] = p[1, :, 1] = -np.inf
    y = np.array([[1, 2], [1, 2]])
    wanted = [listed(p[i], y[i], 0) for i in range(2)]
    assert np.isfinite(wanted[0]) and wanted[1] == np.inf
    arrays = {"p": p, "y": y}
    np.testing.assert_allclose(given().forward({}, arrays, backend=backend)["each"], wanted)
    _, found = given().value_and_grad({}, arrays, wrt=["p"], backend=backend)
    assert np.isfinite(found["p"]).all()
    np.testing.assert_allclose(-2 * found["p"][0].sum(-1), np.ones(4))


@pytest.mark.parametrize("backend", BACKENDS)
def test_what_is_no_number_shows(backend: str) -> None:
    p = np.log(np.full((2, 4, 3), 1 / 3))
    p[0, 2, 1] = np.nan
    run = given(", impossible=0").forward(
        {}, {"p": p, "y": np.array([[1, 2]] * 2)}, backend=backend
    )
    assert list(np.isnan(run["each"])) == [True, False]


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_a_thousand_frames(dtype: str) -> None:
    """Probabilities of 1000 frames are far below the smallest number; their logs are not."""
    rng = np.random.default_rng(9)
    p = log_softmax(3 * rng.standard_normal((2, 1000, 3))).astype(dtype)
    y = rng.integers(1, 3, (2, 60))
    arrays = {"p": p, "y": y}
    run = given().forward({}, arrays, backend="numba")
    wanted = [-Lattice(p[i].astype(float), y[i], 0).log_probability for i in range(2)]
    assert min(wanted) > 750, "exp(-750) is 0"
    np.testing.assert_allclose(run["each"], wanted, rtol=1e-12 if dtype == "float64" else 1e-6)
    _, found = given().value_and_grad({}, arrays, wrt=["p"], backend="numba")
    for i in range(2):
        own = Lattice(p[i].astype(float), y[i], 0).occupancy()
        np.testing.assert_allclose(
            -2 * found["p"][i], own, atol=1e-11 if dtype == "float64" else 1e-6
        )


@pytest.mark.parametrize("backend", BACKENDS)
def test_one_loss_for_each_point_of_another_axis(backend: str) -> None:
    """Several readings of the same frames, in a recurrence over them: weights by the last loss."""
    own = unfold.loads(
        """
unfold: 1
name: readings
axes: {i: 3, t: 4, u: 2}
sizes: {classes: 3}
inputs:
  p[i,t]: [classes]
  y[u]: {category: classes}
nodes:
  each[i]: ctc[t,u](p[i,t] * (1 + 0.1 * tanh(each[i-1])), y[u])
loss: sum[i](each[i])
"""
    )
    rng = np.random.default_rng(10)
    p, y = rng.standard_normal((2, 3, 4, 3)), np.array([[1, 2], [2, 0]])
    lengths = {"t": [4, 3], "u": [2, 1]}
    run = own.forward({}, {"p": p, "y": y}, lengths=lengths, backend=backend)
    for b in range(2):
        before = 0.0
        for i in range(3):
            scale = 1 + 0.1 * np.tanh(before)
            before = listed(scale * p[b, i, : lengths["t"][b]], y[b, : lengths["u"][b]], 0)
            np.testing.assert_allclose(run["each"][b, i], before)
    if backend == "reference":
        check_model(own, {}, {"p": p, "y": y}, lengths=lengths, seed=11)
    else:
        both = [
            own.value_and_grad({}, {"p": p, "y": y}, lengths=lengths, wrt=["p"], backend=b)[1]["p"]
            for b in BACKENDS
        ]
        np.testing.assert_allclose(both[1], both[0], rtol=1e-11, atol=1e-13)


def test_the_equations_are_the_operator() -> None:
    """The spec that writes the lattice out as a recurrence has the same loss and gradients."""
    written = unfold.load("ctc-equations", sizes={"hidden": 6, "rows": 5})
    text = find("ctc-equations").read_text("utf-8")
    head = text[: text.index("  digit[t]")].replace("hidden: 64", "hidden: 6")
    own = unfold.loads(
        head.replace("rows: 8", "rows: 5").replace(", s: 2*u + 1", "")
        + "loss: ctc[t,u](o[t], y[u], blank=last)\n"
    )
    x, y, lengths = drawn()
    lengths = {"t": [9, 5, 7, 8, 1, 9], "u": [4, 2, 1, 3, 1, 4]}
    x = np.nan_to_num(x)
    params = own.init(seed=12, dtype="float64")
    found = [m.value_and_grad(params, {"x": x, "y": y}, lengths=lengths) for m in (written, own)]
    np.testing.assert_allclose(found[0][0], found[1][0], rtol=1e-12)
    for name in params:
        np.testing.assert_allclose(found[0][1][name], found[1][1][name], rtol=1e-9, atol=1e-12)


def test_it_is_one_kernel_for_each_sequence() -> None:
    adjoint = model().pipeline.adjoint(("V",))
    calls = [s for s in plan(adjoint, Numba.target, ("t", "u")).statements if isinstance(s, Call)]
    assert [c.op for c in calls] == ["ctc", "ctc_occupancy"]
    assert all([d.name for d in c.dims] == ["batch"] for c in calls)


def test_kernels_are_no_part_of_the_language() -> None:
    kernels = [n for n, op in OPS.items() if op.kind is Kind.KERNEL]
    assert kernels == ["ctc", "ctc_occupancy", "ctc_curvature"]
    with pytest.raises(SpecError, match="does not reduce"):
        unfold.loads(
            SPEC.format(classes=3, what="o[t]", options="").replace("ctc[", "ctc_occupancy[")
        )


FEW = """
unfold: 1
name: few
axes: {t: 32, u: 3, r: t // 16}
inputs:
  x[t]: [8]
  y[u]: {category: 10}
parameters:
  V: [11, 8]
nodes:
  o[r]: V @ x[16*r]
loss: ctc[r,u](log_softmax(o[r]), y[u], blank=last)
data: {task: {digit_lines: {digits: 3}}, inputs: {x: frame, y: digit}, batch: 4}
train: {steps: 2}
"""


def test_training_says_that_there_are_too_few_frames(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "few.yaml").write_text(FEW, encoding="utf-8")
    assert invoke(["run", "few.yaml", "--backend", "reference"]) == 1
    output = capsys.readouterr()
    said = " ".join((output.out + output.err).split())
    assert "sequence 1 of 4): its labels need more frames than the sequence has" in said
    assert "help: use more frames or fewer labels" in said
