"""In a kernel: ``%serve``, its completion, its displays, and the public functions."""

from __future__ import annotations

from typing import Any


def register(ipython: Any) -> None:
    """Register ``%serve`` and its completion; safe to call again."""
    from . import completion
    from .magics import ServeMagics

    ipython.register_magics(ServeMagics(ipython))
    completion.register(ipython)
