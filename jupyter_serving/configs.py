"""Config versions of an endpoint: a list of plain records that shows itself as a table."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from . import cards

HEADERS = ("Version", "State", "Made", "By", "Serves", "Traffic", "")
EMPTY = "No config version yet."


class Configs(list[dict[str, Any]]):
    """Config versions, oldest first; each has ``config_version``, ``state``, ``served_entities`` and more."""

    def __repr__(self) -> str:
        return cards.table_text(HEADERS, [row(config) for config in self]) if self else EMPTY

    def _repr_html_(self) -> str:
        rows = [row(config) for config in self]
        return cards.table_html(HEADERS, rows, marked=1) if rows else f"<div>{EMPTY}</div>"


def row(config: dict[str, Any]) -> tuple[str, ...]:
    """One version as a line of the table."""
    entities = config.get("served_entities") or []
    routes = (config.get("traffic_config") or {}).get("routes") or []
    made = datetime.fromtimestamp(config["creation_timestamp"] / 1000)
    base = f"content of {config['content_of']}" if config.get("content_of") else ""
    return (
        str(config["config_version"]),
        str(config["state"]),
        made.strftime("%Y-%m-%d %H:%M:%S"),
        str(config.get("creator", "")),
        ", ".join(str(e.get("name", "")) for e in entities),
        ", ".join(f"{r.get('served_entity_name')} {r['traffic_percentage']} %" for r in routes),
        "; ".join(text for text in (base, str(config.get("message", ""))) if text),
    )
