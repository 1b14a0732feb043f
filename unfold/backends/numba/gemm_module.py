"""The functions of `gemm`: a template whose constants are filled in, cached like generated code.

`unfold.backends.numba.gemm` describes them. The parts that take the compiler longest,
`gemm_parts`, are not compiled into each of them: they are called by symbols.
"""

# pyright: basic, reportCallIssue=false
from numba import cfunc, njit
from numba.core.types import ExternalFunction

from unfold.backends.numba.tiles import ITEM, integers
from unfold.backends.numba.vector import copy, zero

DTYPE = "float32"
LANES = 16
KC = 256
MC = 96
RUN = 32
M2 = 8
M3 = 8
FEW = 32  # rows of A, so that it is not worth packing the panels that they are multiplied by
I = ITEM[DTYPE]  # noqa: E741
N2, N3 = 2 * LANES, 3 * LANES

panels = ExternalFunction(f"unfold_panels_{DTYPE}", integers(7))
strips = ExternalFunction(f"unfold_strips_{DTYPE}", integers(7))
column2 = ExternalFunction(f"unfold_column2_{DTYPE}", integers(11))
column3 = ExternalFunction(f"unfold_column3_{DTYPE}", integers(11))
join = ExternalFunction(f"unfold_join_{DTYPE}", integers(4))


@njit("int64(int64)", cache=True)
def width(n):
    """Columns of a panel."""
    two, three = (n + N2 - 1) // N2 * N2, (n + N3 - 1) // N3 * N3
    return N3 if three * 50 <= two * 51 else N2


@cfunc(integers(6), cache=True)
def pack(dst, src, rs, cs, k, n):
    panels(dst, src, rs, cs, k, n, width(n))


@cfunc(integers(10), cache=True)
def gemm(a, rsa, csa, b, c, rsc, m, n, k, accumulate):
    nr = width(n)
    # In a loop A moves on by its own size: every other time the panels are walked backwards, so
    # that those left in the nearest cache by the last time come first.
    first, step = 0, nr
    if m * k > 0 and a // (m * k * csa) % 2 == 1:
        first, step = (n - 1) // nr * nr, -nr
    for k0 in range(0, max(k, 1), KC):
        kc = min(KC, k - k0)
        more = 1 if k0 > 0 else accumulate
        for turn in range((n + nr - 1) // nr):
            j = first + turn * step
            panel, line = b + (k0 * nr + j * k) * I, nr * I
            here, there = a + k0 * csa, c + j * I
            if nr == N3:
                column3(here, rsa, csa, panel, line, there, rsc, m, min(nr, n - j), kc, more)
            else:
                column2(here, rsa, csa, panel, line, there, rsc, m, min(nr, n - j), kc, more)


@njit(integers(13), cache=True)
def product(a, rsa, csa, b, rsb, csb, c, rsc, m, n, k, accumulate, scratch):
    """C (+)= A B, sums of K in blocks of KC that are added one after the other.

    B is packed, but for panels that few tiles read and that are full and contiguous.
    """
    nr = width(n)
    mr = M3 if nr == N3 else M2
    block = (n + nr - 1) // nr * nr * min(k, KC) * I
    direct = n // nr * nr if csb == I and m <= FEW else 0
    for k0 in range(0, max(k, 1), KC):
        kc = min(KC, k - k0)
        more = 1 if k0 > 0 else accumulate
        right = b + k0 * rsb
        if direct < n:
            panels(scratch + direct * kc * I, right + direct * csb, rsb, csb, kc, n - direct, nr)
        for i0 in range(0, m, MC):
            mc = min(MC, m - i0)
            here, row, column, strip = a + i0 * rsa + k0 * csa, rsa, csa, mr * rsa
            if csa != I and m > mr:
                strips(scratch + block, here, rsa, csa, mc, kc, mr)
                here, row, column, strip = scratch + block, I, mr * I, mr * kc * I
            for j in range(0, n, nr):
                panel, line = scratch + j * kc * I, nr * I
                if j < direct:
                    panel, line = right + j * I, rsb
                for i in range(0, mc, mr):
                    rows, at = min(mr, mc - i), here + i // mr * strip
                    there, columns = c + (i0 + i) * rsc + j * I, min(nr, n - j)
                    if nr == N3:
                        column3(at, row, column, panel, line, there, rsc, rows, columns, kc, more)
                    else:
                        column2(at, row, column, panel, line, there, rsc, rows, columns, kc, more)


@njit(integers(16), cache=True)
def summand(a, rsa, csa, b, rsb, csb, c, rsc, m, n, k, number, count, each, scratch, part):
    """Add one of several products to C: up to `each` plainly, and these sums compensated."""
    if count <= each:
        product(a, rsa, csa, b, rsb, csb, c, rsc, m, n, k, min(number, 1), scratch)
        return
    errors = part + m * n * I
    more = min(number % each, 1)
    product(a, rsa, csa, b, rsb, csb, part, n * I, m, n, k, more, scratch)
    if (number + 1) % each == 0 or number + 1 == count:
        if number < each:
            zero(errors, m * n * I)
        for i in range(m):
            if number < each:
                copy(c + i * rsc, part + i * n * I, n * I)
            else:
                join(n, part + i * n * I, c + i * rsc, errors + i * n * I)


@cfunc(integers(14), cache=True)
def matmul(a, rsa, csa, b, rsb, csb, c, rsc, m, n, k, number, count, scratch):
    long = RUN * KC
    sums = scratch + ((n + width(n) - 1) // width(n) * width(n) * min(k, KC) + (MC + 8) * KC) * I
    if k <= long:
        each = RUN // max((k + KC - 1) // KC, 1)
        summand(a, rsa, csa, b, rsb, csb, c, rsc, m, n, k, number, count, each, scratch, sums)
        return
    parts = (k + long - 1) // long
    for i in range(parts):
        left, right, size = a + i * long * csa, b + i * long * rsb, min(long, k - i * long)
        which, of = number * parts + i, count * parts
        summand(left, rsa, csa, right, rsb, csb, c, rsc, m, n, size, which, of, 1, scratch, sums)
