"""Describe an attention model in YAML; build, train, score, profile and inspect it.

In Python the same road has three entrances, imported only when they are used:

>>> from attncli import load_spec, build, load_run
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from attncli.api import build, load_run, load_spec

__version__ = "0.1.0"
__all__ = ["__version__", "build", "load_run", "load_spec"]


def __getattr__(name: str) -> Any:
    """Import the Python interface when it is asked for, so that `attncli --help` needs neither torch nor pydantic."""
    if name in ("build", "load_run", "load_spec"):
        from attncli import api

        return getattr(api, name)
    raise AttributeError(f"module 'attncli' has no attribute {name!r}")
