"""Small specs that each use the index algebra in one way of its own, and how to run them.

    MEANINGS["delays"]: h[t] = tanh(W h[t-3] + U h[t-1] + x[t])

The axes t, s, i and j come from data; a sample has three sequences of unequal lengths. No two
dimensions of one array are equal where the equations allow it.
"""

from __future__ import annotations

from collections.abc import Mapping

LENGTHS = {"t": [5, 2, 1], "s": [1, 4, 2], "i": [3, 1, 2], "j": [2, 3, 1]}

# What reduces over the batch, so that a sequence alone means something else.
OVER_THE_BATCH = {"batch mean", "batch mean per step", "shared factor mean"}


def text(name: str) -> str:
    """Return the spec."""
    return f"unfold: 1\nname: {name.replace(' ', '-')}\n{MEANINGS[name].strip()}\n"


def line(name: str, key: str) -> str:
    """Return the line of one section."""
    return next(line for line in MEANINGS[name].splitlines() if line.startswith(f"{key}:"))


def parameter_axes(name: str) -> bool:
    """Return whether a parameter has an axis."""
    return "]:" in line(name, "parameters")


def lengths(name: str, steps: int) -> dict[str, list[int]]:
    """Return the lengths of each sequence, the longest of t being `steps` (1 to 5)."""
    inputs = line(name, "inputs")
    varying = [a for a in LENGTHS if f"[{a}" in inputs or f",{a}]" in inputs]
    return {a: [max(1, n - 5 + steps) for n in LENGTHS[a]] for a in varying}


def extents(lengths: Mapping[str, list[int]]) -> dict[str, int]:
    """Return the extents of the arrays."""
    return {a: max(n) for a, n in lengths.items()}


MEANINGS = {
    # A window of stride two over an axis of half the extent.
    "strided": """
axes: {t: 5, u: t // 2 + 1, k: 3}
inputs: {x[t]: [2]}
parameters: {K[k]: [3, 2]}
nodes:
  y[u]: tanh(sum[k](K[k] @ x[2*u+k-1]))
loss: sum[u](sum(y[u]*y[u]))
""",
    # Both a[t,s] and a[s,t], with two axes over one domain.
    "transpose": """
axes: {t: 5, s: t}
inputs: {x[t]: [2]}
parameters: {A: [3, 2], B: [3, 2]}
nodes:
  a[t,s]: tanh((A @ x[t]) @ (B @ x[s]))
  b[t,s]: a[s,t] * a[t,s] + a[s,s]
loss: sum[t,s](b[t,s] * t)
""",
    # The entry a[j,i] of a matrix that is not square: part of it is outside.
    "rectangular": """
axes: {i: 3, j: 4}
inputs: {x[i,j]: [2]}
parameters: {A: [3, 2]}
nodes:
  a[i,j]: tanh(A @ x[i,j])
  b[i,j]: a[j,i] * a[i,j]
loss: sum[i,j](sum(b[i,j]))
""",
    # The diagonal a[t,t], and a[t-1,t].
    "diagonal": """
axes: {t: 5, s: t}
inputs: {x[t]: [2]}
parameters: {A: [3, 2], B: [3, 2]}
nodes:
  a[t,s]: tanh((A @ x[t]) @ (B @ x[s]))
  d[t]: a[t,t] + a[t-1,t]
loss: sum[t](d[t]*d[t])
""",
    # The first, the last, one in the middle, and counted from the end.
    "constants": """
axes: {t: 5}
inputs: {x[t]: [2]}
parameters: {W: [3,3], U: [3, 2]}
nodes:
  h[t]: tanh(W @ h[t-1] + U @ x[t])
  y[t]: h[0]*h[last] + h[last-t]*h[first] + h[3]
loss: mean[t](sum(y[t]))
""",
    # Sums over an axis that only one factor has.
    "unrelated": """
axes: {t: 5, s: 4}
inputs: {x[t]: [2], z[s]: [3]}
parameters: {A: [3, 2]}
nodes:
  y[t]: sum[s]((A @ x[t]) @ z[s])
  q: sum[t](x[t] @ x[t])
  p[s]: sum[t](z[s] * q * sum(x[t]))
loss: mean[t](y[t]*y[t]) + sum[s](sum(tanh(p[s])))
""",
    # A factor without the axis that is summed over: its adjoint is counted.
    "counted": """
axes: {t: 5, s: 4}
inputs: {x[t]: [2], z[s]: [3]}
parameters: {b: [2]}
nodes:
  y[t]: x[t]*b
  n: sum[s](z[s]@z[s])
  m: mean[t](y[t])
loss: sum[t,s](y[t]@y[t] * n * (z[s]@z[s])) + sum(m)
""",
    # Parameters with axes: per layer, per step, and one step late.
    "parameter axes": """
axes: {t: 5, l: 3}
inputs: {x[t]: [2]}
parameters: {W[l]: [2,2], V[t]: [2,2], w[t]: [2]}
nodes:
  h[t,l]: tanh(W[l] @ h[t,l-1] + V[t] @ h[t-1,l] + w[t-1]*x[t])
loss: sum[t,l](sum(h[t,l]))
""",
    # Means over the batch.
    "batch mean": """
axes: {t: 5}
inputs: {x[t]: [2]}
parameters: {W: [2,2], g: [2]}
nodes:
  z[t]: W @ x[t]
  m: mean[batch,t](z[t])
  v: mean[batch,t]((z[t]-m)*(z[t]-m))
  y[t]: g*(z[t]-m)/sqrt(v+0.1)
loss: mean[t](sum(tanh(y[t])))
""",
    # A mean over the batch at every step, also of the step before.
    "batch mean per step": """
axes: {t: 5}
inputs: {x[t]: [2]}
parameters: {W: [2,2]}
nodes:
  z[t]: W @ x[t]
  m[t]: mean[batch](z[t])
  y[t]: tanh(z[t]-m[t])+m[t-1]
loss: mean[t](sum(y[t]*y[t]))
""",
    # Maxima and minima over axes.
    "maxima": """
axes: {t: 5, s: 4}
inputs: {x[t]: [2], z[s]: [2]}
parameters: {A: [2, 2]}
nodes:
  y[t]: max[s](tanh(A @ x[t] * z[s]))
  q: max[t](y[t])
  r[t]: min[s](x[t]*z[s])
loss: sum[t](sum(y[t]*r[t])) + sum(q*q)
""",
    # A sum over s of a product with one factor that has s, and one at s-1.
    "one factor": """
axes: {t: 5, s: 4}
inputs: {x[t]: [2], z[s]: [2]}
parameters: {A: [2, 2]}
nodes:
  y[t]: sum[s](x[t] * tanh(z[s]))
  w[t]: sum[s]((A@x[t]) @ z[s-1])
loss: sum[t](sum(y[t]) * w[t])
""",
    # Boundaries along two axes that are expressions of the other one.
    "two boundaries": """
axes: {i: 3, j: 4}
inputs: {x[i,j]: [2]}
parameters: {W: [2,2], Q: [2,2], U: [2,2], a: [2], b: [2]}
nodes:
  h[i,j]: tanh(W @ h[i-1,j] + Q @ h[i,j-1] + U @ x[i,j])
initial:
  h[i]: tanh(a) * x[0,j]
  h[j]: b + x[i,last]
loss: sum[i,j](sum(h[i,j]*h[i,j]))
""",
    # A reverse recurrence from a learned value behind the end.
    "reverse": """
axes: {t: 5}
inputs: {x[t]: [2]}
parameters: {W: [2,2], U: [2,2]}
nodes:
  g[t]: tanh(W @ g[t+1] + U @ x[t])
initial:
  g: learned
loss: sum[t](sum(g[t]*x[t]))
""",
    # A reverse recurrence of delay two from an expression behind the end.
    "reverse by two": """
axes: {t: 5}
inputs: {x[t]: [2]}
parameters: {W: [2,2], U: [2,2], a: [2]}
nodes:
  c: tanh(U @ x[last])
  g[t]: tanh(W @ g[t+2] + U @ x[t])
initial:
  g: c * a
loss: sum[t](sum(g[t]*x[t]))
""",
    # Delays of one, two and three from learned values.
    "delays": """
axes: {t: 5}
inputs: {x[t]: [2]}
parameters: {W: [2,2], U: [2,2]}
nodes:
  h[t]: tanh(W @ h[t-3] + U @ h[t-1] + x[t])
initial:
  h: learned
loss: sum[t](sum(h[t]*h[t-2]))
""",
    # Both x[t-1] and x[t+1], with a boundary at both ends.
    "two-sided": """
axes: {t: 5}
inputs: {x[t]: [2]}
parameters: {W: [2,2]}
nodes:
  y[t]: tanh(W @ x[t-1]) + x[t+1] * x[t]
initial:
  x: ones
loss: sum[t](sum(y[t]*y[t]))
""",
    # Softmax over a second axis of the same domain.
    "self-attention": """
axes: {t: 5, s: t}
inputs: {x[t]: [2]}
parameters: {Q: [3,2], K: [3,2], V: [4,2]}
nodes:
  q[t]: Q @ x[t]
  k[t]: K @ x[t]
  v[t]: V @ x[t]
  e[t,s]: q[t] @ k[s]
  a[t,s]: softmax[s](e[t,s])
  y[t]: sum[s](a[t,s] * v[s])
loss: sum[t](sum(y[t]*y[t]))
""",
    # Attention to earlier steps only, with log_softmax and logsumexp.
    "causal": """
axes: {t: 5, s: t}
inputs: {x[t]: [2]}
parameters: {Q: [3,2], K: [3,2]}
nodes:
  e[t,s]: where(s <= t, (Q @ x[t]) @ (K @ x[s]), -1e9)
  a[t,s]: log_softmax[s](e[t,s])
  n[t]: logsumexp[s](e[t,s])
  y[t]: sum[s](exp(a[t,s]) * x[s])
loss: sum[t](sum(y[t]) + n[t])
""",
    # Three indices of two axes, two of them strided: a[2*i,2*j,i+j].
    "fractions": """
axes: {i: 3, j: 3, p: 2*i, q: 2*j, r: i + j}
inputs: {x[i]: [2], z[j]: [2]}
parameters: {A[p]: [2], B[q]: [2], C[r]: [2]}
nodes:
  a[p,q,r]: (A[p] * B[q]) @ C[r]
  y[i,j]: a[2*i,2*j,i+j] * (x[i] @ z[j])
loss: sum[i,j](tanh(y[i,j]))
""",
    # Bare indices as numbers.
    "indices": """
axes: {t: 5}
inputs: {x[t]: [2]}
parameters: {W: [2,2]}
nodes:
  h[t]: where(t % 2 == 0, tanh(W @ h[t-1] + x[t]), h[t-1] * (t + 1) / (last + 1))
loss: sum[t](sum(h[t]))
""",
    # The sum over time of a parameter, one step late.
    "parameter sum": """
axes: {t: 5}
inputs: {x[t]: [2]}
parameters: {w[t]: [2]}
nodes:
  c: sum[t](tanh(w[t-1]))
  y[t]: x[t]*c
loss: sum[t](sum(y[t]))
""",
    # The sum over time of a parameter, and one entry that short sequences lack.
    "parameter entry": """
axes: {t: 5}
inputs: {x[t]: [2]}
parameters: {w[t]: [2]}
nodes:
  c: sum[t](tanh(w[t]))
  y[t]: x[t]*c
loss: sum[t](sum(y[t])) + sum(w[2])
""",
    # The last entry of a parameter, in every sequence its own.
    "parameter last": """
axes: {t: 5}
inputs: {x[t]: [2]}
parameters: {w[t]: [2]}
nodes:
  c: w[last]
  y[t]: x[t]*tanh(c)
loss: sum[t](sum(y[t]))
""",
    # The next entry of a parameter, ones behind the end.
    "parameter next": """
axes: {t: 5}
inputs: {x[t]: [2]}
parameters: {w[t]: [2]}
nodes:
  c[t]: w[t+1]*2
  y[t]: x[t]*c[t]
initial:
  w: ones
loss: sum[t](sum(y[t]))
""",
    # A parameter counted from the end.
    "parameter reversed": """
axes: {t: 5}
inputs: {x[t]: [2]}
parameters: {w[t]: [2]}
nodes:
  c[t]: w[last-t]*2
  y[t]: x[t]*tanh(c[t])
loss: sum[t](sum(y[t]))
""",
    # A product over the batch with a factor that all sequences share.
    "shared factor": """
axes: {t: 5}
inputs: {x[t]: [2]}
parameters: {w[t]: [2]}
nodes:
  y[t]: x[t]
loss: sum[t](w[t] @ x[t-1])
""",
    # The same with a mean, two steps late and one step early.
    "shared factor mean": """
axes: {t: 5}
inputs: {x[t]: [2]}
parameters: {w[t]: [2]}
nodes:
  y[t]: x[t]
loss: mean[batch,t](w[t] @ x[t-2] + w[t] @ x[t+1])
""",
    # A second-order recurrence.
    "second order": """
axes: {t: 5}
inputs: {x[t]: [2]}
parameters: {W: [3,2,3]}
nodes:
  h[t]: tanh(einsum("ijk,j,k->i", W, x[t], h[t-1]) + 0.1)
initial:
  h: learned
loss: sum[t](sum(h[t]))
""",
    # Columns picked by categories, before, at and behind the ends.
    "category": """
axes: {t: 5}
inputs: {x[t]: {category: 4}}
parameters: {U: [4,4]}
nodes:
  h[t]: tanh(U @ x[t-1] + U @ x[t+1] + h[t-1])
initial:
  x: 2
loss: sum[t](cross_entropy(U @ x[last], x[t]) + sum(h[t]))
""",
    # Micro-steps that begin where the step before ended.
    "micro-steps": """
axes: {t: 5, l: 3}
inputs: {x[t]: [2]}
parameters: {W[l]: [2,2]}
nodes:
  s[t,l]: tanh(W[l] @ s[t,l-1] + x[t])
initial:
  s[l]: s[t-1,last]
  s[t]: learned
loss: sum[t](sum(s[t,last]))
""",
    # Norms of parameters as part of the loss.
    "norms": """
axes: {t: 5}
inputs: {x[t]: [2]}
parameters: {W[t]: [2,3], b: [2]}
nodes:
  h[t]: tanh(W[t] @ (x[t] @ W[t]) + b)
loss: mean[t](sum(h[t])) + sum[t](norm(W[t])) * 0.1 + norm(b)
""",
    # A recurrence through a window: h[t-k-1].
    "window recurrence": """
axes: {t: 5, k: 2}
inputs: {x[t]: [2]}
parameters: {W[k]: [2,2]}
nodes:
  h[t]: tanh(sum[k](W[k] @ h[t-k-1]) + x[t])
loss: sum[t](sum(h[t]))
""",
    # A tree in an array: a node is computed after its two children.
    "tree": """
axes: {i: 7}
inputs: {x[i]: [2]}
parameters: {L: [2,2], R: [2,2]}
nodes:
  h[i]: tanh(L @ h[2*i+1] + R @ h[2*i+2] + x[i])
initial:
  h: learned
loss: sum(h[0]) + sum[i](h[i] @ h[i])
""",
    # A window that ends one step before: the delay depends on the extent of k.
    "window up to now": """
axes: {t: 5, k: 3}
inputs: {x[t]: [2]}
parameters: {W[k]: [2,2]}
nodes:
  h[t]: tanh(sum[k](W[k] @ h[t+k-3]) + x[t])
loss: sum[t](h[t] @ h[t])
""",
    # What one equation reads late, another reads early: two loops of opposite directions.
    "there and back": """
axes: {t: 5}
inputs: {x[t]: [2]}
parameters: {W: [2,2], V: [2,2]}
nodes:
  h[t]: tanh(W @ h[t-1] + x[t])
  g[t]: tanh(V @ g[t+1] + h[t+2] * h[t-1])
loss: sum[t](g[t] @ h[last-t])
""",
    # A cell's state stopped on its way back.
    "stopped": """
axes: {t: 5}
inputs: {x[t]: [2]}
parameters: {W: [2,3], V: [3,2]}
nodes:
  h[t]: tanh(V @ (stop_gradient(W @ h[t-1]) + x[t]) + 0.5 * h[t-2])
loss: sum[t](h[t] @ h[t])
""",
    # A diagonal that is read one step late, along an axis that is not the first.
    "diagonal recurrence": """
axes: {k: 3, t: 5}
inputs: {x[t]: [2]}
parameters: {W: [2,2], V[k]: [2,2]}
nodes:
  h[k,t]: tanh(W @ h[t-1,t-1] + V[k] @ h[k,t-1] + x[t])
loss: sum[k,t](h[k,t] @ h[k,t])
""",
    # A cycle through a window whose reader also has the window's axis.
    "window of a window": """
axes: {t: 5, k: 3}
inputs: {x[t]: [2]}
parameters: {W: [2,2], V[k]: [2,2]}
nodes:
  g[t,k]: V[k] @ h[t-1]
  h[t]: tanh(sum[k](W @ g[t+k-2,first] + x[t-k]))
loss: sum[t](h[t] @ h[t])
""",
    # What all sequences share, read at the end of each, beyond a boundary along another axis.
    "shared value at the end": """
axes: {t: 5, k: 3}
inputs: {x[t]: [2]}
parameters: {w: [2], v: [2]}
nodes:
  n[k,t]: w * (t + k + 1)
  y[k]: tanh(n[k-1,last]) + n[k,last-k]
initial:
  n: v
loss: sum[k](y[k] @ x[first])
""",
    # Reductions inside reductions, over the same axis and over others.
    "nested reductions": """
axes: {t: 5, s: 4}
inputs: {x[t]: [2], z[s]: [3]}
parameters: {A: [2,3]}
nodes:
  e[t]: logsumexp[s](x[t] @ (A @ z[s]) + max[s](z[s] @ z[s-1]))
  y[t]: mean[s](softmax[s](z[s] * e[t]) * z[s])
loss: mean[t](sum(y[t]) * sum[s](z[s] @ y[t])) + sum[s](sum(z[s] * mean[t](y[t])))
""",
    # Each step attends to all before it: a cycle through a softmax over the past.
    "past": """
axes: {t: 5, s: t}
inputs: {x[t]: [2]}
parameters: {Q: [3,2], K: [3,3], R: [2,3], W: [3,2]}
nodes:
  h[t]: tanh(W @ (x[t] + R @ c[t]))
  score[t,s]: (Q @ x[t]) @ (K @ h[s])
  c[t]: sum[s](softmax[s < t](score[t,s]) * h[s])
loss: mean[t](h[t] @ h[t])
""",
    # Bounds of other forms: a window, the rest, an end, points that are none; products and maxima.
    "bounds": """
axes: {t: 5, s: t, k: 3}
inputs: {x[t]: [2]}
parameters: {W: [2,2], V[k]: [2,2]}
nodes:
  h[t]: tanh(W @ h[t-1] + sum[t-3 < s <= t](W @ x[s]) + mean[s > t](x[s]))
  a[t,s]: softmax[s <= last-t](h[t] @ x[s])
  m[t]: max[s <= t](h[s] * x[t]) + logsumexp[s >= t](a[s,t] * h[s])
  w[t]: sum[k < t](V[k] @ m[t-k]) * sum[s <= 2*t, k](a[t,s] * (k + 1))
loss: mean[t](w[t] @ w[t]) + sum[t,s](a[t,s] * a[s,t])
""",
    # References that are never inside, whatever the length: they are initial values.
    "never inside": """
axes: {t: 5}
inputs: {x[t]: [2]}
parameters: {W: [2,2], V: [2,2]}
nodes:
  h[t]: tanh(W @ h[t-1] + V @ h[-2] + x[last+1] * x[t])
  g[t]: tanh(V @ g[t-t-1]) * h[t] + x[t-last-1]
initial: {h: learned, x: 0.5}
loss: sum[t](h[t] @ g[t])
""",
    # The same by lengths that the spec fixes: there is no m[t,3], but W[i] has two.
    "never inside of two": """
axes: {t: 5, i: 2}
inputs: {x[t]: [2]}
parameters: {W[i]: [2,2]}
nodes:
  m[t,i]: tanh(W[i] @ m[t,3] + (W[1-i] + W[i+2]) @ x[t])
initial: {m: learned}
loss: sum[t,i](m[t,i] @ m[t,i])
""",
}
