"""The REST client: the one way in for notebooks, the command line and programs on Python.

It speaks the Databricks Serving Endpoints API 2.0 with our additive routes, over the controller's unix socket or
through Jupyter, with nothing but the standard library.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

from . import connect, payload, stream
from .api import API_PREFIX, DATA_PREFIX, OWN_PREFIX, check_name
from .errors import AlreadyExists, DeadlineExceeded, NotFound, ServingError, StartFailed
from .handle import Endpoint, failure
from .observing import Observing
from .payload import Predictions
from .transport import JSON_TYPE, Transport, open_unix

QUERY_SECONDS = 310.0  # the endpoint's own deadline is 297 s: let the server tell
RESOLVE_SECONDS = 120.0  # create and update look the model up in its registry
UPLOAD_SECONDS = 600.0

# Told while waiting: the phase, what is done just now, seconds since the start.
Progress = Callable[[str, str, float], None]
Endpoints = list[Endpoint]


class Client(Observing):
    """Endpoints of one server.

    Args:
        url: of Jupyter, or of the extension below it; default: found as ``connect.find`` describes.
        token: Jupyter's token for ``url``.
        server: a server found before.
        clock: seconds, monotonic. sleep: waits for seconds.
    """

    def __init__(
        self,
        url: str | None = None,
        token: str | None = None,
        *,
        server: connect.Server | None = None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.server = server or connect.find(url, token)
        self._control = self.server.control()
        self._clock, self._sleep = clock, sleep
        self._data: Transport | None = None

    def __repr__(self) -> str:
        return f"<Client of {self.server.url or self.server.how}>"

    # -- endpoints -----------------------------------------------------------------------------------

    def create(self, name: str, config: dict[str, Any], **fields: Any) -> Endpoint:
        """Create an endpoint; answers at once, ``wait`` waits.

        Args:
            name: 1 to 63 letters, digits, ``-`` and ``_``.
            config: ``served_entities`` and ``traffic_config`` as in the API.
            fields: ``tags``, ``description``, ...
        """
        body = {"name": check_name(name), "config": config, **fields}
        return self._endpoint(self._ask("POST", API_PREFIX, body, RESOLVE_SECONDS))

    def update(self, name: str, config: dict[str, Any]) -> Endpoint:
        """Make a new config version of an endpoint; the old one serves until the new one is ready."""
        path = f"{self._path(name)}/config"
        return self._endpoint(self._ask("PUT", path, config, RESOLVE_SECONDS))

    def deploy(
        self,
        name: str,
        entity: dict[str, Any],
        *,
        capture: dict[str, Any] | None = None,
        update: dict[str, Any] | None = None,
        reload_every_seconds: float | None = None,
        **fields: Any,
    ) -> Endpoint:
        """Create the endpoint, or give it a new config with this one served entity.

        Args:
            name: the endpoint.
            entity: fields of a served entity as in the API.
            capture: ``sample``, ``max_requests``, ``max_bytes`` of the ring of recent requests; None keeps none.
            update: ``when_no_room`` (``refuse``, ``hold``), ``deadline_seconds``: how the new config comes to serve.
            reload_every_seconds: replicas are replaced by fresh ones when they are so old; None: never.
            fields: ``tags``, ``description``, ... where it is created.
        """
        config: dict[str, Any] = {"served_entities": [{"kernel_python": sys.executable, **entity}]}
        more = {"capture": capture, "update": update, "reload_every_seconds": reload_every_seconds}
        config |= {key: value for key, value in more.items() if value is not None}
        try:
            return self.update(name, config)
        except NotFound as missing:
            try:
                self.get(name)
            except NotFound:
                return self._create_or_update(name, config, fields)
            raise missing  # the endpoint is there: it is the model that is not

    def _create_or_update(
        self, name: str, config: dict[str, Any], fields: dict[str, Any]
    ) -> Endpoint:
        try:
            return self.create(name, config, **fields)
        except AlreadyExists:
            return self.update(name, config)  # somebody made it at the same moment

    def get(self, name: str) -> Endpoint:
        """One endpoint.

        Raises:
            NotFound: there is none of that name; the message lists those that exist.
        """
        return self._endpoint(self._ask("GET", self._path(name)))

    def list(self) -> Endpoints:
        """All endpoints (without the details of their configs), by name."""
        found = self._ask("GET", API_PREFIX).get("endpoints", [])
        return sorted((self._endpoint(item) for item in found), key=lambda e: e.name)

    def stop(self, name: str) -> Endpoint:
        """Stop serving; requests in flight finish."""
        return self._endpoint(self._ask("POST", f"{self._path(name)}/config:stop", {}))

    def start(self, name: str) -> Endpoint:
        """Serve again after ``stop``."""
        return self._endpoint(self._ask("POST", f"{self._path(name)}/config:start", {}))

    def cancel(self, name: str) -> Endpoint:
        """End the update that is in progress; the config that serves goes on.

        Raises:
            BadRequest: there is none.
        """
        return self._endpoint(self._ask("POST", f"{self._path(name)}/config:cancel", {}))

    def rollback(self, name: str, version: int | None = None) -> Endpoint:
        """Make a new config version with the content of an earlier one (``configs`` lists them).

        Args:
            name: the endpoint.
            version: default: the last one before the active one that worked.

        Raises:
            NotFound: no such version is kept. BadRequest: it serves already. Conflict: an update is in progress.
        """
        body = {} if version is None else {"config_version": version}
        return self._endpoint(self._ask("POST", f"{self._path(name)}/config:rollback", body))

    def reload(self, name: str) -> Endpoint:
        """Replace every replica by a fresh one of the same config, one at a time; the old one serves until then."""
        return self._endpoint(self._ask("POST", f"{self._path(name)}/config:reload", {}))

    def delete(self, name: str) -> None:
        """Remove an endpoint with its tokens, events and logs."""
        self._ask("DELETE", self._path(name))

    def wait(
        self, name: str, timeout: float | None = None, progress: Progress | None = None
    ) -> Endpoint:
        """Wait until no update or reload of the endpoint is in progress. Interrupting it leaves the deployment alone.

        Raises:
            StartFailed: the update failed, or was canceled; the message tells why.
            DeadlineExceeded: it still is in progress after ``timeout`` seconds.
        """
        begun, pause = self._clock(), 0.05
        while True:
            endpoint, elapsed = self.get(name), self._clock() - begun
            if progress:
                progress(endpoint.phase, endpoint.message, elapsed)
            update = endpoint.detail["state"]["config_update"]
            reloads = (endpoint.live.get("replicas") or {}).get("stale", 0)
            if update == "NOT_UPDATING" and not reloads:
                return endpoint
            if update in ("UPDATE_FAILED", "UPDATE_CANCELED") and not reloads:
                raise _failed(endpoint)
            if timeout is not None and elapsed >= timeout:
                raise DeadlineExceeded(
                    f"The endpoint {name!r} is not ready after {timeout:g} s"
                    + (f" ({endpoint.message})." if endpoint.message else "."),
                    hint="The deployment goes on: wait again, or look at its logs.",
                )
            self._sleep(pause)
            pause = min(pause * 1.3, 0.5)

    # -- services -------------------------------------------------------------------------------------

    def token(self, name: str, comment: str = "") -> str:
        """Make a query token; its clear text is shown only here."""
        path = f"{self._path(name)}/tokens"
        return str(self._ask("POST", path, {"comment": comment})["token"])

    def status(self) -> dict[str, Any]:
        """Controller and gateway: versions, pids, places, problems."""
        return dict(self._ask("GET", f"{OWN_PREFIX}/status"))

    def prepare(self) -> None:
        """Say that a deploy is coming, so that the controller gets ready while the model is logged."""
        self._ask("POST", f"{OWN_PREFIX}/prepare", {})

    def shutdown(self, *, keep_replicas: bool = False) -> None:
        """Stop gateway and controller, and the replicas unless they are kept."""
        self._ask(
            "POST", f"{OWN_PREFIX}/shutdown", {"replicas": "keep" if keep_replicas else "stop"}
        )

    def upload(self, digest: str, tar: Iterable[bytes]) -> None:
        """Upload a model directory as an uncompressed tar stream, unless it is there already."""
        path = f"{OWN_PREFIX}/models/{digest}"
        try:
            self._ask("GET", path)
        except NotFound:
            self._control.request(
                "PUT", path, tar, content_type="application/x-tar", timeout=UPLOAD_SECONDS
            )

    # -- predictions ---------------------------------------------------------------------------------

    def query(
        self,
        name: str,
        data: Any,
        *,
        params: dict[str, Any] | None = None,
        served_entity: str | None = None,
        content_type: str = JSON_TYPE,
        timeout: float = QUERY_SECONDS,
    ) -> Predictions:
        """Send ``data`` to an endpoint.

        Args:
            name: the endpoint.
            data: data frame, array, list, dictionary; bytes are sent as they are, as ``content_type``.
            params: inference parameters of the model's signature.
            served_entity: ask this one, whatever the traffic split says.
            content_type: of ``data`` where it is bytes (``text/csv`` or JSON).
            timeout: seconds.

        Raises:
            InvalidParameter, BadRequest: what the model or the endpoint refuses. Overloaded: the queue is full.
            DeadlineExceeded: queue, cold start and compute took longer than the endpoint allows.
        """
        body = data if isinstance(data, bytes) else payload.encode(data, params)
        path = _data_path(name, served_entity)
        begun = time.perf_counter()
        try:
            answer = self._gateway().request(
                "POST", path, body, content_type=content_type, timeout=timeout
            )
        except ServingError as error:
            error.message = payload.reason(error.message)
            raise
        timing = payload.server_timing(answer.headers.get("server-timing", ""))
        timing["total"] = round((time.perf_counter() - begun) * 1000, 3)
        content = answer.json()
        return Predictions(
            endpoint=name,
            predictions=content.get("predictions", content)
            if isinstance(content, dict)
            else content,
            timing=timing,
            request_id=answer.headers.get("x-request-id", ""),
            served_entity=answer.headers.get("served-model-name", ""),
            index=getattr(data, "index", None) if hasattr(data, "columns") else None,
        )

    def stream(
        self,
        name: str,
        data: dict[str, Any],
        *,
        served_entity: str | None = None,
        timeout: float = QUERY_SECONDS,
    ) -> Iterator[Any]:
        """Ask a model that has ``predict_stream`` and yield each piece of its answer as it comes.

        Args:
            name: the endpoint.
            data: the request as the model takes it (``{"messages": [...]}``, say); ``"stream": true`` is added.
            served_entity: ask this one, whatever the traffic split says.
            timeout: longest silence, in seconds.

        Raises:
            As ``query``, also in mid-stream.
        """
        path = _data_path(name, served_entity)
        body = payload.plain_json({**data, "stream": True})
        return stream.items(self._gateway().stream(path, body, timeout=timeout))

    def _gateway(self) -> Transport:
        """The gateway's own socket if it is on this machine, else the way through Jupyter."""
        if self._data is None:
            path = self._gateway_socket()
            self._data = (
                Transport(open_unix(path), f"the gateway ({path})")
                if path
                else self.server.control()
            )
        return self._data

    def _gateway_socket(self) -> str:
        if self.server.places is not None:
            return str(self.server.places.gateway_socket)
        try:
            status = self.status()
        except ServingError:
            return ""  # the query itself will tell what is wrong
        path = Path(str(status.get("runtime_dir", ""))) / "gateway.sock"
        # A Jupyter elsewhere may tell a path that exists here too: the listener's pid proves that it is the same one.
        same = connect.peer_pid(path) == (status.get("gateway") or {}).get("pid")
        return str(path) if same and path.exists() else ""

    # -- inside --------------------------------------------------------------------------------------

    def _path(self, name: str) -> str:
        return f"{API_PREFIX}/{quote(name, safe='')}"

    def _ask(self, method: str, path: str, body: Any = None, timeout: float = 30.0) -> Any:
        content = None if body is None else payload.plain_json(body)
        return self._control.request(method, path, content, timeout=timeout).json()

    def _endpoint(self, detail: dict[str, Any]) -> Endpoint:
        return Endpoint(self, detail)

    def close(self) -> None:
        """Close the connections."""
        self._control.close()
        if self._data is not None:
            self._data.close()


def _data_path(name: str, served_entity: str | None) -> str:
    part = f"/served-models/{quote(served_entity, safe='')}" if served_entity else ""
    return f"{DATA_PREFIX}/{quote(name, safe='')}{part}/invocations"


def _failed(endpoint: Endpoint) -> StartFailed:
    why = failure(endpoint.detail) or "no reason was told"
    serves = endpoint.detail["state"]["ready"] == "READY"
    if endpoint.detail["state"]["config_update"] == "UPDATE_CANCELED":
        return StartFailed(f"The deployment of {endpoint.name!r} was canceled: {why}")
    return StartFailed(
        f"The deployment of {endpoint.name!r} failed: {why}",
        hint=(
            f"The config that was active before serves on. Logs: jupyter serving logs {endpoint.name}"
            if serves
            else f"Logs: jupyter serving logs {endpoint.name} (--build for the environment)."
        ),
    )
