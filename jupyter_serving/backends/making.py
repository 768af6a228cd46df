"""How a replica's process came to be, and what importing took."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Literal

# Imports that are told of a start.
SHOWN = 10


@dataclass(frozen=True, slots=True)
class Import:
    """What one top-level package took to import: itself, and with all that it brought along (seconds)."""

    package: str
    own: float
    whole: float


def imports_of(told: Any) -> tuple[Import, ...]:
    """From ``[package, own, whole]`` of a replica or a zygote; what cannot be read is left out."""
    rows = told if isinstance(told, list) else []
    return tuple(Import(str(r[0]), float(r[1]), float(r[2])) for r in rows if len(r) == 3)


@dataclass(frozen=True, slots=True)
class Making:
    """How a replica's process came to be.

    ``zygote``: ``resident`` (it was forked from one that was there), ``started`` (one was started for it) or ``none``.
    ``phases`` are seconds by name up to the replica's own; ``zygote_seconds`` is the part of them that a resident
    zygote would have spared. ``imports``: the slowest that the zygote did.
    """

    zygote: Literal["resident", "started", "none"] = "none"
    phases: dict[str, float] = field(default_factory=dict)
    zygote_seconds: float = 0.0
    imports: tuple[Import, ...] = ()


def slowest(imports: Iterable[Import]) -> tuple[Import, ...]:
    """Of several processes' imports, one entry per package, the slowest first."""
    found: dict[str, Import] = {}
    for each in imports:
        before = found.get(each.package, Import(each.package, 0.0, 0.0))
        found[each.package] = Import(each.package, before.own + each.own, before.whole + each.whole)
    return tuple(sorted(found.values(), key=lambda each: -each.own)[:SHOWN])
