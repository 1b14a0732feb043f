"""Training: settings, data, optimisers, clipping, the loop, checkpoints, samples and run folders.

The engine is known here only by the few methods that `loop.Model` and `sample.Forward` name.
"""
