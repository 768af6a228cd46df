"""Figures in words: times, memory, shares."""

from __future__ import annotations

MINUTE, HOUR, GB = 60.0, 3600.0, 1e9


def time(seconds: float) -> str:
    """``90`` is ``1.5 min``."""
    if seconds < 1:
        return f"{seconds * 1000:.3g} ms"
    if seconds < MINUTE:
        return f"{seconds:.3g} s"
    return f"{seconds / MINUTE:.3g} min" if seconds < HOUR else f"{seconds / HOUR:.3g} h"


def memory(size: float) -> str:
    """Bytes as GB or MB."""
    return f"{size / GB:.3g} GB" if size >= GB else f"{size / 1e6:.0f} MB"


def percent(share: float) -> str:
    """A share of one in percent."""
    if share >= 0.1:
        return f"{share * 100:.0f} %"
    return f"{share * 100:.2g} %" if share >= 0.0005 else "below 0.1 %"
