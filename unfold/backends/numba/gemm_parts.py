"""The parts of a product: a template whose constants are filled in, cached like generated code.

    panels(dst, src, rs, cs, k, n, nr)                 pack B[k, n]
    strips(dst, a, rsa, csa, m, k, mr)                 pack A[m, k]
    column2, column3(a, rsa, csa, b, rsb, c, rsc, m, n, k, more)
                                                       one panel's columns of C, in tiles
    join(n, x, total, errors)                          total += x, compensated

`gemm_module` calls them by their symbols. Panels are 2 or 3 vectors wide: 3 keep more of C in
registers, 2 waste less where N is small. Tiles of M2 or M3 rows fill the registers; the rows that
are left over are computed in tiles of 4, 2 and 1.
"""

# pyright: basic
from numba import cfunc

from unfold.backends.numba.tiles import ITEM, integers, line_up, tile, turn
from unfold.backends.numba.vector import vector_kernel

DTYPE = "float32"
LANES = 16
M2 = 8
M3 = 8
I = ITEM[DTYPE]  # noqa: E741

t4x2, t2x2, t1x2 = (tile(DTYPE, m, 2, LANES, s) for m, s in ((4, 1), (2, 2), (1, 4)))
t4x3, t2x3, t1x3 = (tile(DTYPE, m, 3, LANES, s) for m, s in ((4, 1), (2, 2), (1, 4)))
whole2, whole3 = tile(DTYPE, M2, 2, LANES), tile(DTYPE, M3, 3, LANES)
# The last panel of a product need not be full.
narrow2, narrow3 = (tile(DTYPE, m, v, LANES) for m, v in ((M2, 1), (M3, 2)))
square = turn(DTYPE, LANES)
strip2, strip3, panel2, panel3 = (line_up(DTYPE, n) for n in (M2, M3, 2 * LANES, 3 * LANES))


@vector_kernel(DTYPE, loads="v", stores=("store",))
def copy(x):
    return (x,)


@vector_kernel(DTYPE, loads="s", stores=("store",))
def collect(x):
    return (x,)


@vector_kernel(DTYPE, loads="", stores=("store",))
def clear():
    return (0.0,)


@cfunc(integers(7), cache=True)
def panels(dst, src, rs, cs, k, n, nr):
    """Pack B[k, n] into panels of nr columns."""
    for j in range(0, n, nr):
        m = min(nr, n - j)
        if cs == I and m == 3 * LANES:
            panel3(dst, src + j * I, rs, k)
        elif cs == I and m == nr == 2 * LANES:
            panel2(dst, src + j * I, rs, k)
        elif rs == I and cs != I:
            for jj in range(0, m, LANES):
                for kk in range(0, k, LANES):
                    rows, columns = min(LANES, m - jj), min(LANES, k - kk)
                    at = src + kk * rs + (j + jj) * cs
                    square(dst + (kk * nr + jj) * I, nr * I, at, cs, rows, columns)
        else:
            for kk in range(k):
                at = src + kk * rs + j * cs
                if cs == I:
                    copy(m, at, dst + kk * nr * I)
                else:
                    collect(m, at, cs, dst + kk * nr * I)
        if m < nr:
            for kk in range(k):
                clear(nr - m, dst + (kk * nr + m) * I)
        dst += k * nr * I


@cfunc(integers(11), cache=True)
def column2(a, rsa, csa, b, rsb, c, rsc, m, n, k, more):
    """One panel's columns of C, a panel of 2 vectors."""
    i = 0
    while n <= LANES and i + M2 <= m:
        narrow2(a + i * rsa, rsa, csa, b, rsb, c + i * rsc, rsc, k, n, more)
        i += M2
    while i + M2 <= m:
        whole2(a + i * rsa, rsa, csa, b, rsb, c + i * rsc, rsc, k, n, more)
        i += M2
    if M2 > 4 and i + 4 <= m:
        t4x2(a + i * rsa, rsa, csa, b, rsb, c + i * rsc, rsc, k, n, more)
        i += 4
    if i + 2 <= m:
        t2x2(a + i * rsa, rsa, csa, b, rsb, c + i * rsc, rsc, k, n, more)
        i += 2
    if i < m:
        t1x2(a + i * rsa, rsa, csa, b, rsb, c + i * rsc, rsc, k, n, more)


@cfunc(integers(11), cache=True)
def column3(a, rsa, csa, b, rsb, c, rsc, m, n, k, more):
    """One panel's columns of C, a panel of 3 vectors."""
    i = 0
    while n <= 2 * LANES and i + M3 <= m:
        narrow3(a + i * rsa, rsa, csa, b, rsb, c + i * rsc, rsc, k, n, more)
        i += M3
    while i + M3 <= m:
        whole3(a + i * rsa, rsa, csa, b, rsb, c + i * rsc, rsc, k, n, more)
        i += M3
    if M3 > 4 and i + 4 <= m:
        t4x3(a + i * rsa, rsa, csa, b, rsb, c + i * rsc, rsc, k, n, more)
        i += 4
    if i + 2 <= m:
        t2x3(a + i * rsa, rsa, csa, b, rsb, c + i * rsc, rsc, k, n, more)
        i += 2
    if i < m:
        t1x3(a + i * rsa, rsa, csa, b, rsb, c + i * rsc, rsc, k, n, more)


@cfunc(integers(7), cache=True)
def strips(dst, a, rsa, csa, m, k, mr):
    """Pack A[m, k] into strips of mr rows, [k][mr]."""
    for i in range(0, m, mr):
        rows, at = min(mr, m - i), a + i * rsa
        if rsa == I and rows == mr == M3:
            strip3(dst, at, csa, k)
        elif rsa == I and rows == mr:
            strip2(dst, at, csa, k)
        else:
            for kk in range(k):
                collect(rows, at + kk * csa, rsa, dst + kk * mr * I)
        dst += mr * k * I


@vector_kernel(DTYPE, loads="v", stores=("add_compensated",))
def add(x):
    return (x,)


@cfunc(integers(4), cache=True)
def join(n, x, total, errors):
    """Add a row to the one of sums."""
    add(n, x, total, errors)
