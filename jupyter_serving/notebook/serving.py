"""``import jupyter_serving as js``: deploy, look at, query and delete endpoints from code."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from .. import connect
from ..api import Registry, check_name
from ..client import Client
from ..delivery import Options, deliver
from ..errors import ControllerDown, InvalidParameter
from ..handle import Endpoint
from . import completion
from .display import Endpoints, LiveLine

Result = TypeVar("Result")


class _Default:
    """The client that the module's functions share; found at first use, and anew when its server is gone."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._client: Client | None = None

    def get(self, line: LiveLine | None = None) -> Client:
        """The client; what takes longer than a moment is told in ``line``, by default in one of its own."""
        with self._lock:
            if self._client is None:
                told = line or LiveLine()
                try:
                    server = connect.find(progress=told.say)
                finally:
                    if line is None:
                        told.done()
                self._client = Client(server=server)
            return self._client

    def ask(self, request: Callable[[Client], Result], line: LiveLine | None = None) -> Result:
        """Answer of ``request``; sent again to a server found anew where nobody listens at the known one."""
        try:
            return request(self.get(line))
        except ControllerDown:
            # Nothing was sent: Jupyter, or the controller, has gone away since.
            with self._lock:
                self._client = None
            return request(self.get(line))

    def known(self) -> Client | None:
        """The client if there is one already."""
        return self._client


default = _Default()


def log(model: Any, *, name: str, X: Any = None, **options: Any) -> Any:
    """Log and register a model with signature and input example: see ``registry.log.log``."""
    from ..registry.log import log as log_model

    return log_model(model, name=name, X=X, **options)


def deploy(
    model: Any,
    name: str | None = None,
    *,
    X: Any = None,
    wait: bool = True,
    timeout: float | None = None,
    size: str | None = None,
    min_concurrency: int | None = None,
    max_concurrency: int | None = None,
    workload_type: str | None = None,
    scale_to_zero: bool = True,
    idle_seconds: float | None = None,
    environment_vars: Mapping[str, str] | None = None,
    batching: str | None = None,
    max_batch_size: int | None = None,
    capture: float | None = None,
    when_no_room: str | None = None,
    deadline: float | None = None,
    reload_every: float | None = None,
    autoscaling: Mapping[str, float] | None = None,
    tracking_uri: str | None = None,
    registry_uri: str | None = None,
) -> Endpoint:
    """Create an endpoint, or give it a new model; it keeps running when the kernel stops.

    Args:
        model: a fitted model (logged and registered as ``name`` first), what ``log`` returned, or a model URI.
        name: the endpoint; default: the registered model's name.
        X: input as the endpoint will get it, for the signature of a model that is logged.
        wait: return when it is ready or has failed; interrupting stops the waiting, not the deployment.
        timeout: longest wait in seconds.
        size: ``Small``, ``Medium`` or ``Large``; excludes the next two.
        min_concurrency, max_concurrency: slots that are always up, and that are never exceeded.
        workload_type: ``CPU``, ``GPU_SMALL``, ...
        scale_to_zero: stop all replicas when idle.
        idle_seconds: idle time before that.
        environment_vars: variables of the model's process.
        batching: ``auto`` (the default: only models known to answer row by row), ``on`` (this one does) or ``off``.
        max_batch_size: most requests that are predicted together.
        capture: share of the requests that the gateway keeps for a look, 0 to 1; default: none.
        when_no_room: where old and new do not fit side by side: ``refuse`` the update (the default), or ``hold``
            requests while the old one makes room.
        deadline: longest time in seconds until it is ready; then the deployment fails.
        reload_every: replicas that are so many seconds old are replaced by fresh ones; default: never.
        autoscaling: rules that differ from the settings, such as ``{"target_utilisation": 0.5}``.
        tracking_uri, registry_uri: MLflow store and registry of the model; default: the configured ones.

    Raises:
        StartFailed: the deployment failed. InvalidParameter, NotFound: the model. RegistryUnreachable: its registry.
    """
    options = Options(
        size=size,
        min_concurrency=min_concurrency,
        max_concurrency=max_concurrency,
        workload_type=workload_type,
        scale_to_zero=scale_to_zero,
        idle_seconds=idle_seconds,
        environment_vars=environment_vars or {},
        batching=batching,
        max_batch_size=max_batch_size,
        capture=capture,
        when_no_room=when_no_room,
        deadline_seconds=deadline,
        reload_every_seconds=reload_every,
        autoscaling=autoscaling or {},
    )
    stores = None
    if tracking_uri or registry_uri:
        stores = Registry(
            tracking_uri=tracking_uri or registry_uri or "", registry_uri=registry_uri or ""
        )
    return put(model, name, options, X=X, registry=stores, wait=wait, timeout=timeout)


def put(
    model: Any,
    name: str | None,
    options: Options,
    *,
    X: Any = None,
    registry: Registry | None = None,
    wait: bool = True,
    timeout: float | None = None,
) -> Endpoint:
    """``deploy`` with its options in one value."""
    if name is not None:
        check_name(name)
    line = LiveLine()
    try:
        uri, stores, notes = _as_uri(model, name, X, registry, line)
        target = check_name(name or _name_of(uri))
        endpoint = default.ask(
            lambda client: deliver(
                client, target, uri, options, registry=stores, progress=line.say
            ),
            line,
        )
        completion.remember(target)
        if wait:
            endpoint = _wait(endpoint, timeout, line)
    finally:
        line.done()
    endpoint.notes = [*notes, *endpoint.notes]
    return endpoint


def _as_uri(
    model: Any, name: str | None, X: Any, registry: Registry | None, line: LiveLine
) -> tuple[str, Registry | None, list[str]]:
    """URI, stores and notes of a model; an object is logged and registered first."""
    if isinstance(model, str):
        return model, registry, []
    if not hasattr(model, "uri"):
        if name is None:
            raise InvalidParameter("The endpoint has no name.", hint="Pass name='...'.")
        # The controller gets ready for the deploy while the model is logged.
        default.ask(lambda client: client.prepare())
        line.say(f"logging the model as {name}")
        model = log(model, name=name, X=X, registry=registry)
    return model.uri, model.registry, list(model.notes)


def _name_of(uri: str) -> str:
    from ..registry.reference import parse

    name = parse(uri).name
    if not name:
        raise InvalidParameter(
            f"{uri} does not tell a name for the endpoint.", hint="Pass name='...'."
        )
    return name


def _wait(endpoint: Endpoint, timeout: float | None, line: LiveLine) -> Endpoint:
    try:
        return endpoint.wait(timeout, line.phase)
    except KeyboardInterrupt:
        line.done(
            f"Stopped waiting; the deployment of {endpoint.name} goes on. See: %serve status {endpoint.name}"
        )
        raise


def waited(endpoint: Endpoint, timeout: float | None, *, wait: bool = True) -> Endpoint:
    """The endpoint when what it is doing is done, or has failed; at once without ``wait``."""
    if not wait:
        return endpoint
    line = LiveLine()
    try:
        return _wait(endpoint, timeout, line)
    finally:
        line.done()


def endpoint(name: str) -> Endpoint:
    """Handle on one endpoint: ``js.endpoint("iris").query(df)``."""
    return default.ask(lambda client: client.get(name))


def endpoints() -> Endpoints:
    """All endpoints."""
    found = Endpoints(default.ask(lambda client: client.list()))
    completion.remember_all(e.name for e in found)
    return found


def delete(name: str) -> None:
    """Remove an endpoint with its tokens, events and logs; the registered model stays."""
    default.ask(lambda client: client.delete(name))
    completion.forget(name)
