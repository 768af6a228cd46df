"""The way to the controller and the gateway: HTTP over their unix sockets, streamed both ways.

There is no limit of connections and no time-out here: the gateway has the one deadline of a request.
"""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from ..errors import BadRequest, ControllerDown
from ..places import Places
from .headers import Headers
from .starting import Service, Starter

# Methods that may be sent twice without harm when the connection broke before the answer (RFC 9110, 9.2.1).
REPEATABLE = frozenset({"GET", "HEAD", "OPTIONS"})
IDLE_CONNECTIONS = 32


@dataclass(frozen=True, slots=True)
class Outgoing:
    """One request for a service: ``target`` is path and query as they go on the wire."""

    method: str
    target: bytes
    headers: Headers
    body: bytes | AsyncIterable[bytes]


class Forwarder:
    """Sends requests to the services of one data directory and starts the controller when it is down."""

    def __init__(self, places: Callable[[], Places], starter: Starter) -> None:
        self._places = places
        self._starter = starter
        self._transports: dict[Path, httpx.AsyncHTTPTransport] = {}

    @asynccontextmanager
    async def exchange(self, service: Service, outgoing: Outgoing) -> AsyncIterator[httpx.Response]:
        """Send a request and give its answer, whose body is still to come.

        Leaving the block, also by cancellation, closes an exchange that is not over.

        Raises:
            ControllerDown: the service cannot be reached, or went away before it answered.
            BadRequest: the request cannot be written as HTTP.
        """
        response = await self._send(service, outgoing)
        try:
            yield response
        finally:
            await response.aclose()

    async def close(self) -> None:
        """Close all connections; the services and their endpoints go on."""
        await self._starter.close()
        transports, self._transports = self._transports, {}
        for transport in transports.values():
            await transport.aclose()

    async def _send(self, service: Service, outgoing: Outgoing) -> httpx.Response:
        try:
            return await self._once(service, outgoing)
        except httpx.ConnectError:
            # Nothing has been sent, not even of a body that is piped: any method can begin anew.
            await self._starter.bring_up(service)
        except httpx.LocalProtocolError as error:
            raise BadRequest(
                f"The request cannot be forwarded: {error}.", hint="Correct its headers."
            ) from error
        except httpx.TransportError as error:
            if outgoing.method not in REPEATABLE:
                raise lost(service, error) from error
            await self._starter.bring_up(service)
        try:
            return await self._once(service, outgoing)
        except httpx.TransportError as error:
            raise lost(service, error) from error

    async def _once(self, service: Service, outgoing: Outgoing) -> httpx.Response:
        request = httpx.Request(
            outgoing.method,
            "http://localhost/",
            headers=outgoing.headers,
            content=outgoing.body,
            # httpx would normalise the path; no "timeout" here means none.
            extensions={"target": outgoing.target},
        )
        transport = self._transport(service.socket(self._places()))
        return await transport.handle_async_request(request)

    def _transport(self, socket: Path) -> httpx.AsyncHTTPTransport:
        # The bare transport: httpx.AsyncClient adds headers, cookies, redirects and time-outs of its own.
        if socket not in self._transports:
            self._transports[socket] = httpx.AsyncHTTPTransport(
                uds=str(socket),
                verify=False,
                trust_env=False,
                limits=httpx.Limits(
                    max_connections=None, max_keepalive_connections=IDLE_CONNECTIONS
                ),
            )
        return self._transports[socket]


def lost(service: Service, error: Exception) -> ControllerDown:
    """The refusal when a service went away while it had the request."""
    return ControllerDown(
        f"The {service} of jupyter-serving went away before it answered ({type(error).__name__}: {error}).",
        hint="It restarts by itself: try again. `jupyter serving doctor` tells more.",
    )
