"""A front whose workers are threads of the test: real sockets and real loops, failures on demand."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from jupyter_serving.runtime import front, slot, wire
from jupyter_serving.runtime.batching import Batching
from jupyter_serving.runtime.fastpath import FastPath, Rows
from jupyter_serving.runtime.scoring import Scored

from .harness import PATIENCE, Http, Later, Reply, ask, ask_later, eventually

Predict = Callable[[np.ndarray], Any]


class ArrayPath(FastPath):
    """``{"instances": [[...], ...]}`` of numbers to ``predict``; everything else is not plain."""

    def __init__(self, predict: Predict, row_wise: bool = True) -> None:
        self.function = predict
        self.row_wise = row_wise

    def parse(self, body: bytes) -> Rows | None:
        try:
            data = json.loads(body)["instances"]
            array = np.array(data, dtype=float)
        except (ValueError, KeyError, TypeError):
            return None
        return Rows(len(array), array)

    def join(self, parts: Sequence[Rows]) -> Rows:
        return Rows(sum(part.count for part in parts), np.concatenate([p.data for p in parts]))

    def predict(self, rows: Rows) -> Any:
        return self.function(rows.data)

    def cut(self, result: Any, start: int, stop: int) -> Any:
        return result[start:stop]

    def encode(self, result: Any) -> bytes:
        return json.dumps({"predictions": np.asarray(result).tolist()}).encode()

    def encode_parts(self, result: Any, counts: Sequence[int]) -> list[bytes]:
        ends = np.cumsum(counts)
        return [
            self.encode(self.cut(result, int(end) - count, int(end)))
            for count, end in zip(counts, ends, strict=True)
        ]


class PathScorer:
    """A scorer of one function; ``answered`` are the bodies that went the slow way."""

    def __init__(self, predict: Predict, **stream: Callable[[], Iterator[bytes]]) -> None:
        self.fast: ArrayPath | None = ArrayPath(predict)
        self.max_body_bytes = 10_000
        self.answered: list[bytes] = []
        self._streams = stream

    def answer(self, body: bytes, content_type: str | None) -> Scored:
        self.answered.append(body)
        try:
            data = np.array(json.loads(body)["instances"], dtype=float)
            assert self.fast is not None
            return Scored(200, self.fast.encode(self.fast.function(data)))
        except Exception as error:
            fields = {"error_code": "BAD_REQUEST", "message": f"refused: {error}"}
            return Scored(400, json.dumps(fields).encode(), headers=(("x-why", "slow"),))

    def stream(self, body: bytes, content_type: str | None) -> Iterator[bytes] | None:
        name = body.decode("utf-8", "replace")
        return self._streams[name]() if name in self._streams else None

    def describe(self) -> dict[str, Any]:
        return {"fast_path": {"kind": "array", "reason": "a test"}}


def rows(*values: float) -> dict[str, Any]:
    """A request of one-column rows."""
    return {"instances": [[value] for value in values]}


class Replica:
    """``scorers``: one per slot. ``notes``: what the front told its leader."""

    def __init__(
        self,
        folder: Path,
        scorers: Sequence[Any],
        batch: int = 32,
        loop: Callable[[], asyncio.AbstractEventLoop] = front._new_loop,
        **spec: Any,
    ) -> None:
        self.address = f"unix:{folder / 'f.sock'}"
        self.notes: list[wire.Note] = []
        self.batch = batch
        self._workers: dict[int, socket.socket] = {}
        self._threads: list[threading.Thread] = []
        self._lead, control = socket.socketpair()
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(str(folder / "f.sock"))
        listener.listen(128)
        full = {"slots": len(scorers), "deadline": PATIENCE, **spec}

        def serve() -> None:
            with asyncio.Runner(loop_factory=loop) as runner:
                runner.run(front._serve(full, listener, control))

        self._start(serve)
        self._start(self._hear)
        for number, scorer in enumerate(scorers, 1):
            self.add(number, 100 + number, scorer)

    def _start(self, run: Callable[[], Any]) -> None:
        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        self._threads.append(thread)

    def _hear(self) -> None:
        while (note := wire.hear(self._lead)) is not None:
            self.notes.append(note)

    def add(self, number: int, pid: int, scorer: Any) -> None:
        """Start a worker."""
        ours, theirs = socket.socketpair()
        self._workers[pid] = theirs
        wire.tell(self._lead, wire.Note(wire.ADD, number, pid, fd=ours.fileno()))
        ours.close()
        batching = Batching(self.batch, "a test")
        ready = {"event": "ready", "phases": {"warm_up": 0.1}, "modules": []}
        theirs.sendall(wire.pack({**ready, **scorer.describe(), **batching.describe()}))
        self._start(lambda: slot.serve(theirs, scorer, batching, f"worker {number}"))

    def die(self, number: int, pid: int, status: int = -9) -> None:
        """A worker ends, as the leader would tell."""
        self._workers.pop(pid).shutdown(socket.SHUT_RDWR)
        wire.tell(self._lead, wire.Note(wire.DIED, number, pid, status))

    def killed(self, pid: int) -> bool:
        """True when the front asked for the end of a worker."""
        return any(note.kind == wire.KILL and note.pid == pid for note in self.notes)

    def invoke(self, body: Any, **headers: str) -> Reply:
        """One request."""
        return ask(self.address, "POST", "/invocations", body, _dashed(headers))

    def later(self, body: Any, **headers: str) -> Later:
        """One request in a thread."""
        return ask_later(self.address, "POST", "/invocations", body, _dashed(headers))

    def queue(self, *bodies: Any, **headers: str) -> list[Later]:
        """Requests that are known to have come, in this order."""
        found = []
        for body in bodies:
            before = self.load()
            found.append(self.later(body, **headers))
            eventually(lambda before=before: self.load() > before, "the request has come")
        return found

    def load(self) -> int:
        """Requests that wait or are computed (with groups: workers that compute)."""
        status = self.status()
        return int(status["queued"] + status["busy"])

    def status(self) -> dict[str, Any]:
        return ask(self.address, "GET", "/status").json

    def http(self) -> Http:
        return Http(self.address)

    def stop(self) -> None:
        """Drain; every thread ends."""
        wire.tell(self._lead, wire.Note(wire.DRAIN))
        self._threads[0].join(PATIENCE)
        for sock in self._workers.values():
            sock.close()
        self._lead.close()


def _dashed(headers: dict[str, str]) -> dict[str, str]:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return {"content-type": "application/json", **named}
