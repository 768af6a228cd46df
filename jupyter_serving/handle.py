"""A handle on one endpoint: what it was when last asked, verbs on it, and how it shows itself in a notebook."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from . import cards, whatif
from .configs import Configs
from .history import History
from .payload import Predictions
from .updates import Updates
from .waterfall import Starts
from .whatif import Values, WhatIf
from .why import Why

if TYPE_CHECKING:
    from .client import Client, Progress


class Endpoint:
    """One endpoint of a server.

    ``detail`` is the endpoint object of the API as a dictionary, as of the last ``refresh()``; ``notes`` are sentences
    that the deployment wants read (assumptions made, the price of scale to zero).
    """

    def __init__(
        self, client: Client, detail: dict[str, Any], notes: list[str] | None = None
    ) -> None:
        self.client = client
        self.detail = detail
        self.notes = notes if notes is not None else list(detail.get("notes") or [])

    @property
    def name(self) -> str:
        """Its name."""
        return str(self.detail["name"])

    @property
    def url(self) -> str:
        """Where programs send predictions (the gateway, with a token); "" while that is not known."""
        return str(self.detail.get("invocations_url", ""))

    @property
    def phase(self) -> str:
        """What it does, in one word (``READY``, ``SCALED_TO_ZERO``, ...)."""
        return str(self.live.get("phase", ""))

    @property
    def message(self) -> str:
        """Why it is not ready, or what it works on; "" when there is nothing to say."""
        return failure(self.detail) or str(self.live.get("message", ""))

    @property
    def live(self) -> dict[str, Any]:
        """Live figures: replicas, requests per second, in flight, queued."""
        return dict(self.detail.get("live") or {})

    @property
    def served_entities(self) -> list[dict[str, Any]]:
        """Served entities of the active config, else of the pending one."""
        return served_entities(self.detail)

    def refresh(self) -> Endpoint:
        """Ask again; returns itself."""
        self.detail = self.client.get(self.name).detail
        return self

    def query(self, data: Any, **options: Any) -> Predictions:
        """Send data, get predictions: see ``Client.query``."""
        return self.client.query(self.name, data, **options)

    def stream(self, data: dict[str, Any], **options: Any) -> Iterator[Any]:
        """Send data, get the pieces of the answer as they come: see ``Client.stream``."""
        return self.client.stream(self.name, data, **options)

    def captures(self, limit: int = 100) -> list[dict[str, Any]]:
        """The last requests and answers that it captured, newest last: see ``Client.captures``."""
        return self.client.captures(self.name, limit)

    def wait(self, timeout: float | None = None, progress: Progress | None = None) -> Endpoint:
        """Wait until a running deployment is done: see ``Client.wait``."""
        self.detail = self.client.wait(self.name, timeout, progress).detail
        return self

    def logs(self, *, build: bool = False, served_entity: str | None = None) -> str:
        """The end of its log, or of the log of how its environment was made."""
        return self.client.logs(self.name, build=build, served_entity=served_entity)

    def events(self, limit: int = 100) -> list[dict[str, Any]]:
        """What happened to it, newest last."""
        return self.client.events(self.name, limit)

    def starts(self, limit: int = 50, reason: str = "") -> Starts:
        """Starts of its replicas with the seconds of each phase; a notebook shows them as waterfalls."""
        return Starts(self.client.starts(self.name, limit, reason))

    def history(
        self,
        minutes: float = 60,
        *,
        start: float | None = None,
        end: float | None = None,
        step: int | None = None,
    ) -> History:
        """What it did over time, by default in the last hour; ``.frame()`` makes a data frame of it.

        Args:
            minutes: how long before ``end`` (or now); ``start`` and ``end``: epoch seconds instead.
            step: seconds of each value: from 1 within the last hour, else multiples of 10.
        """
        if start is None:
            start = (time.time() if end is None else end) - 60 * minutes
        return self.client.history(self.name, start, end, step)

    def why(self, limit: int = 10) -> Why:
        """Why it has so many replicas, and the last changes; a notebook shows it as a card."""
        return Why(self.name, self.client.autoscaling(self.name, limit))

    def simulate(self, *, hours: float = 24.0, **tried: Values) -> WhatIf:
        """What the autoscaler would have done with other settings, over the recorded requests.

        Args:
            hours: of the record, up to now.
            tried: ``idle`` (seconds to zero, inf: never), ``target`` (share of busy slots), ``min``, ``max`` (slots),
                ``scale_down_window`` (seconds): a value, or a list of values; each combination is tried.
        """
        return whatif.recorded(self.client, self.name, hours, whatif.options(**tried))

    def updates(self, limit: int = 20) -> Updates:
        """Certificates of its last updates, newest last: what each did to the requests."""
        return self.client.updates(self.name, limit)

    def token(self, comment: str = "") -> str:
        """A new token for programs: ``Authorization: Bearer <token>``. It is shown only here."""
        return self.client.token(self.name, comment)

    def stop(self) -> Endpoint:
        """Stop serving; ``start()`` brings it back."""
        self.detail = self.client.stop(self.name).detail
        return self

    def start(self) -> Endpoint:
        """Serve again after ``stop()``."""
        self.detail = self.client.start(self.name).detail
        return self

    def cancel(self) -> Endpoint:
        """End the update that is in progress; what serves goes on."""
        self.detail = self.client.cancel(self.name).detail
        return self

    def rollback(self, version: int | None = None) -> Endpoint:
        """Go back to an earlier config version: see ``Client.rollback``; ``wait()`` waits for it."""
        self.detail = self.client.rollback(self.name, version).detail
        return self

    def reload(self) -> Endpoint:
        """Replace every replica by a fresh one of the same config; ``wait()`` waits for it."""
        self.detail = self.client.reload(self.name).detail
        return self

    def configs(self) -> Configs:
        """Its config versions, oldest first; a notebook shows them as a table."""
        return Configs(self.client.configs(self.name))

    def delete(self) -> None:
        """Remove it, with its tokens, events and logs."""
        self.client.delete(self.name)

    def __repr__(self) -> str:
        return cards.endpoint_text(self.detail, self.message, self.notes)

    def _repr_mimebundle_(self, **_: Any) -> dict[str, str]:
        return {
            "text/plain": repr(self),
            "text/html": cards.endpoint_html(self.detail, self.message, self.notes),
        }


def served_entities(detail: dict[str, Any]) -> list[dict[str, Any]]:
    """Served entities of an endpoint object's active config, else of its pending one."""
    config = detail.get("config") or detail.get("pending_config") or {}
    return list(config.get("served_entities") or [])


def failure(detail: dict[str, Any]) -> str:
    """Why the last update failed, from the served entities' state messages; "" if it did not."""
    if detail.get("state", {}).get("config_update") not in ("UPDATE_FAILED", "UPDATE_CANCELED"):
        return ""
    configs = (detail.get("pending_config") or {}, detail.get("config") or {})
    told = [
        (entity.get("state") or {}).get("deployment_state_message", "")
        for config in configs
        for entity in config.get("served_entities") or []
    ]
    return next((text for text in told if text), str((detail.get("live") or {}).get("message", "")))
