"""The kernels of `ctc`: a template whose constants are filled in, cached like generated code.

    ctc(P, ps, Y, ys, N, ns, M, ms, out, os, T, U, K, blank, scratch)            the loss
    ctc_occupancy(the same)                                                      γ[t,k]
    ctc_curvature(P, ps, ..., M, ms, V, vs, out, os, T, U, K, blank, scratch)    its change along V

P[T,K] are log-probabilities, Y[U] labels, N and M the numbers of each, all by address, with the
bytes from one index point to the next. `unfold.ops.lattice` defines the computation. It runs in
double precision for all element types, with vectors along the S positions of the lattice.

Exponentials and logarithms are taken on the way forward only. With A[t,s] the log of the sum of
those α[t-1,·] from which a position may be entered, so that α[t,s] = e[t,s] + A[t,s], the way back
is linear in the shares p of these terms,

    p0, p1, p2[t,s] = exp(α[t-1,s] - A), exp(α[t-1,s-1] - A), exp(α[t-1,s-2] - A)
    γ[t,s] = p0 γ[t+1,s] + p1 γ[t+1,s+1] + p2 γ[t+1,s+2], with p of the positions that are entered

and so are the changes along V. Rows in scratch memory have two more places on both sides, so that
paths come from and go to nowhere:

    places[S]   bytes from a row's first class to the class of a position
    may[S]      0 where a path may come from two positions before, otherwise -inf
    e[S]        log-probabilities of the present frame       v[S]  their changes
    γ, dγ[S]    of the present frame, positions apart
    numbers     log p, -log p, whether p is 0, the mean change
    α[2][S]     of the last frame and the present one, in turns
    p[T][3][S]  for the loss alone, only those of one frame
    dα[T+1][S], dA[T][S]                                     for the curvature
"""

# pyright: basic, reportCallIssue=false
from math import inf

from numba import cfunc, njit

from unfold.backends.numba import memory
from unfold.backends.numba.functions import exp, log, select
from unfold.backends.numba.memory import (
    fill_float64,
    index_float64,
    load_float64,
    put_float64,
    put_i64,
)
from unfold.backends.numba.tiles import ITEM, integers
from unfold.backends.numba.vector import vector_kernel

DTYPE = "float32"
I = ITEM[DTYPE]  # noqa: E741
D = 8  # bytes of a number of the lattice
SIDE = 2 * D  # bytes of a row before its first position
MAY, EMITTED, MOVED, VISITS, CHANGE, NUMBERS, ALPHA = range(1, 8)  # rows
SHARES = ALPHA + 2
LOSS, IMPOSSIBLE, MEAN = D, 2 * D, 3 * D  # bytes after log p

index, put, fill, gather, add_at = (
    getattr(memory, f"{name}_{DTYPE}") for name in ("index", "put", "fill", "gather", "add_at")
)


@vector_kernel("float64", loads="vvvvv", stores=("store", "store", "store", "store"))
def advance(emitted, stay, step, skip, may):
    terms = (stay, step, skip + may)
    top = select(terms[1] > terms[0], terms[1], terms[0])
    top = select(terms[2] > top, terms[2], top)
    weights = [exp(x - top) for x in terms]
    total = weights[0] + weights[1] + weights[2]
    nothing, part = top == -inf, 1.0 / total
    here = select(nothing, terms[0] + terms[1] + terms[2], top + log(total))
    return emitted + here, *(select(nothing, 0.0, w * part) for w in weights)


@vector_kernel("float64", loads="vv", stores=("store", "store", "store"))
def conclude(last, before):
    high, low = select(before > last, before, last), select(before > last, last, before)
    total = select(high == -inf, last + before, high + log(1.0 + exp(low - high)))
    return total, -total, total == -inf


@vector_kernel("float64", loads="vb", stores=("store",))
def arrive(alpha, total):
    return (exp(alpha - total),)


@vector_kernel("float64", loads="vvvvvv", stores=("store",))
def retreat(x, y, z, p, q, r):
    return (x * p + y * q + z * r,)


@vector_kernel("float64", loads="vvvvvvv", stores=("store", "store"))
def change_ahead(moved, p, q, r, x, y, z):
    change = p * x + q * y + r * z
    return change, moved + change


@vector_kernel("float64", loads="vvvvvvvvvvvvv", stores=("store",))
def change_back(p, q, r, x, y, z, dx, dy, dz, a, b, c, here):
    return (p * (dx + x * (here - a)) + q * (dy + y * (here - b)) + r * (dz + z * (here - c)),)


@vector_kernel("float64", loads="vv", stores=("sum",))
def average(visits, change):
    return (visits * change,)


@vector_kernel("float64", loads="vvb", stores=("store",))
def deviate(visits, change, mean):
    return (visits * (change - mean),)


@njit("int64(int64, int64, int64, int64)", cache=True)
def positions(labels, stride, count, blank):
    """Count the positions of a lattice; 0 if a label is the blank."""
    size = 1
    for u in range(count):
        label = index(labels + u * stride)
        if label == blank:
            return 0
        if label >= 0:
            size += 2
    return size


@njit(integers(7), cache=True)
def prepare(labels, stride, count, blank, scratch, wide, depth):
    """Write the positions, and rows of which only the first position is reached."""
    fill_float64(scratch, (SHARES + 3 * depth) * wide // D, 0.0)
    fill_float64(scratch + MAY * wide, wide // D, -inf)
    fill_float64(scratch + ALPHA * wide, 2 * wide // D, -inf)
    put_float64(scratch + ALPHA * wide + SIDE, 0.0)
    place, may = scratch + SIDE, scratch + MAY * wide + SIDE
    last = -1
    for u in range(count):
        label = index(labels + u * stride)
        if label >= 0:
            put_i64(place, blank * I)
            put_i64(place + D, label * I)
            if last >= 0 and label != last:
                put_float64(may + D, 0.0)
            last, place, may = label, place + 2 * D, may + 2 * D
    put_i64(place, blank * I)


@njit("int64(int64, int64, int64, int64, int64, int64, int64, int64, int64, int64)", cache=True)
def forward(P, ps, frames, Y, ys, count, blank, scratch, wide, depth):
    """Write log p, and the shares of `depth` frames in turns, or else of all.

    Returns the number of positions, 0 if no path exists.
    """
    size = positions(Y, ys, count, blank)
    if size == 0:
        return 0
    prepare(Y, ys, count, blank, scratch, wide, depth)
    places, may = scratch + SIDE, scratch + MAY * wide + SIDE
    emitted, alpha = scratch + EMITTED * wide, scratch + ALPHA * wide + SIDE
    for t in range(frames):
        gather(size, P + t * ps, places, emitted)
        last, now = alpha + t % 2 * wide, alpha + (t + 1) % 2 * wide
        p = scratch + (SHARES + 3 * (t % depth)) * wide + SIDE
        advance(size, emitted, last, last - D, last - 2 * D, may, now, p, p + wide, p + 2 * wide)
    end, numbers = alpha + frames % 2 * wide + (size - 1) * D, scratch + NUMBERS * wide
    conclude(1, end, end - D, numbers, numbers + LOSS, numbers + IMPOSSIBLE)
    if index_float64(numbers + IMPOSSIBLE):
        return 0
    few = min(size, 2)
    back = (few - 1) * D
    arrive(few, end - back, numbers, scratch + VISITS * wide + SIDE + (size - 1) * D - back)
    return size


@njit(integers(4), cache=True)
def backward(t, size, scratch, wide):
    """Write γ of a frame in place of that of the next one."""
    x, p = scratch + VISITS * wide + SIDE, scratch + (SHARES + 3 * t + 3) * wide + SIDE
    q, r = p + wide + D, p + 2 * wide + 2 * D
    retreat(size, x, x + D, x + 2 * D, p, q, r, x)


@cfunc(integers(15), cache=True)
def ctc(P, ps, Y, ys, N, ns, M, ms, out, os, T, U, K, blank, scratch):
    wide = (2 * U + 5) * D
    if forward(P, ps, index(N), Y, ys, index(M), blank % K, scratch, wide, 1) > 0:
        put(out, load_float64(scratch + NUMBERS * wide + LOSS))
    else:
        put(out, inf)


@cfunc(integers(15), cache=True)
def ctc_occupancy(P, ps, Y, ys, N, ns, M, ms, out, os, T, U, K, blank, scratch):
    wide, frames = (2 * U + 5) * D, index(N)
    for t in range(T):
        fill(out + t * os, K, 0.0)
    size = forward(P, ps, frames, Y, ys, index(M), blank % K, scratch, wide, max(T, 1))
    if size == 0:
        return
    for t in range(frames - 1, -1, -1):
        if t < frames - 1:
            backward(t, size, scratch, wide)
        add_at(size, scratch + VISITS * wide + SIDE, scratch + SIDE, out + t * os)


@cfunc(integers(17), cache=True)
def ctc_curvature(P, ps, Y, ys, N, ns, M, ms, V, vs, out, os, T, U, K, blank, scratch):
    wide, frames = (2 * U + 5) * D, index(N)
    for t in range(T):
        fill(out + t * os, K, 0.0)
    size = forward(P, ps, frames, Y, ys, index(M), blank % K, scratch, wide, max(T, 1))
    if size == 0:
        return
    places, moved = scratch + SIDE, scratch + MOVED * wide
    shares = scratch + SHARES * wide + SIDE
    changes, gains = shares + 3 * T * wide, shares + (4 * T + 1) * wide
    fill_float64(changes - SIDE, (2 * T + 1) * wide // D, 0.0)
    for t in range(frames):
        p, x = shares + 3 * t * wide, changes + t * wide
        gather(size, V + t * vs, places, moved)
        q, r, gain = p + wide, p + 2 * wide, gains + t * wide
        change_ahead(size, moved, p, q, r, x, x - D, x - 2 * D, gain, x + wide)
    x, change = scratch + VISITS * wide + SIDE, scratch + CHANGE * wide + SIDE
    mean, last = scratch + NUMBERS * wide + MEAN, changes + frames * wide
    average(size, x, last, mean)
    deviate(size, x, last, mean, change)
    for t in range(frames - 1, -1, -1):
        if t < frames - 1:
            p, gain, dx = shares + (3 * t + 3) * wide, gains + (t + 1) * wide, change
            q, r, here = p + wide + D, p + 2 * wide + 2 * D, changes + (t + 1) * wide
            y, z, dy, dz = x + D, x + 2 * D, dx + D, dx + 2 * D
            a, b, c = gain, gain + D, gain + 2 * D
            change_back(size, p, q, r, x, y, z, dx, dy, dz, a, b, c, here, change)
            backward(t, size, scratch, wide)
        add_at(size, change, places, out + t * os)
