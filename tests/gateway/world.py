"""A real gateway process, and the test's own controller and client around it."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import json
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

import jupyter_serving
from jupyter_serving.gateway.tokens import digest_of
from jupyter_serving.places import Places

PATIENCE = 20.0
TOKEN = "jst_test-token"
EXAMPLE = {"inputs": [1]}
KEY = "e1:1:m"


def scenario(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    """Run an async test to its end; none may take longer than a minute."""

    @functools.wraps(test)
    def run(*args: Any, **kwargs: Any) -> None:
        async def bounded() -> None:
            async with asyncio.timeout(60):
                await test(*args, **kwargs)

        asyncio.run(bounded())

    return run


async def until(true: Callable[[], Any], what: str = "a condition") -> Any:
    """Poll until ``true()`` holds."""
    limit = asyncio.get_running_loop().time() + PATIENCE
    while not (value := true()):
        assert asyncio.get_running_loop().time() < limit, f"waited {PATIENCE} s for {what}"
        await asyncio.sleep(0.01)
    return value


def entity(name: str, *replicas: dict[str, Any], version: int = 1, **more: Any) -> dict[str, Any]:
    return {"name": name, "key": f"e1:{version}:{name}", "replicas": list(replicas), **more}


def endpoint(
    *entities: dict[str, Any], name: str = "iris", version: int = 1, **more: Any
) -> dict[str, Any]:
    shares = [{"entity": e["name"], "percent": 100 // len(entities)} for e in entities]
    return {
        "name": name,
        "id": "e1",
        "config_version": version,
        "state": "OPEN",
        "message": "",
        "routes": shares,
        "queue_limit": 1000,
        "deadline": 30.0,
        "max_body_bytes": 16 * 1024 * 1024,
        "entities": list(entities),
        "tokens": [digest_of(TOKEN.encode())],
        **more,
    }


class Controller:
    """The test's end of the link."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.messages: list[dict[str, Any]] = []
        self._writer = writer
        self._revision = 100
        self._reading = asyncio.create_task(self._read(reader))

    async def _read(self, reader: asyncio.StreamReader) -> None:
        while line := await reader.readline():
            self.messages.append(json.loads(line))

    async def sync(self, *endpoints: dict[str, Any]) -> None:
        await self._confirmed({"type": "sync", "endpoints": list(endpoints)})

    async def put(self, changed: dict[str, Any]) -> None:
        await self._confirmed({"type": "endpoint", "endpoint": changed})

    async def forget(self, name: str) -> None:
        await self._confirmed({"type": "forget", "name": name})

    async def _confirmed(self, message: dict[str, Any]) -> None:
        self._revision += 1
        revision = self._revision
        self.send({**message, "revision": revision})
        await self.heard("applied", lambda m: m["revision"] == revision)

    def send(self, message: dict[str, Any]) -> None:
        self._writer.write(json.dumps(message).encode() + b"\n")

    def write(self, data: bytes) -> None:
        self._writer.write(data)

    def all(self, kind: str) -> list[dict[str, Any]]:
        return [m for m in self.messages if m["type"] == kind]

    async def heard(
        self, kind: str, matches: Callable[[dict[str, Any]], bool] = lambda _: True
    ) -> dict[str, Any]:
        """Wait for a message of this type, whenever it came."""
        found = await until(
            lambda: [m for m in self.all(kind) if matches(m)], f"{kind} from the gateway"
        )
        return dict(found[0])

    def total(self, key: str, field_name: str) -> int:
        """Sum of the deltas of one count over all stats messages."""
        entities = [m["entities"][key] for m in self.all("stats") if key in m["entities"]]
        values = [e[field_name] for e in entities]
        return sum(sum(v.values()) if isinstance(v, dict) else v for v in values)

    async def ended(self) -> None:
        """Wait until the gateway closed the link."""
        async with asyncio.timeout(PATIENCE):
            await self._reading

    async def close(self) -> None:
        self._writer.close()
        self._reading.cancel()
        await asyncio.wait([self._reading])


@dataclass
class World:
    """One data directory with at most one gateway process."""

    places: Places
    environ: dict[str, str]
    process: asyncio.subprocess.Process | None = None
    controllers: list[Controller] = field(default_factory=list)
    clients: list[httpx.AsyncClient] = field(default_factory=list)

    async def start(self, **settings: Any) -> None:
        """Start the gateway and wait until it answers on its unix socket."""
        await self.launch(**settings)
        async with self._unix_client() as client:
            limit = asyncio.get_running_loop().time() + PATIENCE
            while True:
                with contextlib.suppress(httpx.TransportError):
                    await client.get("/health")
                    return
                assert self.process and self.process.returncode is None, "the gateway ended"
                assert asyncio.get_running_loop().time() < limit, "the gateway does not answer"
                await asyncio.sleep(0.02)

    async def launch(self, **settings: Any) -> asyncio.subprocess.Process:
        """Start the process without waiting for anything."""
        more = {f"JUPYTER_SERVING_{k.upper()}": str(v) for k, v in settings.items()}
        argv = [sys.executable, "-m", "jupyter_serving.gateway", "--leave-controller"]
        log = os.open(self.log, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        try:
            self.process = await asyncio.create_subprocess_exec(
                *argv, env=self.environ | more, stdout=log, stderr=log
            )
        finally:
            os.close(log)
        return self.process

    @property
    def log(self) -> Path:
        return self.places.data / "gateway.log"

    def kill(self, number: int = signal.SIGKILL) -> None:
        assert self.process is not None
        self.process.send_signal(number)

    async def ended(self) -> int:
        assert self.process is not None
        async with asyncio.timeout(PATIENCE):
            return await self.process.wait()

    def saved(self) -> dict[str, Any]:
        try:
            return dict(json.loads(self.places.gateway_state.read_bytes()))
        except FileNotFoundError:
            return {}

    async def port(self) -> int:
        await until(lambda: self.saved().get("port"), "the port in gateway.json")
        return int(self.saved()["port"])

    async def controller(self) -> Controller:
        """Connect to the link as a controller would."""
        reader, writer = await asyncio.open_unix_connection(str(self.places.link_socket))
        controller = Controller(reader, writer)
        self.controllers.append(controller)
        await controller.heard("hello")
        return controller

    def _unix_client(self) -> httpx.AsyncClient:
        transport = httpx.AsyncHTTPTransport(uds=str(self.places.gateway_socket))
        return httpx.AsyncClient(
            transport=transport, base_url="http://gateway", timeout=PATIENCE * 2
        )

    def unix(self) -> httpx.AsyncClient:
        """A client on the unix socket; no token needed."""
        client = self._unix_client()
        self.clients.append(client)
        return client

    async def tcp(self, token: str | None = TOKEN) -> httpx.AsyncClient:
        """A client on the TCP port."""
        headers = {"authorization": f"Bearer {token}"} if token else {}
        url = f"http://127.0.0.1:{await self.port()}"
        limits = httpx.Limits(max_connections=None)
        client = httpx.AsyncClient(
            base_url=url, headers=headers, timeout=PATIENCE * 2, limits=limits
        )
        self.clients.append(client)
        return client

    async def close(self) -> None:
        for client in self.clients:
            await client.aclose()
        for controller in self.controllers:
            await controller.close()
        if self.process is not None and self.process.returncode is None:
            self.process.kill()
            await self.process.wait()
        text = self.log.read_text() if self.log.exists() else ""
        assert "Traceback" not in text, text[-4000:]


def _fresh_world(data: Path) -> World:
    runtime = Path(tempfile.mkdtemp(prefix="js"))
    environ = os.environ | {
        "JUPYTER_SERVING_DATA_DIR": str(data),
        "JUPYTER_SERVING_RUNTIME_DIR": str(runtime),
        "JUPYTER_CONFIG_DIR": str(data / "config"),
        "PYTHONPATH": str(Path(jupyter_serving.__file__).parent.parent),
    }
    data.mkdir(parents=True, exist_ok=True)
    places = Places(data, runtime / "s")
    (data / "runtime-directory").write_text(str(places.runtime))
    places.runtime.mkdir(mode=0o700)
    return World(places, dict(environ))


@contextlib.asynccontextmanager
async def world_in(data: Path) -> AsyncIterator[World]:
    """A world under ``data``, with a runtime directory short enough for sockets; nothing is left of it."""
    world = _fresh_world(data)
    try:
        yield world
    finally:
        await world.close()
        shutil.rmtree(world.places.runtime.parent, ignore_errors=True)


async def post(client: httpx.AsyncClient, name: str = "iris", **more: Any) -> httpx.Response:
    return await client.post(f"/serving-endpoints/{name}/invocations", **({"json": EXAMPLE} | more))


async def gather(*work: Awaitable[httpx.Response]) -> list[httpx.Response]:
    return list(await asyncio.gather(*work))


async def begin(world: World, name: str = "iris", **more: Any) -> asyncio.Task[httpx.Response]:
    """Send a request whose answer is awaited later."""
    return asyncio.create_task(post(world.unix(), name, **more))
