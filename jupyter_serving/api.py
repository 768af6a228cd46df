"""Wire types and states of the REST API; nothing else.

The API is the Databricks Serving Endpoints API 2.0 plus additive fields (marked "ours"). All JSON is snake_case;
unknown fields of a request are ignored, unset fields of an answer are left out. Times are epoch milliseconds.
"""

from __future__ import annotations

import re
from enum import StrEnum
from typing import Any

import msgspec

from .errors import InvalidParameter

API_PREFIX = "/api/2.0/serving-endpoints"
OWN_PREFIX = "/api/2.0/jupyter-serving"
DATA_PREFIX = "/serving-endpoints"
RESERVED_NAME_PREFIX = "databricks-"
NAME_PATTERN = re.compile(r"[A-Za-z0-9_-]{1,63}")
MAX_SERVED_ENTITIES = 15
MAX_ENVIRONMENT_VARS = 30


class Ready(StrEnum):
    """``state.ready``: whether every served entity of the active config can answer."""

    READY = "READY"
    NOT_READY = "NOT_READY"


class ConfigUpdate(StrEnum):
    """``state.config_update``; clients wait for anything but ``IN_PROGRESS``."""

    NOT_UPDATING = "NOT_UPDATING"
    IN_PROGRESS = "IN_PROGRESS"
    UPDATE_FAILED = "UPDATE_FAILED"
    UPDATE_CANCELED = "UPDATE_CANCELED"


class ConfigState(StrEnum):
    """Ours: ``configs[].state``: what became of a config version."""

    PENDING = "PENDING"
    ACTIVE = "ACTIVE"
    SUPERSEDED = "SUPERSEDED"
    FAILED = "FAILED"
    CANCELED = "CANCELED"


class Deployment(StrEnum):
    """``served_entities[].state.deployment``."""

    CREATING = "DEPLOYMENT_CREATING"
    READY = "DEPLOYMENT_READY"
    FAILED = "DEPLOYMENT_FAILED"
    RECOVERING = "DEPLOYMENT_RECOVERING"
    ABORTED = "DEPLOYMENT_ABORTED"


class Phase(StrEnum):
    """``live.phase`` (ours): what a person wants to know, in one word."""

    CREATING = "CREATING"
    READY = "READY"
    SCALED_TO_ZERO = "SCALED_TO_ZERO"
    STARTING = "STARTING"
    UPDATING = "UPDATING"
    UPDATE_FAILED = "UPDATE_FAILED"
    FAILED = "FAILED"
    STOPPED = "STOPPED"
    STOPPING = "STOPPING"
    DELETING = "DELETING"
    CHECKING = "CHECKING"


class Wire(msgspec.Struct, kw_only=True, omit_defaults=True):
    """Base of all wire types: unset fields are left out of the JSON."""


class Tag(Wire):
    """A key and an optional value."""

    key: str
    value: str = ""


class Registry(Wire):
    """Ours: the MLflow stores that the deploying client means, as absolute URIs."""

    tracking_uri: str
    registry_uri: str = ""


class Batching(Wire):
    """Ours: whether requests that wait while workers are busy are predicted together.

    ``mode``: ``auto`` (only models that are known to answer row by row, once checked), ``on`` (the deployer declares
    it; checked as well) or ``off``. ``max_size``: most requests of one group.
    """

    mode: str = "auto"
    max_size: int | None = None


class Autoscaling(Wire):
    """Ours: rules that an entity is scaled by; unset ones are the settings of the same names (``autoscale.rules``)."""

    stable_window_seconds: float | None = None
    panic_window_seconds: float | None = None
    panic_threshold: float | None = None
    target_utilisation: float | None = None
    scale_down_window_seconds: float | None = None
    max_scale_up_rate: float | None = None
    max_scale_down_rate: float | None = None


class Capture(Wire):
    """Ours: the gateway keeps recent requests and answers of the endpoint in memory.

    ``sample``: share of the requests, 0 to 1; ``max_requests`` and ``max_bytes`` bound the ring.
    """

    sample: float = 1.0
    max_requests: int = 200
    max_bytes: int = 16 * 1024 * 1024


class UpdatePolicy(Wire):
    """Ours: how a new config comes to serve.

    ``when_no_room``: ``refuse`` the update, or ``hold`` requests while the old config makes room for the new one.
    ``deadline_seconds``: longest time until it is ready, default the setting. ``gate``: what it has to pass before.
    """

    when_no_room: str = "refuse"
    deadline_seconds: float | None = None
    gate: dict[str, Any] | None = None


class ServedEntityInput(Wire):
    """One served entity of a config, as sent.

    Exactly one of ``entity_name`` with ``entity_version``, ``model_uri`` and ``model_digest`` names the model.
    """

    name: str | None = None
    entity_name: str | None = None
    entity_version: str | int | None = None
    workload_size: str | None = None
    workload_type: str | None = None
    min_provisioned_concurrency: int | None = None
    max_provisioned_concurrency: int | None = None
    scale_to_zero_enabled: bool = False
    environment_vars: dict[str, str] = {}
    instance_profile_arn: str | None = None
    burst_scaling_enabled: bool | None = None
    external_model: dict[str, Any] | None = None
    # ours
    model_uri: str | None = None
    model_digest: str | None = None
    registry: Registry | None = None
    kernel_python: str | None = None
    scale_to_zero_seconds: float | None = None
    batching: Batching | None = None
    autoscaling: Autoscaling | None = None
    reload_every_seconds: float | None = None


class ServedModelInput(ServedEntityInput):
    """The deprecated spelling: ``served_models[]`` with ``model_name`` and ``model_version``."""

    model_name: str | None = None
    model_version: str | int | None = None

    def entity(self) -> ServedEntityInput:
        """Return the same as a served entity."""
        fields = {f: getattr(self, f) for f in ServedEntityInput.__struct_fields__}
        fields["entity_name"] = self.entity_name or self.model_name
        fields["entity_version"] = self.entity_version or self.model_version
        return ServedEntityInput(**fields)


class Route(Wire, omit_defaults=False):
    """Share of the traffic in whole percent; documentation examples send it as a string."""

    traffic_percentage: int | str
    served_entity_name: str | None = None
    served_model_name: str | None = None


class TrafficConfig(Wire):
    """All routes; the percentages add up to 100."""

    routes: list[Route] = []


class ConfigInput(Wire):
    """``config`` of create, and the body of update."""

    name: str | None = None
    served_entities: list[ServedEntityInput] = []
    served_models: list[ServedModelInput] = []
    traffic_config: TrafficConfig | None = None
    auto_capture_config: dict[str, Any] | None = None
    # ours
    capture: Capture | None = None
    update: UpdatePolicy | None = None
    reload_every_seconds: float | None = None

    def entities(self) -> list[ServedEntityInput]:
        """Served entities of either spelling."""
        return self.served_entities or [m.entity() for m in self.served_models]


class RollbackInput(Wire):
    """Ours: body of ``config:rollback``; no version means the last one before the active one that worked."""

    config_version: int | None = None


class CreateEndpoint(Wire):
    """Body of ``POST /api/2.0/serving-endpoints``."""

    name: str
    config: ConfigInput | None = None
    tags: list[Tag] = []
    description: str = ""
    route_optimized: bool = False
    rate_limits: list[dict[str, Any]] = []
    ai_gateway: dict[str, Any] | None = None
    email_notifications: dict[str, Any] | None = None
    budget_policy_id: str | None = None
    telemetry_config: dict[str, Any] | None = None


class EntityState(Wire, omit_defaults=False):
    """State of one served entity with its explanation."""

    deployment: Deployment
    deployment_state_message: str = ""


class ServedEntityOutput(ServedEntityInput, omit_defaults=False):
    """One served entity as answered: the input with defaults filled in, and its state."""

    state: EntityState | None = None
    creator: str | None = None
    creation_timestamp: int | None = None


class ConfigOutput(Wire):
    """An active or pending config as answered."""

    config_version: int = 0
    served_entities: list[ServedEntityOutput] = []
    served_models: list[dict[str, Any]] = []
    traffic_config: TrafficConfig | None = None
    start_time: int | None = None
    capture: Capture | None = None
    update: UpdatePolicy | None = None
    reload_every_seconds: float | None = None
    verdict: dict[str, Any] | None = None


class EndpointState(Wire, omit_defaults=False):
    """``state`` of an endpoint."""

    ready: Ready
    config_update: ConfigUpdate


class LiveReplicas(Wire, omit_defaults=False):
    """Ours: replicas by state, how many the autoscaler wants, and how many a reload has still to replace."""

    ready: int = 0
    starting: int = 0
    draining: int = 0
    wanted: int = 0
    stale: int = 0


class Live(Wire, omit_defaults=False):
    """Ours: what the endpoint does just now; rates are per second over the last 10 s."""

    phase: Phase
    message: str = ""
    replicas: LiveReplicas = msgspec.field(default_factory=LiveReplicas)
    in_flight: int = 0
    queued: int = 0
    requests_per_second: float = 0.0
    provisioned_concurrency: int = 0
    last_cold_start_seconds: float | msgspec.UnsetType = msgspec.UNSET


class EndpointSummary(Wire):
    """An item of the list answer."""

    name: str
    id: str
    creator: str
    creation_timestamp: int
    last_updated_timestamp: int
    state: EndpointState
    config: dict[str, Any]
    description: str | None = None
    tags: list[Tag] = []
    live: Live | None = None
    invocations_url: str = ""


class EndpointDetailed(Wire):
    """The endpoint object (ServingEndpointDetailed) with our ``live`` and ``invocations_url``.

    ``notes`` (ours): sentences that the answer to a deployment wants read.
    """

    name: str
    id: str
    creator: str
    creation_timestamp: int
    last_updated_timestamp: int
    state: EndpointState
    description: str | None = None
    config: ConfigOutput | None = None
    pending_config: ConfigOutput | None = None
    tags: list[Tag] = []
    permission_level: str = ""
    route_optimized: bool | None = None
    endpoint_url: str = ""
    endpoint_type: str = ""
    live: Live | None = None
    invocations_url: str = ""
    notes: list[str] = []


def encode(value: Any) -> bytes:
    """JSON of a wire type or plain value, without fields that are null."""
    whole = msgspec.json.encode(value)
    # To look for a null takes microseconds, to leave one out a walk over everything: a list may hold a megabyte.
    if b"null" not in whole:
        return whole
    return msgspec.json.encode(_without_null(msgspec.to_builtins(value)))


def _without_null(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _without_null(v) for k, v in value.items() if v is not None}
    return [_without_null(v) for v in value] if isinstance(value, list) else value


def decode(kind: type[Any], body: bytes) -> Any:
    """Parse a request body into ``kind``.

    Raises:
        InvalidParameter: not JSON, a missing field or a wrong type; the message names the field's path.
    """
    try:
        return msgspec.json.decode(body or b"{}", type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InvalidParameter(
            f"The request body does not fit: {error}.", hint="Send a JSON object with these fields."
        ) from error


def check_name(name: str) -> str:
    """Return a valid endpoint or served entity name unchanged.

    Raises:
        InvalidParameter: other than 1-63 letters, digits, ``-`` and ``_``, or the reserved prefix.
    """
    if not NAME_PATTERN.fullmatch(name):
        raise InvalidParameter(
            f"The name {name!r} is not valid: 1 to 63 letters, digits, '-' and '_' are allowed.",
            hint=f"Try {re.sub(r'[^A-Za-z0-9_-]+', '-', name).strip('-')[:63] or 'my-endpoint'!r}.",
        )
    if name.startswith(RESERVED_NAME_PREFIX):
        raise InvalidParameter(
            f"The name {name!r} starts with {RESERVED_NAME_PREFIX!r}, which is reserved.",
            hint="Choose another name.",
        )
    return name
