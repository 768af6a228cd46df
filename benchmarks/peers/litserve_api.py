"""LitServe around the pyfunc: as it comes, and with batches."""

from __future__ import annotations

from collections.abc import Callable

from .base import Launch, Recipe
from .handwritten import APPS

PACKAGES = ("litserve==0.2.19",)
# Its telemetry would dial out.
ENVIRON = {"LIT_DISABLE_TELEMETRY": "1", "DO_NOT_TRACK": "1"}


def _serve(batch: int) -> Callable[[Launch], list[str]]:
    def command(launch: Launch) -> list[str]:
        return [
            *(str(launch.python), str(APPS / "lit_api.py")),
            *(str(launch.subject.directory), str(launch.port), str(batch)),
        ]

    return command


LITSERVE = Recipe("litserve", "LitServe", PACKAGES, _serve(1), environ=ENVIRON)
LITSERVE_BATCHING = Recipe(
    "litserve-batching",
    "LitServe, max_batch_size=32",
    PACKAGES,
    _serve(32),
    environ=ENVIRON,
    environment="litserve",
)
