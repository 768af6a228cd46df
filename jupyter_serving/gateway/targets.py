"""What a request line asks for (pure)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal
from urllib.parse import parse_qs, unquote_to_bytes

import httptools

from ..errors import BadRequest, InvalidParameter, NotFound

PATHS = (
    "POST /serving-endpoints/{name}/invocations, "
    "POST /serving-endpoints/{name}/served-models/{entity}/invocations, "
    "the Open Inference Protocol under /v2 and /serving-endpoints/{name}/v2, and GET /health"
)
READS = "GET, HEAD"
CAPTURES_LIMIT = 100
_V2_PATH = re.compile(rb"(?:https?://[^/?]*)?(?:/serving-endpoints/[^/?]*)?/v2(?:[/?]|$)")

Kind = Literal[
    "health",
    "invocations",
    "infer",
    "captures",
    # Open Inference Protocol: what is told about the server, an endpoint, and a model of it
    "server",
    "live",
    "ready",
    "models",
    "model",
    "model_ready",
]
_MODEL_KINDS: dict[str, Kind] = {"": "model", "ready": "model_ready", "infer": "infer"}
PREDICTIONS: frozenset[Kind] = frozenset({"invocations", "infer"})


class MethodNotAllowed(BadRequest):
    """The path exists, the method does not; the answer carries ``Allow``."""

    status = 405

    def __init__(self, method: str, allowed: str) -> None:
        super().__init__(f"{method} is not possible here.", hint=f"Use {allowed}.")
        self.allowed = allowed


@dataclass(frozen=True, slots=True)
class Target:
    """What is asked for.

    Attributes:
        name: the endpoint; None where the gateway as a whole is meant.
        entity: the served entity that an invocation names.
        model: the model that a V2 path names: the endpoint, or a served entity of it.
        version: the registered model version that a V2 path names.
        limit: most captures that are told.
    """

    kind: Kind
    name: str | None = None
    entity: str | None = None
    model: str | None = None
    version: str | None = None
    limit: int = CAPTURES_LIMIT


HEALTH = Target("health")


def speaks_v2(raw: bytes) -> bool:
    """True where a request target lies under a ``/v2``, whether or not anything is there."""
    return _V2_PATH.match(raw) is not None


@lru_cache(maxsize=512)
def parse(method: str, raw: bytes) -> Target:
    """Understand a request line; a trailing slash and a query are tolerated, segments are percent-decoded.

    Raises:
        NotFound: no such path.
        MethodNotAllowed: the path is right, the method is not.
        InvalidParameter: the query is wrong.
    """
    segments = _segments(raw)
    target = _of_endpoint(segments[1], segments[2:], raw) if _names_one(segments) else None
    if segments == ["health"]:
        target = HEALTH
    elif segments[:1] == ["v2"]:
        target = _v2(None, segments[1:])
    if target is None:
        raise NotFound(f"Nothing is at {_shown(raw)}.", hint=f"The gateway answers {PATHS}.")
    allowed = "POST" if target.kind in PREDICTIONS else READS
    if method not in allowed.split(", "):
        raise MethodNotAllowed(method, allowed)
    return target


def _names_one(segments: list[str]) -> bool:
    return len(segments) >= 3 and segments[0] == "serving-endpoints"


def _of_endpoint(name: str, rest: list[str], raw: bytes) -> Target | None:
    match rest:
        case ["invocations"]:
            return Target("invocations", name)
        case ["served-models", entity, "invocations"]:
            return Target("invocations", name, entity)
        case ["captures"]:
            return Target("captures", name, limit=_limit(raw))
        case ["v2", *more]:
            return _v2(name, more)
    return None


def _v2(name: str | None, rest: list[str]) -> Target | None:
    """Paths of the Open Inference Protocol; without an endpoint in front, the model is the endpoint's name."""
    version = None
    match rest:
        case []:
            return Target("server", name)
        case ["health", "live"]:
            return Target("live", name)
        case ["health", "ready"]:
            return Target("ready", name)
        case ["models"]:
            return Target("models", name)
        case ["models", model, "versions", str(wanted), *verb]:
            version = wanted
        case ["models", model, *verb]:
            pass
        case _:
            return None
    kind = _MODEL_KINDS.get("/".join(verb))
    if kind is None:
        return None
    return Target(kind, model if name is None else name, model=model, version=version)


def _limit(raw: bytes) -> int:
    given = parse_qs(raw.partition(b"?")[2]).get(b"limit", [b"%d" % CAPTURES_LIMIT])[0]
    if not given.isdigit() or len(given) > 9:
        raise InvalidParameter(
            f"limit={given[:40].decode('latin-1')!r} is not a number.",
            hint="Give how many captures to return, say limit=20.",
        )
    return int(given)


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
