"""The way to the services: stale sockets, restarts between requests, broken exchanges."""

from __future__ import annotations

import asyncio
import socket

import pytest

from jupyter_serving.errors import BadRequest, ControllerDown
from jupyter_serving.server.forward import Forwarder, Outgoing
from jupyter_serving.server.starting import Service, Starter

from .upstreams import Upstream


class ControllerThatIsDown:
    """Cannot be started: `connect.local` gives up."""

    def __init__(self):
        self.starts = 0

    def __call__(self, data_dir, *, patience, sleep):
        self.starts += 1
        raise ControllerDown("ImportError: no module named x.", hint="`jupyter serving doctor`")


class ServiceThatHangsUp:
    """Accepts, reads the request, and closes without an answer, `times` times; then it answers."""

    def __init__(self, path, times):
        self.path = path
        self.left = times
        self.requests = 0

    async def start(self):
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.server = await asyncio.start_unix_server(self.serve, self.path)
        return self

    async def serve(self, reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        self.requests += 1
        if self.left:
            self.left -= 1
        else:
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
        writer.close()

    async def close(self):
        self.server.close()
        await self.server.wait_closed()


def outgoing(method="GET", headers=()):
    return Outgoing(method, b"/x", [("host", "localhost"), *headers], b"")


async def body_of(forwarder, service, request):
    async with forwarder.exchange(service, request) as response:
        return response.status_code, await response.aread()


def forwarder_for(places, local):
    return Forwarder(lambda: places, Starter(lambda: places, local=local, patience=0.2))


async def test_a_controller_that_cannot_start_is_told(places):
    down = ControllerThatIsDown()
    forwarder = forwarder_for(places, down)
    with pytest.raises(ControllerDown, match="ImportError"):
        await body_of(forwarder, Service.CONTROLLER, outgoing("POST"))
    assert down.starts == 1
    await forwarder.close()


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_a_stale_socket_is_no_obstacle(places, method):
    path = places.controller_socket
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    stale = socket.socket(socket.AF_UNIX)
    stale.bind(str(path))
    stale.close()
    assert path.exists()
    started = []
    loop = asyncio.get_running_loop()

    async def start():
        path.unlink()
        started.append(Upstream(path))

    def local(data_dir, *, patience, sleep):
        asyncio.run_coroutine_threadsafe(start(), loop).result(20)

    forwarder = forwarder_for(places, local)
    status, _ = await body_of(forwarder, Service.CONTROLLER, outgoing(method))
    assert status == 200
    assert [r["method"] for r in started[0].requests] == [method]
    await forwarder.close()
    await started[0].close()


async def test_reading_is_repeated_once_after_a_hang_up(places):
    service = await ServiceThatHangsUp(places.controller_socket, times=1).start()
    forwarder = forwarder_for(places, lambda *_, **__: None)
    assert await body_of(forwarder, Service.CONTROLLER, outgoing("GET")) == (200, b"{}")
    assert service.requests == 2
    await forwarder.close()
    await service.close()


async def test_reading_is_repeated_only_once(places):
    service = await ServiceThatHangsUp(places.controller_socket, times=9).start()
    forwarder = forwarder_for(places, lambda *_, **__: None)
    with pytest.raises(ControllerDown, match="went away"):
        await body_of(forwarder, Service.CONTROLLER, outgoing("GET"))
    assert service.requests == 2
    await forwarder.close()
    await service.close()


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
async def test_writing_is_never_repeated(places, method):
    service = await ServiceThatHangsUp(places.controller_socket, times=1).start()
    forwarder = forwarder_for(places, lambda *_, **__: None)
    with pytest.raises(ControllerDown, match="went away"):
        await body_of(forwarder, Service.CONTROLLER, outgoing(method))
    assert service.requests == 1
    await forwarder.close()
    await service.close()


async def test_a_service_that_restarted_between_two_requests(places):
    forwarder = forwarder_for(places, ControllerThatIsDown())
    for _ in range(2):
        service = Upstream(places.gateway_socket)
        status, _ = await body_of(forwarder, Service.GATEWAY, outgoing("POST"))
        assert status == 200
        await service.close()
        places.gateway_socket.unlink()
    await forwarder.close()


async def test_headers_that_are_no_http_are_refused(places, controller):
    forwarder = forwarder_for(places, ControllerThatIsDown())
    with pytest.raises(BadRequest, match="cannot be forwarded"):
        await body_of(forwarder, Service.CONTROLLER, outgoing(headers=[("x-bad", "a\r\nb: c")]))
    assert not controller.requests
    await forwarder.close()


async def test_no_proxy_of_the_environment_is_asked(places, controller, monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:9")
    forwarder = forwarder_for(places, ControllerThatIsDown())
    assert (await body_of(forwarder, Service.CONTROLLER, outgoing()))[0] == 200
    await forwarder.close()
