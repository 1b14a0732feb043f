"""NumPy: forward and backward written by hand for every cell, as a careful person would.

One step after the other, a product and a few pointwise lines each; whatever does not wait for the
old state is done for all steps at once: the pick of rows, the output layer, weight gradients. A
cell is a pair of functions of what its steps get from the inputs, z [steps, batch, gates * H]:

    forward(p, z)        -> what is kept, "h" [steps + 1, batch, H] among it (h[0] is zero)
    backward(p, k, dh)   -> dz, and gradients of the cell's own arrays; dh [steps, batch, H]

In a loop, `back` is what the step after gives to a step's own state.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from benchmarks.peers.cases import CLASSES, Arrays, Case
from benchmarks.peers.packing import pack, unpack
from benchmarks.peers.peer import Numbers, Peer, Prepared

Array = np.ndarray
Forward = Callable[[Arrays, Array], Arrays]
Backward = Callable[[Arrays, Arrays, Array], tuple[Array, Arrays]]


class NumpyPeer(Peer[Case]):
    """NumPy with as many threads as its BLAS was told."""

    def prepare(self, case: Case) -> Prepared:
        """Pack the weights; data is kept [steps, batch]."""
        parameters = pack(case, case.parameters())
        x, y = (np.ascontiguousarray(a.T) for a in case.data())

        def run() -> Numbers:
            return loss_and_gradients(case, parameters, x, y)

        def read(found: Numbers) -> Numbers:
            loss, gradients = found
            return float(loss), unpack(case, gradients)

        return Prepared(run, read)

    def versions(self) -> Mapping[str, str]:
        """Return NumPy's version."""
        return {"numpy": np.__version__}


def make() -> Peer[Case]:
    """Return NumPy."""
    return NumpyPeer()


def loss_and_gradients(case: Case, p: Arrays, x: Array, y: Array) -> Numbers:
    """Return the loss and the gradients of wide arrays; x and y [steps, batch]."""
    forward, backward = LAYERS[case.cell.name]
    mut1 = case.cell.name == "mut1"
    picked = p["Wx"][x]
    z = _project_mut1(p, picked) if mut1 else picked + p["b"]
    kept = forward(p, z)
    h = kept["h"][1:]
    logits = h @ p["Vo"] + p["c"]
    logits -= logits.max(-1, keepdims=True)
    chances = np.exp(logits)
    total = chances.sum(-1, keepdims=True)
    loss = float((np.log(total) - np.take_along_axis(logits, y[..., None], -1)).mean())
    one_hot = np.eye(CLASSES, dtype=np.float32)
    d = (chances / total - one_hot[y]) / np.float32(y.size)
    dz, own = backward(p, kept, d @ p["Vo"].T)
    dpicked, biases = _unproject_mut1(p, z, dz) if mut1 else (dz, {"b": _over_batch(dz)})
    gradients = {
        **own,
        **biases,
        "Wx": _weights(one_hot[x], dpicked),
        "Vo": _weights(h, d),
        "c": _over_batch(d),
    }
    return loss, gradients


def _sigmoid(a: Array) -> Array:
    return 1 / (1 + np.exp(-a))


def _weights(left: Array, right: Array) -> Array:
    """Return the gradient of W in left @ W, over all steps and sequences."""
    return left.reshape(-1, left.shape[-1]).T @ right.reshape(-1, right.shape[-1])


def _over_batch(d: Array) -> Array:
    return d.sum((0, 1))


def _states(z: Array, hidden: int) -> Array:
    """Return states [steps + 1, batch, H], zero at first."""
    return np.zeros((z.shape[0] + 1, z.shape[1], hidden), np.float32)


def _rnn_forward(p: Arrays, z: Array) -> Arrays:
    h = _states(z, z.shape[-1])
    for t in range(len(z)):
        h[t + 1] = np.tanh(z[t] + h[t] @ p["Wh"])
    return {"h": h}


def _rnn_backward(p: Arrays, k: Arrays, dh: Array) -> tuple[Array, Arrays]:
    h, dz = k["h"], np.empty_like(dh)
    back, transposed = np.zeros_like(dh[0]), np.ascontiguousarray(p["Wh"].T)
    for t in reversed(range(len(dh))):
        dz[t] = (dh[t] + back) * (1 - h[t + 1] ** 2)
        back = dz[t] @ transposed
    return dz, {"Wh": _weights(h[:-1], dz)}


def _lstm_forward(p: Arrays, z: Array) -> Arrays:
    n, peepholes = z.shape[-1] // 4, "pi" in p
    h, s = _states(z, n), _states(z, n)
    gates, tanh_s = np.empty_like(z), np.empty_like(h[1:])
    for t in range(len(z)):
        a, gate = z[t] + h[t] @ p["Wh"], gates[t]
        if peepholes:
            a[:, :n] += p["pi"] * s[t]
            a[:, n : 2 * n] += p["pf"] * s[t]
        gate[:, : 2 * n] = _sigmoid(a[:, : 2 * n])
        gate[:, 3 * n :] = np.tanh(a[:, 3 * n :])
        s[t + 1] = gate[:, n : 2 * n] * s[t] + gate[:, :n] * gate[:, 3 * n :]
        if peepholes:
            a[:, 2 * n : 3 * n] += p["po"] * s[t + 1]
        gate[:, 2 * n : 3 * n] = _sigmoid(a[:, 2 * n : 3 * n])
        tanh_s[t] = np.tanh(s[t + 1])
        h[t + 1] = gate[:, 2 * n : 3 * n] * tanh_s[t]
    return {"h": h, "s": s, "gates": gates, "tanh_s": tanh_s}


def _lstm_backward(p: Arrays, k: Arrays, dh: Array) -> tuple[Array, Arrays]:
    peepholes = "pi" in p
    h, s, dz = k["h"], k["s"], np.empty_like(k["gates"])
    back, back_s = np.zeros_like(dh[0]), np.zeros_like(dh[0])
    transposed = np.ascontiguousarray(p["Wh"].T)
    for t in reversed(range(len(dh))):
        i, f, o, g = np.split(k["gates"][t], 4, -1)
        di, df, do, dg = np.split(dz[t], 4, -1)
        d, tanh_s = dh[t] + back, k["tanh_s"][t]
        do[...] = d * tanh_s * o * (1 - o)
        ds = back_s + d * o * (1 - tanh_s**2)
        if peepholes:
            ds += p["po"] * do
        di[...] = ds * g * i * (1 - i)
        df[...] = ds * s[t] * f * (1 - f)
        dg[...] = ds * i * (1 - g**2)
        back_s = ds * f
        if peepholes:
            back_s += p["pi"] * di + p["pf"] * df
        back = dz[t] @ transposed
    own = {"Wh": _weights(h[:-1], dz)}
    if peepholes:
        di, df, do, _ = np.split(dz, 4, -1)
        own["pi"], own["pf"] = _over_batch(di * s[:-1]), _over_batch(df * s[:-1])
        own["po"] = _over_batch(do * s[1:])
    return dz, own


def _gru_forward(p: Arrays, z: Array) -> Arrays:
    n = z.shape[-1] // 3
    h, gates, product = _states(z, n), np.empty_like(z), np.empty_like(z[..., :n])
    for t in range(len(z)):
        a, gate = h[t] @ p["Wh"], gates[t]
        gate[:, : 2 * n] = _sigmoid(z[t, :, : 2 * n] + a[:, : 2 * n])
        product[t] = a[:, 2 * n :] + p["bh"]
        gate[:, 2 * n :] = np.tanh(z[t, :, 2 * n :] + gate[:, :n] * product[t])
        u, new = gate[:, n : 2 * n], gate[:, 2 * n :]
        h[t + 1] = new + u * (h[t] - new)
    return {"h": h, "gates": gates, "product": product}


def _gru_backward(p: Arrays, k: Arrays, dh: Array) -> tuple[Array, Arrays]:
    n, h = dh.shape[-1], k["h"]
    dz = np.empty_like(k["gates"])
    da = np.empty_like(dz)
    back, transposed = np.zeros_like(dh[0]), np.ascontiguousarray(p["Wh"].T)
    for t in reversed(range(len(dh))):
        r, u, new = np.split(k["gates"][t], 3, -1)
        d = dh[t] + back
        dnew = d * (1 - u) * (1 - new**2)
        dz[t, :, :n] = dnew * k["product"][t] * r * (1 - r)
        dz[t, :, n : 2 * n] = d * (h[t] - new) * u * (1 - u)
        dz[t, :, 2 * n :] = dnew
        da[t] = dz[t]
        da[t, :, 2 * n :] *= r
        back = d * u + da[t] @ transposed
    return dz, {"Wh": _weights(h[:-1], da), "bh": _over_batch(da[..., 2 * n :])}


def _reset_forward(p: Arrays, z: Array, *, keeps: bool, given: bool) -> Arrays:
    """Run a cell whose reset acts before the product: g = tanh(z_g + (r * h) @ Wg).

    Args:
        p, z: as everywhere.
        keeps: whether the update gate weighs the old state (gru_cho) or the candidate (MUT1).
        given: whether z has the update gate itself already (MUT1).
    """
    n = z.shape[-1] // 3
    h, gates, reset = _states(z, n), np.empty_like(z), np.empty_like(z[..., :n])
    gates[..., n : 2 * n] = z[..., n : 2 * n]
    known = n if given else 2 * n
    for t in range(len(z)):
        gate = gates[t]
        gate[:, :known] = _sigmoid(z[t, :, :known] + h[t] @ p["Wh"])
        reset[t] = gate[:, :n] * h[t]
        gate[:, 2 * n :] = np.tanh(z[t, :, 2 * n :] + reset[t] @ p["Wg"])
        u, g = gate[:, n : 2 * n], gate[:, 2 * n :]
        h[t + 1] = g + u * (h[t] - g) if keeps else h[t] + u * (g - h[t])
    return {"h": h, "gates": gates, "reset": reset}


def _reset_backward(
    p: Arrays, k: Arrays, dh: Array, *, keeps: bool, given: bool
) -> tuple[Array, Arrays]:
    """Differentiate `_reset_forward`."""
    n, h = dh.shape[-1], k["h"]
    dz, known = np.empty_like(k["gates"]), n if given else 2 * n
    back = np.zeros_like(dh[0])
    Wh, Wg = (np.ascontiguousarray(p[name].T) for name in ("Wh", "Wg"))
    for t in reversed(range(len(dh))):
        r, u, g = np.split(k["gates"][t], 3, -1)
        d = dh[t] + back
        share, change = (1 - u, h[t] - g) if keeps else (u, g - h[t])
        dz[t, :, 2 * n :] = d * share * (1 - g**2)
        dreset = dz[t, :, 2 * n :] @ Wg
        dz[t, :, :n] = dreset * h[t] * r * (1 - r)
        dz[t, :, n : 2 * n] = d * change if given else d * change * u * (1 - u)
        back = d * (1 - share) + dreset * r + dz[t, :, :known] @ Wh
    own = {"Wh": _weights(h[:-1], dz[..., :known]), "Wg": _weights(k["reset"], dz[..., 2 * n :])}
    return dz, own


def _gru_cho_forward(p: Arrays, z: Array) -> Arrays:
    return _reset_forward(p, z, keeps=True, given=False)


def _gru_cho_backward(p: Arrays, k: Arrays, dh: Array) -> tuple[Array, Arrays]:
    return _reset_backward(p, k, dh, keeps=True, given=False)


def _mut1_forward(p: Arrays, z: Array) -> Arrays:
    return _reset_forward(p, z, keeps=False, given=True)


def _mut1_backward(p: Arrays, k: Arrays, dh: Array) -> tuple[Array, Arrays]:
    return _reset_backward(p, k, dh, keeps=False, given=True)


def _project_mut1(p: Arrays, picked: Array) -> Array:
    """Return what MUT1's steps get: the reset's sum, the update gate, tanh(U_h x) + b_h."""
    z, n = picked.copy(), picked.shape[-1] // 3
    z[..., : 2 * n] += p["b"]
    z[..., n : 2 * n] = _sigmoid(z[..., n : 2 * n])
    z[..., 2 * n :] = np.tanh(z[..., 2 * n :]) + p["bh"]
    return z


def _unproject_mut1(p: Arrays, z: Array, dz: Array) -> tuple[Array, Arrays]:
    """Differentiate `_project_mut1`: gradients of the picked rows and of both biases."""
    d, n = dz.copy(), dz.shape[-1] // 3
    update = z[..., n : 2 * n]
    d[..., n : 2 * n] *= update * (1 - update)
    d[..., 2 * n :] *= 1 - (z[..., 2 * n :] - p["bh"]) ** 2
    return d, {"b": _over_batch(d[..., : 2 * n]), "bh": _over_batch(dz[..., 2 * n :])}


LAYERS: Mapping[str, tuple[Forward, Backward]] = {
    "rnn": (_rnn_forward, _rnn_backward),
    "lstm": (_lstm_forward, _lstm_backward),
    "lstm-peephole": (_lstm_forward, _lstm_backward),
    "gru": (_gru_forward, _gru_backward),
    "gru-cho": (_gru_cho_forward, _gru_cho_backward),
    "mut1": (_mut1_forward, _mut1_backward),
}
