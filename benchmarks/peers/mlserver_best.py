"""MLServer with its MLflow runtime, on the request that MLflow itself takes.

Without parallel workers it is the faster one for one model of this size.
"""

from __future__ import annotations

import json

from .base import Launch, Recipe


def _command(launch: Launch) -> list[str]:
    settings = {
        "host": "127.0.0.1",
        "http_port": launch.port,
        "grpc_port": launch.spare[0],
        "metrics_port": launch.spare[1],
        "debug": False,
        "parallel_workers": 0,
    }
    model = {
        "name": launch.subject.name,
        "implementation": "mlserver_mlflow.MLflowRuntime",
        "parameters": {"uri": str(launch.subject.directory)},
    }
    (launch.folder / "settings.json").write_text(json.dumps(settings))
    (launch.folder / "model-settings.json").write_text(json.dumps(model))
    return [str(launch.python.parent / "mlserver"), "start", str(launch.folder)]


MLSERVER = Recipe(
    "mlserver",
    "MLServer 1.7.1, parallel_workers=0",
    # With a newer uvloop its server ends at start.
    ("mlserver==1.7.1", "mlserver-mlflow==1.7.1", "uvloop==0.21.0"),
    _command,
)
