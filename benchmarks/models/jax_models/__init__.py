"""The models as users of JAX write them: a file for each family of `cases.CASES`.

Each file has `MODELS`, by the name of the case; only `jax_peer` imports it.
"""
