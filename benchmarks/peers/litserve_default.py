"""LitServe around the pyfunc."""

from __future__ import annotations

from .base import Launch, Recipe
from .handwritten import APPS


def _command(launch: Launch) -> list[str]:
    return [
        *(str(launch.python), str(APPS / "lit_api.py")),
        *(str(launch.subject.directory), str(launch.port)),
    ]


LITSERVE = Recipe(
    "litserve",
    "LitServe 0.2.19",
    ("litserve==0.2.19",),
    _command,
    # Its telemetry would dial out.
    environ={"LIT_DISABLE_TELEMETRY": "1", "DO_NOT_TRACK": "1"},
)
