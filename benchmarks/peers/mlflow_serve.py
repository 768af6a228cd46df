"""``mlflow models serve``: as it comes, and tuned to two workers on uvloop."""

from __future__ import annotations

from collections.abc import Callable

from .base import Launch, Recipe


def _serve(*options: str) -> Callable[[Launch], list[str]]:
    def command(launch: Launch) -> list[str]:
        return [
            *(str(launch.python), "-m", "mlflow", "models", "serve"),
            *("-m", str(launch.subject.directory), "-p", str(launch.port)),
            *("--env-manager", "local", *options),
        ]

    return command


MLFLOW = Recipe("mlflow", "mlflow models serve", (), _serve(), at_home=True)
MLFLOW_TUNED = Recipe(
    "mlflow-tuned",
    "mlflow models serve -w 2, uvicorn[standard]",
    ("uvicorn[standard]==0.54.0", "uvloop==0.23.0", "httptools==0.9.0"),
    _serve("-w", "2"),
    at_home=True,
)
