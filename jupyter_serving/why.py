"""Why an endpoint has so many replicas: the autoscaler's answer as text and, in a notebook, as a card."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from html import escape
from typing import Any

NOTHING = "Nothing is deployed, so nothing is scaled."
HEADING = "Last changes"
NO_CHANGE = "No change has been recorded yet."


class Why(dict[str, Any]):
    """The answer of ``GET …/autoscaling``: ``served_entities`` (rules, bounds, ``last``) and ``decisions``.

    ``name`` is the endpoint's.
    """

    def __init__(self, name: str, answer: dict[str, Any]) -> None:
        super().__init__(answer)
        self.name = name

    def __repr__(self) -> str:
        entities = self.get("served_entities") or []
        if not entities:
            return f"{self.name}: {NOTHING}"
        blocks = ["\n".join([_reason(e), *(f"  {line}" for line in facts(e))]) for e in entities]
        changes = [f"  {moment}  {reason}" for moment, reason in self.changes()]
        return "\n".join([*blocks, f"{HEADING}:", *(changes or [f"  {NO_CHANGE}"])])

    def _repr_mimebundle_(self, **_: Any) -> dict[str, str]:
        return {"text/plain": repr(self), "text/html": self._html()}

    def changes(self) -> Iterator[tuple[str, str]]:
        """Local time and sentence of each decision that was kept, oldest first."""
        several = len({d.get("served_entity") for d in self.get("decisions") or []}) > 1
        for decision in self.get("decisions") or []:
            moment = datetime.fromtimestamp(decision["at"] / 1000).strftime("%Y-%m-%d %H:%M:%S")
            whose = f"{decision['served_entity']}: " if several else ""
            yield moment, whose + str(decision["reason"])

    def _html(self) -> str:
        entities = self.get("served_entities") or []
        if not entities:
            return f"<div>{escape(self.name)}: {NOTHING}</div>"
        blocks = "".join(
            f'<div style="margin-bottom: 8px"><strong>{escape(_reason(e))}</strong>'
            + "".join(f"<div>{escape(line)}</div>" for line in facts(e))
            + "</div>"
            for e in entities
        )
        grid = "display: grid; grid-template-columns: max-content 1fr; gap: 2px 12px"
        rows = "".join(
            f"<span>{escape(moment)}</span><span>{escape(reason)}</span>"
            for moment, reason in self.changes()
        )
        changes = f'<div style="{grid}">{rows}</div>' if rows else f"<div>{NO_CHANGE}</div>"
        return f'<div style="max-width: 860px">{blocks}<div>{HEADING}:</div>{changes}</div>'


def facts(entity: dict[str, Any]) -> list[str]:
    """What the sentence of a served entity rests on: replicas and load now, bounds, rules."""
    rules, bounds = entity.get("rules"), entity.get("bounds")
    if not rules or not bounds:
        return []
    return [_now(entity["last"], rules), _bounds(bounds), _rules(rules), *_advice(entity)]


def _advice(entity: dict[str, Any]) -> list[str]:
    advice = entity.get("advice") or {}
    return [f"Advice: {advice[part]['text']}" for part in ("sizing", "idle") if part in advice]


def _reason(entity: dict[str, Any]) -> str:
    return f"{entity['served_entity']} (version {entity['config_version']}): {entity['last']['reason']}"


def _now(last: dict[str, Any], rules: dict[str, Any]) -> str:
    seen = last.get("inputs") or {}
    waiting = seen.get("waiting", 0.0) + seen.get("held", 0.0)
    stable, panic = seen.get("stable", 0.0), seen.get("panic", 0.0)
    return (
        f"Now: {last.get('ready', 0)} of {last.get('wanted', 0)} replicas ready; mean load {stable:.3g} slots over "
        f"{rules['stable_window_seconds']:g} s and {panic:.3g} over {rules['panic_window_seconds']:g} s; "
        f"{seen.get('busy', 0.0):.3g} busy, {waiting:.3g} waiting."
    )


def _bounds(bounds: dict[str, Any]) -> str:
    idle = bounds.get("scale_to_zero_seconds")
    zero = f"to zero after {idle:g} s without a request" if idle is not None else "never to zero"
    room = bounds.get("room")
    host = f"; the host has room for {room:g}" if room is not None else ""
    pressure = "; the host is contended" if bounds.get("host_pressure") else ""
    return (
        f"Bounds: {bounds['min_replicas']} to {bounds['max_replicas']} replicas of "
        f"{bounds['slots_per_replica']} slots, {zero}{host}{pressure}."
    )


def _rules(rules: dict[str, Any]) -> str:
    return (
        f"Rules: {rules['target_utilisation']:.0%} of the slots busy; windows {rules['stable_window_seconds']:g} s and "
        f"{rules['panic_window_seconds']:g} s (panic at {rules['panic_threshold']:g} times what is ready); down after "
        f"{rules['scale_down_window_seconds']:g} s, by {rules['max_scale_down_rate']:g} times at most."
    )
