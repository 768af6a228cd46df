"""MLflow's own server beside a replica as it is deployed: its processes, its HTTP."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from runtime import harness

from . import corpus
from .sides import JSON, Reply, World, check
from .test_answers import IRIS_ROWS, PLAIN_ROWS

ROWS = {"forest": IRIS_ROWS, "dtypes": PLAIN_ROWS}


@pytest.fixture(scope="module", params=ROWS)
def replica(
    request: pytest.FixtureRequest, mlflow3: World, runtime_parent: Path
) -> Iterator[tuple[str, harness.Http]]:
    """A replica of a model of the MLflow 3 world: its name, and a connection."""
    with tempfile.TemporaryDirectory(prefix="jsd-", dir="/tmp") as folder:
        socket, spec = Path(folder) / "r.sock", Path(folder) / "spec.json"
        model = mlflow3.models / request.param
        facts = {"model": str(model), "socket": str(socket), "stack_trace": False}
        spec.write_text(json.dumps({**facts, "environ": {"PATH": os.environ["PATH"]}}))
        command = [sys.executable, "-m", "serving_runtime", "serve", str(spec)]
        environ = harness.environment(runtime_parent) | {"PYTHONHASHSEED": "0"}
        with open(Path(folder) / "log", "w") as log:
            process = subprocess.Popen(command, env=environ, stdout=log, stderr=log, cwd=folder)
        try:
            harness.eventually(socket.exists, "the replica listens")
            http = harness.Http(f"unix:{socket}")
            ready = http.ask("GET", f"/health/ready?wait={harness.PATIENCE}")
            assert ready.status == 200, (ready.body, (Path(folder) / "log").read_text())
            yield request.param, http
            http.close()
        finally:
            process.terminate()
            assert process.wait(harness.PATIENCE) == 0


def test_a_replica_answers_as_mlflows_server(mlflow3: World, replica: tuple[str, harness.Http]):
    model, http = replica
    rows = ROWS[model]
    for body in [*corpus.formats(rows[:1]), *corpus.formats(rows), *corpus.odd(rows)]:
        data = json.dumps(body).encode()
        answer = http.ask("POST", "/invocations", data, {"content-type": JSON})
        ours = Reply(answer.status, answer.headers["content-type"], answer.body)
        check(mlflow3.theirs(model, data), ours, f"{model}: {data[:500]!r}")


def test_its_status_names_the_fast_path(mlflow3: World, replica: tuple[str, harness.Http]):
    model, http = replica
    told = http.ask("GET", "/health/ready").json["fast_path"]
    assert told["kind"] == mlflow3.ours.kind(model)
