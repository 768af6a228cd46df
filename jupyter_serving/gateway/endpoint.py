"""What the controller tells about an endpoint (link protocol ``<Endpoint>``); unknown fields are ignored (pure).

Fields that came later have defaults: a ``gateway.json`` of an older version is read as well.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from ..errors import BadRequest, ServingError, Unavailable

RETRY_UNAVAILABLE_SECONDS = 5.0


class Replica(msgspec.Struct, frozen=True):
    """A replica that may be used.

    Attributes:
        address: ``unix:/path`` or ``tcp:host:port``.
        slots: requests that it runs at a time.
        capacity: most requests that it is sent at a time (more than its slots where it batches); 0 means ``slots``.
    """

    id: str
    address: str
    slots: int
    draining: bool = False
    capacity: int = 0


class Entity(msgspec.Struct, frozen=True):
    """A served entity with its replicas.

    Attributes:
        unavailable: why nothing can serve it.
        version: registered version of its model, None where it has none.
        v2: what the Open Inference Protocol tells of its model (``platform``, ``inputs``, ``outputs``), as the
            controller made it; None where the model has no signature.
    """

    name: str
    key: str
    replicas: tuple[Replica, ...] = ()
    unavailable: str | None = None
    version: str | None = None
    v2: dict[str, Any] | None = None


class Capture(msgspec.Struct, frozen=True):
    """Which requests are kept for inspection: a share of them (0 to 1), so many, and so many bytes at most."""

    sample: float = 1.0
    max_requests: int = 100
    max_bytes: int = 8 * 1024 * 1024


class Share(msgspec.Struct, frozen=True):
    """Whole percent of the requests for one served entity."""

    entity: str
    percent: int


class Endpoint(msgspec.Struct, frozen=True):
    """All that the gateway knows about an endpoint."""

    name: str
    id: str
    config_version: int
    state: Literal["OPEN", "STOPPED", "CREATING", "FAILED"]
    message: str = ""
    routes: tuple[Share, ...] = ()
    queue_limit: int = 1000
    deadline: float = 297.0
    max_body_bytes: int = 16 * 1024 * 1024
    entities: tuple[Entity, ...] = ()
    draining: tuple[str, ...] = ()
    tokens: tuple[str, ...] = ()
    capture: Capture | None = None

    def closed(self) -> ServingError | None:
        """Why no request of this endpoint can be taken or held; None while it can."""
        if self.state == "STOPPED":
            return BadRequest(
                self.message or f"Endpoint {self.name!r} is stopped.",
                hint=""
                if self.message
                else "Start it in JupyterLab or with POST "
                f"/api/2.0/serving-endpoints/{self.name}/config:start.",
            )
        if self.state == "FAILED":
            return BadRequest(
                self.message or f"Endpoint {self.name!r} failed to deploy.",
                hint="" if self.message else "Its events and build logs say why.",
            )
        if not self.entities:
            return Unavailable(
                self.message or f"Endpoint {self.name!r} is being created and cannot answer yet.",
                hint="" if self.message else "Try again when it is ready.",
                retry_after=RETRY_UNAVAILABLE_SECONDS,
            )
        return None
