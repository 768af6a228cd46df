"""Decisions of the autoscaler as they are kept and told: each with its inputs and a sentence."""

from __future__ import annotations

import asyncio
import logging
import math
from dataclasses import asdict

from ..autoscale.policy import Inputs
from ..autoscale.sentence import explain
from ..errors import ServingError
from ..observed import Autoscaling, Decision, Scaled
from .records import DecisionRecord, EndpointRecord, Wanted
from .scaling import Decided, Scaling
from .store import Store

log = logging.getLogger(__name__)
STOPPED = "The endpoint is stopped: no replica is wanted until it is started."
UNKNOWN = "Nothing has been decided yet: the controller is looking at what runs."


class Decisions:
    """Keeps decisions in the store, and tells them with those of the moment."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._writes: set[asyncio.Task[None]] = set()

    def record(self, decided: Decided) -> None:
        """Write a decision down, soon; the decision itself does not wait for the disk."""
        task = asyncio.get_running_loop().create_task(self._keep(record_of(decided)))
        self._writes.add(task)
        task.add_done_callback(self._writes.discard)

    async def _keep(self, record: DecisionRecord) -> None:
        if record.endpoint not in self._store.endpoints:
            return
        try:
            await self._store.put(record)
        except ServingError as error:
            log.error("a decision about %s is not kept: %s", record.entity, error)

    def _keys(self, endpoint: EndpointRecord) -> list[str]:
        """Entities of the active and the pending config; what an update carries on is there once."""
        keys: dict[str, None] = {}
        for version in (endpoint.active, endpoint.pending):
            config = self._store.config(endpoint.id, version)
            keys |= dict.fromkeys(config.entity_keys() if config else ())
        return list(keys)

    async def told(self, endpoint: EndpointRecord, scaling: Scaling, limit: int) -> Autoscaling:
        """State of each served entity with its reason, and the last ``limit`` decisions, oldest first."""
        kept = await self._store.recent(DecisionRecord, endpoint.id, limit) if limit else []
        return Autoscaling(
            served_entities=[_present(key, endpoint, scaling) for key in self._keys(endpoint)],
            decisions=[
                Decision(
                    served_entity=record.entity,
                    config_version=record.version,
                    at=record.at,
                    wanted_before=record.before,
                    wanted=record.wanted,
                    inputs=record.inputs,
                    reason=record.reason,
                )
                for record in kept
            ],
        )


def record_of(decided: Decided) -> DecisionRecord:
    """The record of a decision."""
    endpoint, version, entity = decided.key.split(":", 2)
    return DecisionRecord(
        endpoint=endpoint,
        entity=entity,
        version=int(version),
        at=int(decided.at * 1000),
        before=int(decided.inputs.current),
        wanted=int(decided.decision.wanted),
        inputs=figures(decided.inputs),
        reason=explain(decided.inputs, decided.decision),
    )


def figures(inputs: Inputs) -> dict[str, float]:
    """Inputs as JSON; what is infinite (no bound, never) is left out. Not rounded, so a decision can be replayed."""
    return {name: value for name, value in asdict(inputs).items() if math.isfinite(value)}


def _present(key: str, endpoint: EndpointRecord, scaling: Scaling) -> Scaled:
    """What would be decided for an entity just now: it is also the last decision, unless something happened since."""
    _, version, name = key.split(":", 2)
    live = scaling.entities.get(key)
    if live is None:
        return Scaled(served_entity=name, config_version=int(version), last={"reason": UNKNOWN})
    inputs, decision = scaling.present(key)
    stopped = endpoint.wanted is not Wanted.RUNNING
    seen = figures(inputs)
    return Scaled(
        served_entity=name,
        config_version=int(version),
        rules=live.rules.json(),
        bounds={
            "min_replicas": live.least,
            "max_replicas": live.capacity.max_replicas,
            "slots_per_replica": live.capacity.slots_per_replica,
            "scale_to_zero_seconds": seen.get("idle_limit"),
            "room": seen.get("room"),
            "host_pressure": bool(inputs.pressed),
        },
        last={
            "at": int(scaling.now() * 1000),
            "wanted": 0 if stopped else int(decision.wanted),
            "ready": live.ready,
            "inputs": seen,
            "reason": STOPPED if stopped else explain(inputs, decision),
        },
    )
