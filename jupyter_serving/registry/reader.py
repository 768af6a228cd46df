"""``python -m jupyter_serving.registry.reader``: reads registries for the controller, in a process of its own.

MLflow takes 140 MB and half a million objects for as long as a process lives, so the controller does not import it:
this process does, and ends when nobody needs it. JSON lines: a question on standard input is ``{"id", "verb", ...}``
with the verb ``warm``, ``resolve`` or ``fetch``; answers on standard output are ``{"id", "progress"}``, then
``{"id", "result"}`` or ``{"id", "error"}``. It ends with its standard input, which a controller that dies closes too.
"""

from __future__ import annotations

import json
import os
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import Any, TextIO

from ..api import Registry
from ..errors import ServingError
from . import resolve
from .reference import Kind, ModelReference

THREADS = 3


class Reader:
    """Answers questions side by side; ``out`` takes the lines."""

    def __init__(self, out: TextIO) -> None:
        self._out, self._turn = out, threading.Lock()

    def answer(self, question: dict[str, Any]) -> None:
        """Carry out one question and say how it ended."""
        number = question["id"]
        try:
            self.say(number, result=self._carry_out(question))
        except Exception as error:
            self.say(number, error=described(error))

    def say(self, number: int, **content: Any) -> None:
        """Write one line."""
        line = json.dumps({"id": number, **content})
        with self._turn:
            self._out.write(line + "\n")
            self._out.flush()

    def _carry_out(self, question: dict[str, Any]) -> Any:
        match question["verb"]:
            case "warm":
                _import_stores()
                return None
            case "resolve":
                wanted = question["reference"]
                reference = ModelReference(Kind(wanted.pop("kind")), **wanted)
                return asdict(resolve.resolve(reference, Registry(**question["registry"])))
            case "fetch":
                resolved = resolve.Resolved(**question["resolved"])
                registry, models = Registry(**question["registry"]), Path(question["models"])
                digest, _ = resolve.fetch(resolved, registry, models, self._progress(question))
                return digest
        raise ValueError(f"unknown verb {question['verb']!r}")

    def _progress(self, question: dict[str, Any]) -> Callable[[str], None]:
        return lambda text: self.say(question["id"], progress=text)


def described(error: Exception) -> dict[str, Any]:
    """An exception as JSON; ``class`` is empty where it is none of ours."""
    if isinstance(error, ServingError):
        return {"class": type(error).__name__, "message": error.message, "hint": error.hint}
    return {"class": "", "message": f"{type(error).__name__}: {error}", "hint": ""}


def _import_stores() -> None:
    import mlflow.store.model_registry.sqlalchemy_store
    import mlflow.store.tracking.sqlalchemy_store  # noqa: F401


def main() -> None:
    """Answer until standard input ends."""
    # What MLflow prints must not come between the answers.
    out = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    reader, threads = Reader(out), ThreadPoolExecutor(THREADS)
    for line in sys.stdin:
        threads.submit(reader.answer, json.loads(line))
    # Nobody waits for what is still running.
    os._exit(0)


if __name__ == "__main__":
    main()
