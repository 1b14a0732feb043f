"""The models as users of PyTorch write them: a file for each family of `cases.CASES`.

Each file has `MODELS`, by the name of the case; only `torch_peer` imports it.
"""
