"""MLServer with its MLflow runtime: on the request that MLflow itself takes, and batching adaptively.

Without parallel workers it is the faster one for one model of this size. It batches only what comes by the
Open Inference Protocol.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from .base import Launch, Recipe, Rows

# With a newer uvloop its server ends at start.
PACKAGES = ("mlserver==1.7.1", "mlserver-mlflow==1.7.1", "uvloop==0.21.0")
# More than the connections of any cell; a millisecond is the shortest wait that its authors suggest.
BATCHES = {"max_batch_size": 32, "max_batch_time": 0.001}
MODEL = "subject"


def _serve(batches: Mapping[str, float]) -> Callable[[Launch], list[str]]:
    def command(launch: Launch) -> list[str]:
        settings = {
            "host": "127.0.0.1",
            "http_port": launch.port,
            "grpc_port": launch.spare[0],
            "metrics_port": launch.spare[1],
            "debug": False,
            "parallel_workers": 0,
        }
        model = {
            "name": MODEL,
            "implementation": "mlserver_mlflow.MLflowRuntime",
            "parameters": {"uri": str(launch.subject.directory)},
            **batches,
        }
        (launch.folder / "settings.json").write_text(json.dumps(settings))
        (launch.folder / "model-settings.json").write_text(json.dumps(model))
        return [str(launch.python.parent / "mlserver"), "start", str(launch.folder)]

    return command


def _encode(columns: Sequence[str], rows: Rows) -> bytes:
    """A data frame as one input for each column; the id would else be made anew for every answer."""
    inputs = [
        {"name": name, "shape": [len(rows), 1], "datatype": "FP64", "data": list(values)}
        for name, values in zip(columns, zip(*rows, strict=True), strict=True)
    ]
    parameters = {"content_type": "pd"}
    return json.dumps({"id": "1", "parameters": parameters, "inputs": inputs}).encode()


def _decode(answer: Any) -> Any:
    columns = [output["data"] for output in answer["outputs"]]
    if len(columns) == 1:
        return columns[0]
    return [list(row) for row in zip(*columns, strict=True)]


MLSERVER = Recipe("mlserver", "MLServer, parallel_workers=0", PACKAGES, _serve({}))
MLSERVER_BATCHING = Recipe(
    "mlserver-batching",
    "MLServer, adaptive batching (V2)",
    PACKAGES,
    _serve(BATCHES),
    path=f"/v2/models/{MODEL}/infer",
    encode=_encode,
    decode=_decode,
    environment="mlserver",
)
