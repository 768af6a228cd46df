"""Checks of a config before anything is stored; pure."""

from __future__ import annotations

import re
from collections.abc import Sequence

from .. import api
from ..api import Batching, Capture, ServedEntityInput, TrafficConfig, UpdatePolicy
from ..autoscale.rules import Rules, rules_of
from ..errors import InvalidParameter
from ..workloads import workload_type
from .differences import Rule
from .sizing import capacity_of

WHEN_NO_ROOM = ("refuse", "hold")
BATCHING_MODES = ("auto", "on", "off")
LARGEST_BATCH = 1024
MOST_CAPTURED = 10_000
LARGEST_RING = 256 * 1024 * 1024
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_SECRET = re.compile(r"\{\{\s*secrets/")


def entities(specs: Sequence[ServedEntityInput], gpus: int) -> None:
    """Check served entities against the limits and this machine.

    Args:
        specs: as sent.
        gpus: GPUs of this machine.

    Raises:
        InvalidParameter: the first thing that is wrong, by name.
    """
    if len(specs) > api.MAX_SERVED_ENTITIES:
        raise InvalidParameter(
            f"{len(specs)} served entities; at most {api.MAX_SERVED_ENTITIES} are allowed."
        )
    for spec in specs:
        _entity(spec, gpus)


def _entity(spec: ServedEntityInput, gpus: int) -> None:
    if spec.name is not None:
        api.check_name(spec.name)
    if spec.external_model is not None:
        raise InvalidParameter(
            "external_model is not supported: jupyter-serving serves custom models.",
            hint="Name a registered model by entity_name and entity_version.",
        )
    capacity_of(spec)
    kind = workload_type(spec.workload_type)
    if kind.gpus > gpus:
        raise InvalidParameter(
            f"workload_type {kind.name} needs {kind.gpus} GPU(s); this machine has {gpus}.",
            hint="Use workload_type CPU, or deploy on a machine with that many GPUs.",
        )
    period(spec.scale_to_zero_seconds, "scale_to_zero_seconds")
    period(spec.reload_every_seconds, "reload_every_seconds")
    _batching(spec.batching)
    rules_of(spec.autoscaling, Rules())
    _variables(spec.environment_vars)


def period(seconds: float | None, field: str) -> None:
    """Check a time in seconds, None for unset.

    Raises:
        InvalidParameter: it is not above zero.
    """
    if seconds is not None and not seconds > 0:
        raise InvalidParameter(f"{field} must be above 0, not {seconds}.")


def update(policy: UpdatePolicy | None) -> None:
    """Check how a config is to come to serve.

    Raises:
        InvalidParameter: an unknown ``when_no_room``, a deadline that is not above zero, a gate that makes no sense.
    """
    if policy is None:
        return
    if policy.when_no_room not in WHEN_NO_ROOM:
        raise InvalidParameter(
            f"update.when_no_room must be one of {', '.join(WHEN_NO_ROOM)}, not {policy.when_no_room!r}."
        )
    period(policy.deadline_seconds, "update.deadline_seconds")
    if policy.gate is not None:
        Rule.of(policy.gate)


def _batching(batching: Batching | None) -> None:
    if batching is None:
        return
    if batching.mode not in BATCHING_MODES:
        raise InvalidParameter(
            f"batching.mode must be one of {', '.join(BATCHING_MODES)}, not {batching.mode!r}."
        )
    size = batching.max_size
    if size is not None and not 1 <= size <= LARGEST_BATCH:
        raise InvalidParameter(f"batching.max_size must be 1 to {LARGEST_BATCH}, not {size}.")


def capture(ring: Capture | None) -> None:
    """Check the bounds of a capture ring.

    Raises:
        InvalidParameter: a share outside 0 to 1, or a bound that is not positive or too large to keep in memory.
    """
    if ring is None:
        return
    if not 0 <= ring.sample <= 1:
        raise InvalidParameter(
            f"capture.sample is a share of the requests, 0 to 1, not {ring.sample}."
        )
    if not 1 <= ring.max_requests <= MOST_CAPTURED:
        raise InvalidParameter(
            f"capture.max_requests must be 1 to {MOST_CAPTURED}, not {ring.max_requests}."
        )
    if not 1 <= ring.max_bytes <= LARGEST_RING:
        raise InvalidParameter(
            f"capture.max_bytes must be 1 to {LARGEST_RING}, not {ring.max_bytes}.",
            hint="The ring is kept in the gateway's memory.",
        )


def _variables(variables: dict[str, str]) -> None:
    if len(variables) > api.MAX_ENVIRONMENT_VARS:
        raise InvalidParameter(
            f"{len(variables)} environment variables; at most {api.MAX_ENVIRONMENT_VARS} are allowed."
        )
    for name, value in variables.items():
        if not _VARIABLE.fullmatch(name):
            raise InvalidParameter(
                f"{name!r} is not a name of an environment variable.",
                hint="Letters, digits and '_' are allowed, not beginning with a digit.",
            )
        if "\0" in value:
            raise InvalidParameter(f"The environment variable {name} holds a NUL character.")
        if _SECRET.search(value):
            raise InvalidParameter(
                f"The environment variable {name} refers to a secret; secret references are not supported yet.",
                hint="Set the value itself; it is kept in the data directory with mode 0600.",
            )


def entity_name(model: str, version: str | None) -> str:
    """Default name of a served entity: ``<model>-<version>``, of a three-level name only the last part."""
    last = model.rpartition(".")[2] if model.count(".") == 2 else model
    plain = re.sub(r"[^A-Za-z0-9_-]+", "-", last).strip("-") or "model"
    return f"{plain[:50]}-{version}" if version else plain[:60]


def routes(traffic: TrafficConfig | None, names: Sequence[str]) -> tuple[tuple[str, int], ...]:
    """Shares of the traffic by entity name, whole percent.

    A single entity without a traffic config gets everything.

    Raises:
        InvalidParameter: no config for several entities, an unknown or doubled name, or a sum other than 100.
    """
    if traffic is None or not traffic.routes:
        if len(names) == 1:
            return ((names[0], 100),)
        raise InvalidParameter(
            "traffic_config is required with more than one served entity.",
            hint="Send a route with traffic_percentage for each.",
        )
    shares = [(_route_name(r, names), _percent(r.traffic_percentage)) for r in traffic.routes]
    routed = [name for name, _ in shares]
    if len(set(routed)) != len(routed):
        raise InvalidParameter("A served entity has two routes.", hint="Give each one route.")
    total = sum(share for _, share in shares)
    if total != 100:
        raise InvalidParameter(f"The traffic percentages add up to {total}, not to 100.")
    return tuple(shares)


def _route_name(route: api.Route, names: Sequence[str]) -> str:
    name = route.served_entity_name or route.served_model_name or ""
    if name not in names:
        raise InvalidParameter(
            f"A route names the served entity {name!r}, which the config does not have.",
            hint=f"It has: {', '.join(names)}.",
        )
    return name


def _percent(value: int | str) -> int:
    try:
        share = int(value)
    except ValueError:
        share = -1
    if not 0 <= share <= 100:
        raise InvalidParameter(
            f"traffic_percentage must be a whole number 0 to 100, not {value!r}."
        )
    return share
