"""The replay gate: captured requests are sent to the new config before the switch, and the answers compared.

The requests come from the gateway's ring of the config that serves; they go straight to a ready replica of the new
config, by default one at a time, so they count as no traffic and take little from the live one. ``differences`` judges.
"""

from __future__ import annotations

import asyncio
import base64
import http.client
import json
import re
import socket
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

from ..api import DATA_PREFIX
from ..errors import StartFailed, Unavailable
from .differences import Compared, Rule, Said, Verdict, compare, inputs_of, judge
from .records import ConfigRecord, EndpointRecord, ReplicaPhase, ReplicaRecord
from .store import Store

# What the gateway or a lost connection answered: no model said that.
NO_MODEL = frozenset({0, 401, 403, 404, 405, 429, 499, 502, 503, 504})
CAPTURES_SECONDS = 30.0
_V2 = re.compile(r"/v2/models/(?P<model>[^/]+)(?:/versions/(?P<version>[^/]+))?/infer$")

Told = Callable[[str, int, dict[str, Any]], None]


@dataclass(frozen=True, slots=True)
class Sent:
    """A captured request as a replica gets it."""

    id: str
    path: str
    headers: Mapping[str, str]
    body: bytes


class Connection(http.client.HTTPConnection):
    """An HTTP connection to ``unix:/path`` or ``tcp:host:port``."""

    def __init__(self, address: str, seconds: float) -> None:
        kind, _, where = address.partition(":")
        self._path = where if kind == "unix" else ""
        super().__init__("replica" if self._path else where, timeout=seconds)

    def connect(self) -> None:
        """Connect."""
        if not self._path:
            super().connect()
            return
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


class Replay:
    """Gate of an update: see ``gate``.

    Args:
        store: replicas and configs.
        gateway: its unix socket.
        address: where a replica answers.
        deadline: longest time of one request, in seconds.
        told: gets endpoint id, config version and the whole verdict, for the certificate.
    """

    def __init__(
        self,
        store: Store,
        gateway: Path,
        address: Callable[[ReplicaRecord], str],
        deadline: float,
        told: Told = lambda endpoint, version, verdict: None,
    ) -> None:
        self._store, self._gateway, self._address = store, gateway, address
        self._deadline, self._told = deadline, told

    async def gate(self, endpoint: EndpointRecord, config: ConfigRecord) -> dict[str, Any]:
        """Let the pending ``config``, which is ready, pass its gate; returns the verdict without its rows.

        Raises:
            Unavailable: the gateway does not tell what it captured. StartFailed: no replica of the config is there.
        """
        began = time.monotonic()
        rule = Rule.of((config.update and config.update.gate) or {})
        verdict = await self._verdict(endpoint, config, rule)
        whole = verdict.to_wire() | {"seconds": round(time.monotonic() - began, 3)}
        self._told(endpoint.id, config.version, whole)
        return {name: whole[name] for name in ("passed", "text", "seconds")}

    async def _verdict(self, endpoint: EndpointRecord, config: ConfigRecord, rule: Rule) -> Verdict:
        if endpoint.active is None:
            return Verdict(True, "Replay: there is no config before this one to compare with.")
        captures = await asyncio.to_thread(self._captures, endpoint.name, rule.limit)
        targets = self._targets(endpoint, config)
        return await self.run(rule, captures, targets)

    async def run(
        self, rule: Rule, captures: Sequence[Mapping[str, Any]], targets: Mapping[str, str]
    ) -> Verdict:
        """Send captured requests to replicas (address by name of the served entity) and judge what they answer."""
        skipped: Counter[str] = Counter()
        jobs: list[tuple[Mapping[str, Any], str]] = []
        for capture in captures[-rule.limit :]:
            target = target_of(capture, targets)
            why = unusable(capture) or ("" if target else "of no served entity of the new config")
            if why:
                skipped[why] += 1
            elif target:
                jobs.append((capture, target))
        turn = asyncio.Semaphore(rule.at_once)

        async def one(capture: Mapping[str, Any], target: str) -> Compared:
            async with turn:
                after = await asyncio.to_thread(send, target, sent(capture), self._deadline)
            return compared(capture, after, rule.tolerance)

        found = await asyncio.gather(*(one(capture, target) for capture, target in jobs))
        return judge(rule, found, skipped)

    def _targets(self, endpoint: EndpointRecord, config: ConfigRecord) -> dict[str, str]:
        """Address of a ready replica of each served entity of a config, by name."""
        own = [
            replica
            for replica in self._store.replicas_of(endpoint.id)
            if replica.version == config.version and replica.phase is ReplicaPhase.READY
        ]
        if not own:
            raise StartFailed(f"No replica of config version {config.version} is ready any more.")
        return {replica.entity: self._address(replica) for replica in own}

    def _captures(self, name: str, limit: int) -> list[dict[str, Any]]:
        """What the gateway has captured of an endpoint, the newest last; nothing where nothing is captured."""
        connection = Connection(f"unix:{self._gateway}", CAPTURES_SECONDS)
        try:
            connection.request(
                "GET", f"{DATA_PREFIX}/{quote(name, safe='')}/captures?limit={limit}"
            )
            response = connection.getresponse()
            body = response.read()
        except (OSError, http.client.HTTPException) as error:
            raise Unavailable(
                f"The gateway does not tell what it captured: {error}.", hint="Try again."
            ) from error
        finally:
            connection.close()
        return list(json.loads(body)["captures"]) if response.status == 200 else []


def target_of(capture: Mapping[str, Any], targets: Mapping[str, str]) -> str | None:
    """Where a captured request goes: its served entity's namesake, or the only one that there is."""
    if len(targets) == 1:
        return next(iter(targets.values()))
    return targets.get(str(capture.get("served_entity")))


def unusable(capture: Mapping[str, Any]) -> str:
    """Why a captured request cannot be compared; "" where it can."""
    if capture["request"]["cut"] or capture["response"]["cut"]:
        return "too large to be captured whole"
    if capture["status"] in NO_MODEL:
        return "not answered by the model"
    if capture["response"]["content_type"].startswith("text/event-stream"):
        return "streamed"
    return ""


def sent(capture: Mapping[str, Any]) -> Sent:
    """A captured request as the gateway would send it to a replica."""
    request = capture["request"]
    body = request["body"]
    v2 = _V2.search(str(capture["path"]))
    headers = {"x-request-id": f"replay-{capture['id']}"[:128]}
    if request["content_type"]:
        headers["content-type"] = request["content_type"]
    if capture.get("content_encoding"):
        headers["content-encoding"] = capture["content_encoding"]
    if v2:
        headers["x-serving-model"] = unquote(v2["model"])
    return Sent(
        id=str(capture["id"]),
        path="/v2/infer" if v2 else "/invocations",
        headers=headers,
        body=base64.b64decode(body) if request["encoding"] == "base64" else body.encode(),
    )


def send(address: str, request: Sent, deadline: float) -> Said:
    """Ask a replica; no answer is an error with the reason."""
    began = time.perf_counter()
    connection = Connection(address, deadline)
    try:
        headers = {**request.headers, "x-serving-deadline": f"{time.time() + deadline:.3f}"}
        connection.request("POST", request.path, request.body, headers)
        response = connection.getresponse()
        status, body = response.status, response.read()
    except (OSError, http.client.HTTPException) as error:
        status, body = 599, f"no answer: {error or type(error).__name__}".encode()
    finally:
        connection.close()
    return Said(status, parsed(body), time.perf_counter() - began)


def parsed(body: bytes) -> Any:
    """A body as JSON, else as text."""
    try:
        return json.loads(body)
    except ValueError:
        return body.decode("utf-8", "replace")


def compared(capture: Mapping[str, Any], after: Said, tolerance: float) -> Compared:
    """A captured request beside what the new config answers to it."""
    response = capture["response"]
    text = response["body"]
    body = base64.b64decode(text) if response["encoding"] == "base64" else text.encode()
    before = Said(int(capture["status"]), parsed(body), float(capture["seconds"]))
    rows, changed = compare(before, after, tolerance)
    request = sent(capture)
    plain = "content-encoding" not in request.headers
    inputs = inputs_of(parsed(request.body)) if plain and changed else []
    return Compared(str(capture["id"]), rows, changed, before, after, inputs)
