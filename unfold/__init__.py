"""unfold: describe a recurrent computation in YAML, see it unfolded, run it, differentiate it.

    import unfold
    model = unfold.load("hello")
    params = model.init(seed=0)

Everything is loaded on first use, so that the command line starts fast.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from unfold.version import VERSION as __version__

if TYPE_CHECKING:
    from unfold.api import Model, library, load, loads
    from unfold.comparison.compare import compare
    from unfold.training.fit import train

__all__ = ["Model", "__version__", "compare", "library", "load", "loads", "train"]


def __getattr__(name: str) -> Any:
    """Load the interface on first use."""
    if name == "train":
        from unfold.training.fit import train

        return train
    if name == "compare":
        from unfold.comparison.compare import compare

        return compare
    if name in __all__:
        from unfold import api

        return getattr(api, name)
    raise AttributeError(f"module 'unfold' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
