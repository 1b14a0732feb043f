"""The kernels of `ctc`: a template whose constants are filled in, cached like generated code.

    ctc(P, ps, Y, ys, N, ns, M, ms, out, os, T, U, K, blank, scratch)            the loss
    ctc_occupancy(the same)                                                      γ[t,k]
    ctc_curvature(P, ps, ..., M, ms, V, vs, out, os, T, U, K, blank, scratch)    its change along V

P[T,K] are log-probabilities, Y[U] labels, N and M the numbers of each, all by address, with the
bytes from one index point to the next. `unfold.ops.lattice` defines the computation. It runs in
double precision for all element types, with vectors along the S positions of the lattice. Rows in
scratch memory have two more places on both sides, so that paths come from and go to nowhere:

    places[S]      bytes from a row's first class to the class of a position
    may[S]         0 where a path may come from two positions before, otherwise -inf
    e[S]           log-probabilities of the present frame
    ahead[S]       e + β of the next frame       visits[S]    exp(α + β - log p)
    p              log p, -log p, whether p is 0, the mean change
    α[T+1][S]      the first row is what comes before all frames
    changes of α   likewise, for the curvature
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
MAY, EMITTED, AHEAD, VISITS, NUMBERS, MOVED, BACK, AHEAD_CHANGE, ALPHA = range(1, 10)  # rows
LOSS, IMPOSSIBLE, MEAN = D, 2 * D, 3 * D  # bytes after log p

index, put, fill, gather, add_at = (
    getattr(memory, f"{name}_{DTYPE}") for name in ("index", "put", "fill", "gather", "add_at")
)


def log_sum(a, b, c):
    """The log of the sum of exp of three numbers."""
    high, low = select(b > a, b, a), select(b > a, a, b)
    top, middle = select(c > high, c, high), select(c > high, high, c)
    rest = exp(low - top) + exp(middle - top)
    return select(top == -inf, a + b + c, top + log(1.0 + rest))


def mixed(a, b, c, x, y, z):
    """The mean of three numbers x, y, z with the logs a, b, c of their weights."""
    total = log_sum(a, b, c)
    weights = [select(total == -inf, 0.0, exp(w - total)) for w in (a, b, c)]
    return weights[0] * x + weights[1] * y + weights[2] * z


@vector_kernel("float64", loads="vvvvv", stores=("store",))
def advance(emitted, stay, step, skip, may):
    return (emitted + log_sum(stay, step, skip + may),)


@vector_kernel("float64", loads="vvvvvvb", stores=("store", "store"))
def retreat(emitted, stay, step, skip, may, alpha, total):
    beta = log_sum(stay, step, skip + may)
    return emitted + beta, exp(alpha + beta - total)


@vector_kernel("float64", loads="vvvvvvvv", stores=("store",))
def change_ahead(moved, stay, step, skip, may, x, y, z):
    return (moved + mixed(stay, step, skip + may, x, y, z),)


@vector_kernel("float64", loads="vvvvvvvv", stores=("store", "store"))
def change_back(moved, stay, step, skip, may, x, y, z):
    change = mixed(stay, step, skip + may, x, y, z)
    return change, moved + change


@vector_kernel("float64", loads="vv", stores=("store", "store", "store"))
def conclude(last, before):
    total = log_sum(last, before, -inf)
    return total, -total, total == -inf


@vector_kernel("float64", loads="vv", stores=("sum",))
def average(visits, change):
    return (visits * change,)


@vector_kernel("float64", loads="vvvb", stores=("store",))
def weigh(visits, ahead, back, mean):
    return (visits * (ahead + back - mean),)


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
    fill_float64(scratch, ALPHA * wide // D, 0.0)
    fill_float64(scratch + MAY * wide, wide // D, -inf)
    fill_float64(scratch + AHEAD * wide, wide // D, -inf)
    fill_float64(scratch + ALPHA * wide, depth * wide // D, -inf)
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


@njit(integers(7), cache=True)
def forward(P, ps, frames, size, scratch, wide, depth):
    """Write α, into `depth` rows in turn, and log p."""
    places, may = scratch + SIDE, scratch + MAY * wide + SIDE
    emitted, alpha = scratch + EMITTED * wide, scratch + ALPHA * wide + SIDE
    for t in range(frames):
        gather(size, P + t * ps, places, emitted)
        last, now = alpha + t % depth * wide, alpha + (t + 1) % depth * wide
        advance(size, emitted, last, last - D, last - 2 * D, may, now)
    end, p = alpha + frames % depth * wide + (size - 1) * D, scratch + NUMBERS * wide
    conclude(1, end, end - D, p, p + LOSS, p + IMPOSSIBLE)


@njit(integers(6), cache=True)
def backward(P, ps, t, size, scratch, wide):
    """Write the visits of a frame, and e + β of it in place of that of the next one."""
    places, may = scratch + SIDE, scratch + MAY * wide + SIDE + 2 * D
    emitted, ahead = scratch + EMITTED * wide, scratch + AHEAD * wide + SIDE
    alpha, p = scratch + (ALPHA + t + 1) * wide + SIDE, scratch + NUMBERS * wide
    visits = scratch + VISITS * wide
    gather(size, P + t * ps, places, emitted)
    retreat(size, emitted, ahead, ahead + D, ahead + 2 * D, may, alpha, p, ahead, visits)


@njit("int64(int64, int64, int64, int64, int64, int64, int64, int64, int64, int64)", cache=True)
def begin(P, ps, frames, Y, ys, count, blank, scratch, wide, depth):
    """Write α and log p; return the number of positions, 0 if no path exists."""
    size = positions(Y, ys, count, blank)
    if size == 0:
        return 0
    prepare(Y, ys, count, blank, scratch, wide, depth)
    forward(P, ps, frames, size, scratch, wide, depth)
    put_float64(scratch + AHEAD * wide + SIDE + (size - 1) * D, 0.0)
    if index_float64(scratch + NUMBERS * wide + IMPOSSIBLE):
        return 0
    return size


@cfunc(integers(15), cache=True)
def ctc(P, ps, Y, ys, N, ns, M, ms, out, os, T, U, K, blank, scratch):
    wide = (2 * U + 5) * D
    if begin(P, ps, index(N), Y, ys, index(M), blank % K, scratch, wide, 2) > 0:
        put(out, load_float64(scratch + NUMBERS * wide + LOSS))
    else:
        put(out, inf)


@cfunc(integers(15), cache=True)
def ctc_occupancy(P, ps, Y, ys, N, ns, M, ms, out, os, T, U, K, blank, scratch):
    wide, frames = (2 * U + 5) * D, index(N)
    for t in range(T):
        fill(out + t * os, K, 0.0)
    size = begin(P, ps, frames, Y, ys, index(M), blank % K, scratch, wide, T + 1)
    if size == 0:
        return
    for t in range(frames - 1, -1, -1):
        backward(P, ps, t, size, scratch, wide)
        add_at(size, scratch + VISITS * wide, scratch + SIDE, out + t * os)


@cfunc(integers(17), cache=True)
def ctc_curvature(P, ps, Y, ys, N, ns, M, ms, V, vs, out, os, T, U, K, blank, scratch):
    wide, frames = (2 * U + 5) * D, index(N)
    for t in range(T):
        fill(out + t * os, K, 0.0)
    size = begin(P, ps, frames, Y, ys, index(M), blank % K, scratch, wide, T + 1)
    if size == 0:
        return
    places, may = scratch + SIDE, scratch + MAY * wide + SIDE
    moved, back = scratch + MOVED * wide, scratch + BACK * wide
    alpha, ahead = scratch + ALPHA * wide + SIDE, scratch + AHEAD * wide + SIDE
    changes, other = alpha + (T + 1) * wide, scratch + AHEAD_CHANGE * wide + SIDE
    visits, mean = scratch + VISITS * wide, scratch + NUMBERS * wide + MEAN
    fill_float64(changes - SIDE, (T + 1) * wide // D, 0.0)
    for t in range(frames):
        a, x = alpha + t * wide, changes + t * wide
        gather(size, V + t * vs, places, moved)
        change_ahead(size, moved, a, a - D, a - 2 * D, may, x, x - D, x - 2 * D, x + wide)
    for t in range(frames - 1, -1, -1):
        a, x, skip = ahead, other, may + 2 * D
        gather(size, V + t * vs, places, moved)
        change_back(size, moved, a, a + D, a + 2 * D, skip, x, x + D, x + 2 * D, back, x)
        backward(P, ps, t, size, scratch, wide)
        change = changes + (t + 1) * wide
        if t == frames - 1:
            average(size, visits, change, mean)
        weigh(size, visits, change, back, mean, visits)
        add_at(size, visits, places, out + t * os)
