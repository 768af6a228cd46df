"""Plain services on the unix sockets of a data directory: they show what arrives, and hold what a test wants held."""

from __future__ import annotations

import asyncio
import hashlib
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tornado import web
from tornado.httpserver import HTTPServer
from tornado.netutil import bind_unix_socket

LONG = 20.0


async def until(condition: Callable[[], bool], what: str, limit: float = LONG) -> None:
    """Wait for a condition of this process; fail by name when it does not come."""
    end = time.monotonic() + limit
    while not condition():
        assert time.monotonic() < end, f"{what} did not happen within {limit} s"
        await asyncio.sleep(0.01)


class Upstream:
    """An HTTP service on a unix socket."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.requests: list[dict[str, Any]] = []
        self.held = 0
        self.gone = 0
        self.release = asyncio.Event()
        self.pieces: asyncio.Queue[bytes | None] = asyncio.Queue()
        self.uploaded = 0
        self.upload_aborted = asyncio.Event()
        app = web.Application(
            [
                (r".*/held/invocations", Held, {"upstream": self}),
                (r".*/streamed/invocations", Streamed, {"upstream": self}),
                (r".*/cut/invocations", CutOff, {"upstream": self}),
                (r".*/jupyter-serving/models/.*", Upload, {"upstream": self}),
                (r".*/api/2.0/serving-endpoints/missing", Missing, {"upstream": self}),
                (r".*", Echo, {"upstream": self}),
            ]
        )
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.server = HTTPServer(app, max_body_size=1 << 40)
        self.server.add_socket(bind_unix_socket(str(path)))

    async def close(self) -> None:
        self.server.stop()
        await self.server.close_all_connections()

    def seen(self, handler: web.RequestHandler) -> dict[str, Any]:
        request = handler.request
        facts = {
            "service": self.path.stem,
            "method": request.method,
            "uri": request.uri,
            "headers": [[k.lower(), v] for k, v in request.headers.get_all()],
            "size": len(request.body or b""),
            "digest": hashlib.sha256(request.body or b"").hexdigest(),
        }
        self.requests.append(facts)
        return facts


class Plain(web.RequestHandler):
    def initialize(self, upstream: Upstream) -> None:
        self.upstream = upstream

    def on_connection_close(self) -> None:
        super().on_connection_close()
        self.upstream.gone += 1


class Echo(Plain):
    def answer(self) -> None:
        self.set_header("Set-Cookie", "stolen=1")
        self.set_header("Content-Security-Policy", "default-src *")
        self.set_header("served-model-name", "m-1")
        self.add_header("x-many", "a")
        self.add_header("x-many", "b")
        self.set_header("Content-Type", "application/vnd.echo+json")
        self.write(json.dumps(self.upstream.seen(self)))

    get = head = post = put = patch = delete = answer


class Missing(Plain):
    def get(self) -> None:
        self.upstream.seen(self)
        self.set_status(404)
        self.set_header("Retry-After", "7")
        self.write({"error_code": "RESOURCE_DOES_NOT_EXIST", "message": "no such endpoint"})


class Held(Plain):
    async def post(self) -> None:
        self.upstream.held += 1
        await self.upstream.release.wait()
        self.write({"predictions": [1]})


class Streamed(Plain):
    async def post(self) -> None:
        self.set_header("Content-Type", "text/event-stream")
        await self.flush()
        while (piece := await self.upstream.pieces.get()) is not None:
            self.write(piece)
            await self.flush()


class CutOff(Plain):
    async def post(self) -> None:
        self.write(b"half of the ans")
        await self.flush()
        self.detach().close()


@web.stream_request_body
class Upload(Plain):
    def prepare(self) -> None:
        self.digest = hashlib.sha256()
        if "refused" in (self.request.path):
            raise web.HTTPError(400)

    def data_received(self, chunk: bytes) -> None:
        self.upstream.uploaded += len(chunk)
        self.digest.update(chunk)

    def put(self) -> None:
        self.write({"digest": self.digest.hexdigest(), "size": self.upstream.uploaded})

    def on_connection_close(self) -> None:
        super().on_connection_close()
        self.upstream.upload_aborted.set()
