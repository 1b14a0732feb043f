"""unfold beside its peers on the same work: a mean loss and the gradients of all parameters.

    python -m benchmarks.peers --cells lstm,gru --shapes S1,S2 --peers unfold,torch,jax

In: integer sequences, float32 weights. Out: tables of times, start-up and memory. Each peer lives
in a process of its own (`worker`), so that thread counts, imports and memory are its own; the main
process gives turns to one at a time, round after round, after all have been shown to compute the
same numbers (`compare`). No file here but `unfold_peer` imports the package's engine.

    cases     the cells, shapes, weights and data that everybody gets
    packing   weights as peers keep them: the gates of a product side by side
    *_peer    one peer each: a case in, a function that computes it once out
"""
