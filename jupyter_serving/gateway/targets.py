"""What a request line asks for (pure)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Literal
from urllib.parse import unquote_to_bytes

import httptools

from ..errors import BadRequest, NotFound

PATHS = (
    "POST /serving-endpoints/{name}/invocations, "
    "POST /serving-endpoints/{name}/served-models/{entity}/invocations and GET /health"
)


class MethodNotAllowed(BadRequest):
    """The path exists, the method does not; the answer carries ``Allow``."""

    status = 405

    def __init__(self, method: str, allowed: str) -> None:
        super().__init__(f"{method} is not possible here.", hint=f"Use {allowed}.")
        self.allowed = allowed


@dataclass(frozen=True, slots=True)
class Target:
    """What is asked for: ``health``, or a prediction of an endpoint (of its served entity ``entity`` if given)."""

    kind: Literal["health", "invocations"]
    name: str = ""
    entity: str | None = None


HEALTH = Target("health")


@lru_cache(maxsize=512)
def parse(method: str, raw: bytes) -> Target:
    """Understand a request line; a trailing slash and a query are tolerated, segments are percent-decoded.

    Raises:
        NotFound: no such path.
        MethodNotAllowed: the path is right, the method is not.
    """
    segments = _segments(raw)
    if segments == ["health"]:
        return _allow(HEALTH, method, "GET, HEAD")
    if len(segments) >= 3 and segments[0] == "serving-endpoints" and segments[-1] == "invocations":
        if len(segments) == 3:
            return _allow(Target("invocations", segments[1]), method, "POST")
        if len(segments) == 5 and segments[2] == "served-models":
            return _allow(Target("invocations", segments[1], segments[3]), method, "POST")
    raise NotFound(f"Nothing is at {_shown(raw)}.", hint=f"The gateway answers {PATHS}.")


def _allow(target: Target, method: str, allowed: str) -> Target:
    if method not in allowed.split(", "):
        raise MethodNotAllowed(method, allowed)
    return target


def _segments(raw: bytes) -> list[str]:
    try:
        path = httptools.parse_url(raw).path or b""
    except httptools.HttpParserInvalidURLError:
        return []
    parts = path.strip(b"/").split(b"/") if raw[:2] != b"//" else []
    return [unquote_to_bytes(part).decode("utf-8", "replace") for part in parts]


def _shown(raw: bytes) -> str:
    text = raw.partition(b"?")[0].decode("latin-1")
    return text if len(text) <= 200 else text[:200] + "…"
