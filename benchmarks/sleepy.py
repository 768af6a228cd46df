"""An endpoint with the model that sleeps, on services of its own."""

from __future__ import annotations

import contextlib
import json
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from jupyter_serving import connect
from jupyter_serving.api import Registry
from jupyter_serving.client import Client
from jupyter_serving.registry import travel
from jupyter_serving.registry.log import quiet

NAME = "sleeper"
READY_SECONDS = 120.0
LIMIT = "JUPYTER_SERVING_CPU_PRESSURE_LIMIT"


@dataclass(frozen=True)
class Sleepy:
    """Where and how the endpoint is asked."""

    client: Client
    name: str
    address: str
    path: str
    headers: dict[str, str]


@contextlib.contextmanager
def endpoint(folder: Path, fields: dict[str, Any]) -> Iterator[Sleepy]:
    """The endpoint, ready, for the block; ``fields`` are its served entity's. The services are stopped after it."""
    model = save(folder / "model")
    with _unpressed():
        client = Client(server=connect.local(folder / "data"))
    try:
        reference = travel.reference_of(str(model), folder)
        entity = travel.entity_of(reference, Registry(tracking_uri=""))
        client.deploy(NAME, entity | fields)
        ready = client.wait(NAME, READY_SECONDS)
        url = urlsplit(ready.url)
        token = {"Authorization": f"Bearer {client.token(NAME)}"}
        yield Sleepy(client, NAME, f"{url.hostname}:{url.port}", url.path, token)
    finally:
        client.shutdown()
        client.close()


@contextlib.contextmanager
def _unpressed() -> Iterator[None]:
    """Services that are started in the block scale up however busy the processors are, as the simulator does."""
    before = os.environ.get(LIMIT)
    os.environ[LIMIT] = "1.0"
    try:
        yield
    finally:
        del os.environ[LIMIT]
        if before is not None:
            os.environ[LIMIT] = before


def second_client(peer: Sleepy) -> Client:
    """Another client of the same services, for another thread."""
    return Client(server=peer.client.server)


def body(seconds: float) -> bytes:
    """A request that takes so long."""
    return json.dumps({"dataframe_split": {"columns": ["seconds"], "data": [[seconds]]}}).encode()


def save(folder: Path) -> Path:
    """Save the model that sleeps."""
    import cloudpickle
    import mlflow
    import pandas as pd
    from mlflow.models import infer_signature

    from . import sleeper

    # The servers cannot import this package: the class travels in the pickle.
    cloudpickle.register_pickle_by_value(sys.modules[sleeper.__name__])
    example = pd.DataFrame({"seconds": [0.0]})
    with quiet():
        mlflow.pyfunc.save_model(
            str(folder),
            python_model=sleeper.Sleeper(),
            signature=infer_signature(example, [0.0]),
            input_example=example,
        )
    return folder
