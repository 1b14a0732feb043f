"""Whole models beside PyTorch and JAX: the loss and all gradients, or a training step, in float32.

    python -m benchmarks.models --cases looped-transformer,ctc

In: specs of `benchmarks/specs` and of the package, at sizes at which people use such models. Out: a
table of times. As in `benchmarks.peers`, whose comparison this is, every peer lives in a process of
its own, all are shown to compute the same numbers, and then take turns.

    cases           the models: spec, sizes, batch; parameters and data that everybody gets
    torch_models    how users of PyTorch write them, a file for each family
    jax_models      how users of JAX write them
    *_peer          one peer each: a case in, a function that computes it once out
"""
