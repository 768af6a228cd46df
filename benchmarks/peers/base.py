"""What the benchmark needs to know of a server, ours or another's."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from ..subjects import Subject, split_body

Rows = Sequence[Sequence[float]]


def predictions_of(answer: Any) -> Any:
    """The list in MLflow's ``{"predictions": [...]}``."""
    return answer["predictions"]


@dataclass(frozen=True)
class Launch:
    """How a peer was told to serve: a fresh folder of its own, a free port, and two more if it needs them."""

    python: Path
    subject: Subject
    folder: Path
    port: int
    spare: tuple[int, int]


@dataclass(frozen=True)
class Recipe:
    """A peer in a virtual environment of its own.

    ``packages`` are pinned requirements beside the model's own; ``command`` may write files into the launch's folder;
    ``encode`` makes a request's body from columns and rows, ``decode`` the predictions from the parsed answer.
    ``environment``: name of one that peers share; default: the peer's own.
    ``at_home``: it runs as well in the environment of this benchmark (for the quick run).
    """

    name: str
    title: str
    packages: tuple[str, ...]
    command: Callable[[Launch], list[str]]
    path: str = "/invocations"
    encode: Callable[[Sequence[str], Rows], bytes] = split_body
    decode: Callable[[Any], Any] = predictions_of
    environ: Mapping[str, str] = field(default_factory=dict)
    environment: str = ""
    at_home: bool = False


class Peer(Protocol):
    """A server that is up, or can be started."""

    name: str
    title: str

    @property
    def address(self) -> str:
        """``host:port``."""

    @property
    def path(self) -> str:
        """Path of the requests."""

    @property
    def headers(self) -> Mapping[str, str]:
        """Further headers, as a client needs them."""

    def encode(self, columns: Sequence[str], rows: Rows) -> bytes:
        """A request's body."""

    def decode(self, body: bytes) -> Any:
        """Predictions of an answer's body."""

    def start(self) -> None:
        """Begin to start; ``check`` and a first right answer tell when it is up."""

    def check(self) -> None:
        """Raise ``PeerFailed`` when it has ended."""

    def pids(self) -> Mapping[int, str]:
        """Its processes, each with the part that it plays."""

    def stop(self) -> None:
        """End all its processes."""


class PeerFailed(Exception):
    """A peer did not start or has ended; the message holds the end of its log."""


def request(peer: Peer, body: bytes) -> bytes:
    """The whole HTTP request with this body."""
    headers = {
        "Host": peer.address if not peer.address.startswith("/") else "localhost",
        "Content-Type": "application/json",
        "Content-Length": str(len(body)),
        **peer.headers,
    }
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f"POST {peer.path} HTTP/1.1\r\n{lines}\r\n".encode() + body


def parsed(body: bytes) -> Any:
    """JSON of an answer."""
    return json.loads(body)
