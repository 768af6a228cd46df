"""The package's version, read from its own metadata."""

from __future__ import annotations

from functools import cache


@cache
def version() -> str:
    """Version of the installed distribution, ``0+unknown`` from a bare checkout."""
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("jupyter-serving")
    except PackageNotFoundError:
        return "0+unknown"
