"""What people write by hand: FastAPI around the pyfunc, and around the bare estimator (the ceiling)."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

from .base import Launch, Recipe

APPS = Path(__file__).parent / "apps"
PACKAGES = ("fastapi==0.165.0", "uvicorn[standard]==0.54.0", "uvloop==0.23.0", "httptools==0.9.0")


def _uvicorn(app: str) -> Callable[[Launch], list[str]]:
    def command(launch: Launch) -> list[str]:
        # MLflow refuses a symbolic link that leads out of the directory.
        shutil.copytree(launch.subject.directory, launch.folder / "model")
        return [
            *(str(launch.python), "-m", "uvicorn", f"{app}:app", "--app-dir", str(APPS)),
            *("--host", "127.0.0.1", "--port", str(launch.port), "--no-access-log"),
        ]

    return command


FASTAPI = Recipe(
    "fastapi",
    "FastAPI around the pyfunc",
    PACKAGES,
    _uvicorn("pyfunc_api"),
    environment="fastapi",
    at_home=True,
)
ESTIMATOR = Recipe(
    "estimator",
    "FastAPI that calls the bare estimator (ceiling)",
    PACKAGES,
    _uvicorn("estimator_api"),
    environment="fastapi",
    at_home=True,
)
