"""The two sides of the comparison: MLflow's own server and our scoring, each in its own process."""

from __future__ import annotations

import base64
import http.client
import json
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any, NamedTuple

HERE = Path(__file__).parent
JSON = "application/json"
# Said of a prediction that raised; ours says also what was raised.
RAISED = "Encountered an unexpected error while evaluating the model"
# What a fault of the client may be over there, and is always 400 here.
FAULTS = (400, 413, 415, 422, 500)


class Reply(NamedTuple):
    status: int
    type: str
    body: bytes


class Side:
    """A script in a process of its own, with pipes to it."""

    def __init__(
        self, script: str, python: Path, models: Path, environ: Mapping[str, str], log: IO[str]
    ) -> None:
        self.process = subprocess.Popen(
            [python, HERE / script, models],
            env=dict(environ),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            cwd=models.parent,
        )
        self.first = json.loads(self.line())

    def line(self) -> str:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, "the process ended"
        return line

    def __enter__(self) -> Any:
        return self

    def __exit__(self, *_: Any) -> None:
        self.process.kill()
        self.process.communicate()


class Theirs(Side):
    """MLflow's own server."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__("mlflow_server.py", *arguments)

    def __call__(self, model: str, body: bytes, type: str = JSON) -> Reply:
        # One connection each: their server closes it after an exception.
        connection = http.client.HTTPConnection("127.0.0.1", self.first, timeout=60)
        try:
            connection.request("POST", f"/{model}/invocations", body, {"content-type": type})
            answer = connection.getresponse()
            return Reply(answer.status, answer.headers.get("content-type", ""), answer.read())
        finally:
            connection.close()


class Ours(Side):
    """Our scoring."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__("our_scorer.py", *arguments)
        self.described: dict[str, Any] = self.first

    def __call__(self, path: str, model: str, body: bytes, type: str | None = JSON) -> Reply:
        assert self.process.stdin is not None
        asked = {
            "model": model,
            "path": path,
            "type": type,
            "body": base64.b64encode(body).decode(),
        }
        self.process.stdin.write(json.dumps(asked) + "\n")
        self.process.stdin.flush()
        told = json.loads(self.line())
        return Reply(told["status"], told["type"], base64.b64decode(told["body"]))

    def kind(self, model: str) -> str | None:
        """The kind of the model's fast path."""
        kind: str | None = self.described[model]["fast_path"]["kind"]
        return kind


class World(NamedTuple):
    """One MLflow, asked in both ways."""

    theirs: Theirs
    ours: Ours
    models: Path

    def compare(self, model: str, body: Any, type: str = JSON) -> Reply:
        """Their answer and ours on both paths must be the same; returns ours."""
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        expected = self.theirs(model, data, type)
        for path in ("slow", "answer"):
            got = self.ours(path, model, data, type)
            check(expected, got, f"{model}, {path}: {data[:500]!r}")
        return got


def check(theirs: Reply, ours: Reply, what: str) -> None:
    """The same answer, but for the differences that are meant."""
    story = f"{what}\ntheirs: {theirs}\nours:   {ours}"
    assert ours.type == JSON, story
    got = json.loads(ours.body, parse_constant=_not_json)
    if theirs.status == 200:
        assert ours.status == 200, story
        assert _spelled(got) == _spelled(json.loads(theirs.body, parse_constant=_null)), story
        return
    assert theirs.status in FAULTS, story
    assert ours.status == 400, story
    assert {"error_code", "message"} <= set(got), story
    assert theirs.status == 500 or _told(theirs) == _alike(got, _told(theirs)), story


def _told(reply: Reply) -> dict[str, Any]:
    """Their refusal as an object: of wrong content types they tell in plain text."""
    if not reply.type.startswith(JSON):
        return {"error_code": "BAD_REQUEST", "message": reply.body.decode()}
    fields: dict[str, Any] = json.loads(reply.body)
    fields.pop("stack_trace", None)
    return fields


def _alike(got: dict[str, Any], expected: dict[str, Any]) -> dict[str, Any]:
    """Our refusal without what it says more of a failed prediction."""
    message = str(expected["message"])
    if RAISED in message and str(got["message"]).startswith(message):
        return {**got, "message": message}
    return got


def _spelled(value: Any) -> str:
    """A text in which 1, 1.0 and true differ."""
    return json.dumps(value, sort_keys=True)


def _null(name: str) -> None:
    return None


def _not_json(name: str) -> None:
    raise AssertionError(f"{name} is not JSON")
