"""Independent JAX implementations of the specs, written from their equations and nothing else.

An oracle is a function of ONE sequence, with plain loops over its index points:

    loss, nodes = pattern_hidden(params, inputs, free=False)

`params` and `inputs` are dicts of JAX arrays, the inputs without a batch axis and already cut to
the sequence's own length; `nodes` holds the main nodes as arrays `[*axes, *shape]`. No line of it
is shared with the engine, nor is there a word on lengths, masks or batches: a batch is each of
its sequences alone (`tests/sample.py`). Float64 throughout; little is optimised, for compiling
takes longer than running.
"""

import jax

jax.config.update("jax_enable_x64", True)
jax.config.update("jax_disable_most_optimizations", True)
