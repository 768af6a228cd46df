"""What the Open Inference Protocol (V2) tells about server, endpoints and models; a pure look at table and queues.

A question never wakes a replica: without a ready one the answer is 503 with ``"ready": false`` and what that means.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ..errors import Unavailable
from ..version import version
from .endpoint import Entity
from .queue import Queues
from .routes import Table
from .targets import Target

NAME = "jupyter-serving"
EXTENSIONS = ["binary_tensor_data"]
PLATFORM = "mlflow"

Answer = tuple[int, dict[str, Any]]


class Metadata:
    """Answers from what the gateway knows anyway."""

    def __init__(self, table: Table, queues: Queues[Any]) -> None:
        self._table = table
        self._queues = queues

    def answer(self, target: Target, visible: Iterable[str]) -> Answer:
        """Status and JSON of the answer; ``visible`` are the endpoints that the caller may see in a list.

        Raises ``NotFound``: no such endpoint, model or version.
        """
        name, model = target.name, target.model
        match target.kind:
            case "server":
                return 200, {"name": NAME, "version": version(), "extensions": EXTENSIONS}
            case "live":
                return 200, {"live": True}
            case "ready":
                return self._ready(name, name, None, {}) if name else (200, {"ready": True})
            case "models":
                return 200, {"models": self._models(name) if name else sorted(visible)}
        if name is None or model is None:
            raise ValueError(f"{target} asks for nothing that is told here")
        if target.kind == "model_ready":
            return self._ready(name, model, target.version, {"name": model})
        return 200, self._model(name, model, target.version)

    def _models(self, name: str) -> list[str]:
        entities = self._table.find(name).entities
        return list(dict.fromkeys([name, *(entity.name for entity in entities)]))

    def _model(self, name: str, model: str, wanted: str | None) -> dict[str, Any]:
        entities = self._table.models(name, model, wanted)
        schema = next((entity.v2 for entity in entities if entity.v2), None) or {}
        return {
            "name": model,
            "versions": [entity.version for entity in entities if entity.version],
            "platform": schema.get("platform", PLATFORM),
            "inputs": schema.get("inputs", []),
            "outputs": schema.get("outputs", []),
        }

    def _ready(self, name: str, model: str, wanted: str | None, named: dict[str, Any]) -> Answer:
        """Ready is what can answer at once: every served entity that is meant has a replica."""
        reason = self._lack(name, self._table.models(name, model, wanted))
        if reason is None:
            return 200, {**named, "ready": True}
        error = Unavailable(reason).to_wire()
        return Unavailable.status, {**named, "ready": False, "error": reason, **error}

    def _lack(self, name: str, entities: list[Entity]) -> str | None:
        closed = self._table.find(name).closed()
        if closed is not None:
            return str(closed)
        for entity in entities:
            if entity.unavailable:
                return f"Served entity {entity.name!r} cannot answer: {entity.unavailable}"
            lane = self._queues.lanes.get(entity.key)
            if lane is None or not lane.ready:
                return f"No replica of served entity {entity.name!r} is ready. A request starts one and waits for it."
        return None
