"""From a model's name to an endpoint: the registry that the user means goes along, or else the files themselves."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .api import Registry
from .client import Client
from .errors import NotFound, RegistryUnreachable, ServingError
from .handle import Endpoint
from .registry import travel
from .registry.reference import Kind, ModelReference


@dataclass(frozen=True, slots=True)
class Options:
    """How an endpoint is to serve its model; None leaves the server's default.

    ``size`` (``Small``, ``Medium``, ``Large``) excludes the two bounds of provisioned concurrency (slots);
    ``idle_seconds`` is the time without requests after which it scales to zero; ``batching`` is ``auto``, ``on`` (the
    model answers row by row) or ``off``, ``max_batch_size`` the most requests of one group; ``capture`` is the share
    of the requests that the gateway keeps for a look (0 to 1); ``when_no_room`` is ``refuse`` or ``hold``,
    ``deadline_seconds`` the longest time until it is ready; replicas older than ``reload_every_seconds`` are replaced.
    ``autoscaling`` holds rules by the names of ``api.Autoscaling``.
    """

    size: str | None = None
    min_concurrency: int | None = None
    max_concurrency: int | None = None
    workload_type: str | None = None
    scale_to_zero: bool = True
    idle_seconds: float | None = None
    environment_vars: Mapping[str, str] = field(default_factory=dict)
    batching: str | None = None
    max_batch_size: int | None = None
    capture: float | None = None
    when_no_room: str | None = None
    deadline_seconds: float | None = None
    reload_every_seconds: float | None = None
    autoscaling: Mapping[str, float] = field(default_factory=dict)

    @property
    def ring(self) -> dict[str, Any] | None:
        """``capture`` of a config; None where nothing is captured."""
        return None if self.capture is None else {"sample": self.capture}

    def config(self) -> dict[str, Any]:
        """Fields of a config beside its entities, as ``Client.deploy`` takes them."""
        given = {"when_no_room": self.when_no_room, "deadline_seconds": self.deadline_seconds}
        update = {name: value for name, value in given.items() if value is not None}
        return {
            "capture": self.ring,
            "update": update or None,
            "reload_every_seconds": self.reload_every_seconds,
        }

    def fields(self) -> dict[str, Any]:
        """Fields of a served entity."""
        given = {
            "workload_size": self.size,
            "min_provisioned_concurrency": self.min_concurrency,
            "max_provisioned_concurrency": self.max_concurrency,
            "workload_type": self.workload_type,
            "scale_to_zero_seconds": self.idle_seconds,
            "environment_vars": dict(self.environment_vars) or None,
            "batching": self._batching(),
            "autoscaling": dict(self.autoscaling) or None,
        }
        return {name: value for name, value in given.items() if value is not None} | {
            "scale_to_zero_enabled": self.scale_to_zero
        }

    def _batching(self) -> dict[str, Any] | None:
        given = {"mode": self.batching, "max_size": self.max_batch_size}
        return {name: value for name, value in given.items() if value is not None} or None


def deliver(
    client: Client,
    name: str,
    model: str,
    options: Options,
    *,
    registry: Registry | None = None,
    base: Path | None = None,
    progress: Callable[[str], None] = lambda _: None,
) -> Endpoint:
    """Create the endpoint ``name`` for a model URI, or give it a new config; answers at once.

    Args:
        client: where to.
        name: the endpoint.
        model: URI as ``registry.reference.parse`` takes it, or a model directory (also relative to ``base``).
        options: how to serve it.
        registry: the stores that the URI means; default: those that MLflow is configured with here.
        base: directory that relative names mean; default: the current one.
        progress: told what takes longer than a moment.
    """
    base = base or Path.cwd()
    reference = travel.reference_of(model, base)
    stores = _stores(reference, registry, base)
    try:
        entity = travel.entity_of(reference, stores) | options.fields()
        return client.deploy(name, entity, **options.config())
    except (RegistryUnreachable, NotFound) as refused:
        # A path or file that the controller does not see may exist here.
        if isinstance(refused, NotFound) and reference.kind is not Kind.PATH:
            raise
        return _upload(client, name, reference, stores, options, progress, refused)


def _stores(reference: ModelReference, registry: Registry | None, base: Path) -> Registry:
    if registry is not None:
        return travel.absolute(registry, base)
    if reference.kind is Kind.PATH:
        return Registry(tracking_uri="")
    from .registry.log import configured

    return configured()


def _upload(
    client: Client,
    name: str,
    reference: ModelReference,
    stores: Registry,
    options: Options,
    progress: Callable[[str], None],
    refused: ServingError,
) -> Endpoint:
    progress("the controller cannot read the model's registry: uploading the model")
    with tempfile.TemporaryDirectory(prefix="jupyter-serving-upload-") as scratch:
        try:
            parcel = travel.pack(reference, stores, Path(scratch), progress)
        except ServingError as error:
            # Neither side can read it: what this side found is the nearer cause, the other is kept as context.
            if isinstance(error, RegistryUnreachable):
                error.hint = "Name the registry: set MLFLOW_TRACKING_URI, or pass --tracking-uri."
            raise error from refused
        progress(f"uploading {parcel.archive.stat().st_size / 1e6:.1f} MB")
        client.upload(parcel.digest, parcel.chunks())
    return client.deploy(name, parcel.entity | options.fields(), **options.config())
