"""The kernels of `ctc`: a template whose constants are filled in, cached like generated code.

    ctc(P, ps, Y, ys, N, ns, M, ms, out, os, T, U, K, blank, scratch)            the loss
    ctc_occupancy(the same)                                                      γ[t,k]
    ctc_curvature(P, ps, ..., M, ms, V, vs, out, os, T, U, K, blank, scratch)    its change along V

P[T,K] are log-probabilities, Y[U] labels, N and M the numbers of each, all by address, with the
bytes from one index point to the next. `unfold.ops.lattice` defines the computation. It runs in
double precision for all element types, with the lattice in scratch memory:

    symbols[S]   α[T][S]   β, e + β [2][S]   and for a curvature their changes, likewise
"""

# pyright: basic, reportPrivateImportUsage=false
from math import exp, inf, log1p

from numba import carray, cfunc, njit

from unfold.backends.numba.memory import pointer_float32, pointer_float64
from unfold.backends.numba.tiles import ITEM, integers

DTYPE = "float32"
I = ITEM[DTYPE]  # noqa: E741
given = pointer_float32 if DTYPE == "float32" else pointer_float64


@njit(cache=True)
def row(address, n):
    """Elements in memory as an array."""
    return carray(given(address), n)


@njit(cache=True)
def doubles(address, n):
    """Scratch memory as an array."""
    return carray(pointer_float64(address), n)


@njit(cache=True)
def read_symbols(labels, stride, count, classes, blank, symbols):
    """Write labels with blanks around them; return their number, or 0 if one is the blank."""
    size = 0
    for u in range(count):
        label = row(labels + u * stride, 1)[0]
        if label >= 0:
            if int(label) == blank:
                return 0
            symbols[size], symbols[size + 1] = blank, label
            size += 2
    symbols[size] = blank
    return size + 1


@njit(cache=True)
def skips(symbols, s):
    """Whether a path may come to a position from two before."""
    return s >= 3 and s % 2 == 1 and symbols[s] != symbols[s - 2]


@njit(cache=True)
def log_sum(a, b, c):
    """The log of the sum of exp of three numbers."""
    if b > a:
        a, b = b, a
    if c > a:
        a, c = c, a
    if a == -inf:
        return a + b + c  # not a number, if one of them is not
    return a + log1p(exp(b - a) + exp(c - a))


@njit(cache=True)
def share(a, total):
    """The share of a term in a sum, both as logs."""
    return exp(a - total) if total != -inf else 0.0


@njit(cache=True)
def before(values, symbols, s, empty):
    """The values from which a position may be entered."""
    step = values[s - 1] if s >= 1 else empty
    skip = values[s - 2] if skips(symbols, s) else empty
    return values[s], step, skip


@njit(cache=True)
def after(values, symbols, s, size, empty):
    """The values to which a position may be left."""
    step = values[s + 1] if s + 1 < size else empty
    skip = values[s + 2] if s + 2 < size and skips(symbols, s + 2) else empty
    return values[s], step, skip


@njit(cache=True)
def forward(probs, stride, frames, classes, symbols, size, alpha, depth):
    """Write α, the rows of `depth` frames in turn; return log p."""
    for t in range(frames):
        here = row(probs + t * stride, classes)
        now = doubles(alpha + t % depth * size * 8, size)
        last = doubles(alpha + (t - 1) % depth * size * 8, size)
        for s in range(size):
            start = 0.0 if s < 2 else -inf
            prior = start if t == 0 else log_sum(*before(last, symbols, s, -inf))
            now[s] = here[int(symbols[s])] + prior
    if frames == 0:
        return 0.0 if size == 1 else -inf
    end = doubles(alpha + (frames - 1) % depth * size * 8, size)
    return log_sum(end[size - 1], end[size - 2] if size > 1 else -inf, -inf)


@njit(cache=True)
def backward(here, symbols, size, beta, ahead, is_last):
    """Write β of a frame: from e + β of the next one, which becomes e + β of this one."""
    for s in range(size):
        if is_last:
            beta[s] = 0.0 if s >= size - 2 else -inf
        else:
            beta[s] = log_sum(*after(ahead, symbols, s, size, -inf))
    for s in range(size):
        ahead[s] = here[int(symbols[s])] + beta[s]


@njit(cache=True)
def changes_ahead(moved, symbols, size, last, now_change, last_change, is_first):
    """Write the change of α of a frame, from that of the last frame."""
    for s in range(size):
        change = moved[int(symbols[s])]
        if not is_first:
            a, b, c = before(last, symbols, s, -inf)
            x, y, z = before(last_change, symbols, s, 0.0)
            total = log_sum(a, b, c)
            change += share(a, total) * x + share(b, total) * y + share(c, total) * z
        now_change[s] = change


@njit(cache=True)
def changes_back(moved, symbols, size, ahead, change, ahead_change, is_last):
    """Write the change of β of a frame, from that of e + β of the next frame."""
    for s in range(size):
        change[s] = 0.0
        if not is_last:
            a, b, c = after(ahead, symbols, s, size, -inf)
            x, y, z = after(ahead_change, symbols, s, size, 0.0)
            total = log_sum(a, b, c)
            change[s] = share(a, total) * x + share(b, total) * y + share(c, total) * z
    for s in range(size):
        ahead_change[s] = moved[int(symbols[s])] + change[s]


@njit(cache=True)
def clear(out, stride, first, end, classes):
    """Set rows to zero."""
    for t in range(first, end):
        row(out + t * stride, classes)[:] = 0.0


@cfunc(integers(15), cache=True)
def ctc(P, ps, Y, ys, N, ns, M, ms, out, os, T, U, K, blank, scratch):
    frames, count = int(row(N, 1)[0]), int(row(M, 1)[0])
    symbols = doubles(scratch, 2 * U + 1)
    size = read_symbols(Y, ys, count, K, blank % K, symbols)
    total = -inf
    if size > 0:
        total = forward(P, ps, frames, K, symbols, size, scratch + (2 * U + 1) * 8, 2)
    row(out, 1)[0] = -total


@cfunc(integers(15), cache=True)
def ctc_occupancy(P, ps, Y, ys, N, ns, M, ms, out, os, T, U, K, blank, scratch):
    frames, count = int(row(N, 1)[0]), int(row(M, 1)[0])
    symbols = doubles(scratch, 2 * U + 1)
    size = read_symbols(Y, ys, count, K, blank % K, symbols)
    alpha = scratch + (2 * U + 1) * 8
    total = -inf
    if size > 0:
        total = forward(P, ps, frames, K, symbols, size, alpha, T)
    clear(out, os, 0, T, K)
    if total == -inf:
        return
    beta = doubles(alpha + T * size * 8, size)
    ahead = doubles(alpha + (T + 1) * size * 8, size)
    for t in range(frames - 1, -1, -1):
        backward(row(P + t * ps, K), symbols, size, beta, ahead, t == frames - 1)
        now, target = doubles(alpha + t * size * 8, size), row(out + t * os, K)
        for s in range(size):
            target[int(symbols[s])] += exp(now[s] + beta[s] - total)


@cfunc(integers(17), cache=True)
def ctc_curvature(P, ps, Y, ys, N, ns, M, ms, V, vs, out, os, T, U, K, blank, scratch):
    frames, count = int(row(N, 1)[0]), int(row(M, 1)[0])
    symbols = doubles(scratch, 2 * U + 1)
    size = read_symbols(Y, ys, count, K, blank % K, symbols)
    alpha = scratch + (2 * U + 1) * 8
    total = -inf
    if size > 0:
        total = forward(P, ps, frames, K, symbols, size, alpha, T)
    clear(out, os, 0, T, K)
    if total == -inf or frames == 0:
        return
    changes = alpha + T * size * 8
    for t in range(frames):
        last = max(t - 1, 0) * size * 8
        changes_ahead(
            row(V + t * vs, K),
            symbols,
            size,
            doubles(alpha + last, size),
            doubles(changes + t * size * 8, size),
            doubles(changes + last, size),
            t == 0,
        )
    last = doubles(alpha + (frames - 1) * size * 8, size)
    change = doubles(changes + (frames - 1) * size * 8, size)
    mean = 0.0
    for s in range(max(size - 2, 0), size):
        mean += share(last[s], total) * change[s]
    rest = changes + T * size * 8
    beta, ahead = doubles(rest, size), doubles(rest + size * 8, size)
    back, ahead_change = doubles(rest + 2 * size * 8, size), doubles(rest + 3 * size * 8, size)
    for t in range(frames - 1, -1, -1):
        end = t == frames - 1
        changes_back(row(V + t * vs, K), symbols, size, ahead, back, ahead_change, end)
        backward(row(P + t * ps, K), symbols, size, beta, ahead, end)
        now, change = doubles(alpha + t * size * 8, size), doubles(changes + t * size * 8, size)
        target = row(out + t * os, K)
        for s in range(size):
            weight = exp(now[s] + beta[s] - total)
            target[int(symbols[s])] += weight * (change[s] + back[s] - mean)
