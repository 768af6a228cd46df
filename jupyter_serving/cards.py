"""How endpoints look in a notebook: plain text and HTML made from plain values; everything is escaped.

Colours come from the front end's own CSS variables, so cards read well in light and dark; where a front end has none
(a static page) they fall back to the text's colour.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from html import escape
from typing import Any

BORDER = "var(--jp-border-color2, rgba(128, 128, 128, 0.4))"
DIM = "opacity: 0.75"
CELL = "text-align: left; vertical-align: top; padding: 2px 16px 2px 0"
COLOURS = {
    "good": "var(--jp-success-color1, #3d9a50)",
    "warn": "var(--jp-warn-color1, #c77c02)",
    "busy": "var(--jp-brand-color1, #4f8fd0)",
    "bad": "var(--jp-error-color1, #d9534f)",
    "idle": "var(--jp-ui-font-color3, #888888)",
}
TONES = {
    "READY": "good",
    "SCALED_TO_ZERO": "idle",
    "STOPPED": "idle",
    "FAILED": "bad",
    "UPDATE_FAILED": "bad",
    "ACTIVE": "good",
    "SUPERSEDED": "idle",
    "CANCELED": "idle",
}
IN_NOTEBOOK, IN_SHELL = "%serve delete {}", "jupyter serving delete {}"
WORDS = {"ok": "good", "warn": "warn", "fail": "bad"}


def phase_words(phase: str) -> str:
    """A phase as a person reads it: ``SCALED_TO_ZERO`` is ``scaled to zero``."""
    return phase.replace("_", " ").lower()


def without_elapsed(message: str) -> str:
    """A message without the seconds at its end, for lines that count themselves."""
    return re.sub(r" \(\d+ s\)$", "", message)


def life(detail: dict[str, Any], delete: str = IN_NOTEBOOK) -> str:
    """What becomes of an endpoint when the kernel stops, and how it ends (``delete`` is the command)."""
    end = f"delete with {delete.format(detail.get('name', ''))}"
    entities = _entities(detail)
    if not any("state" in entity for entity in entities):
        return (
            f"Keeps running when the kernel stops; {end}"  # an item of the list does not tell more
        )
    seconds = next((e.get("scale_to_zero_seconds") for e in entities), None)
    idle = (
        f"after {duration(float(seconds))} idle"
        if seconds
        else "when idle (after 30 min by default)"
    )
    sleeps = any(e.get("scale_to_zero_enabled") for e in entities)
    zero = f"scales to zero {idle}" if sleeps else "never scales to zero"
    return f"Keeps running when the kernel stops; {zero}; {end}"


def duration(seconds: float) -> str:
    """Seconds in words: ``90`` is ``1.5 min``."""
    if seconds < 60:
        return f"{seconds:g} s"
    return f"{seconds / 60:.4g} min" if seconds < 3600 else f"{seconds / 3600:.4g} h"


def models(detail: dict[str, Any]) -> str:
    """Models that an endpoint serves: ``iris version 3``."""
    served = [
        f"{e.get('entity_name') or e.get('name', '?')}"
        + (f" version {e['entity_version']}" if e.get("entity_version") else "")
        for e in _entities(detail)
    ]
    return ", ".join(served) or "nothing yet"


def figures(detail: dict[str, Any]) -> str:
    """Replicas and load in a few words."""
    live = detail.get("live") or {}
    replicas = live.get("replicas") or {}
    parts = [f"{replicas.get('ready', 0)} of {replicas.get('wanted', 0)} replicas ready"]
    parts += [f"{replicas[kind]} {kind}" for kind in ("starting", "draining") if replicas.get(kind)]
    parts.append(f"{live.get('requests_per_second', 0.0):g} requests/s")
    parts += [
        f"{live[kind]} {kind.replace('_', ' ')}"
        for kind in ("in_flight", "queued")
        if live.get(kind)
    ]
    if live.get("last_cold_start_seconds") is not None:
        parts.append(f"last cold start {live['last_cold_start_seconds']:.2f} s")
    return " · ".join(parts)


def endpoint_text(
    detail: dict[str, Any], message: str, notes: Sequence[str] = (), delete: str = IN_NOTEBOOK
) -> str:
    """An endpoint in a few lines of plain text."""
    phase = phase_words(str((detail.get("live") or {}).get("phase", "")))
    lines = [
        f"Endpoint {detail.get('name', '')}: {phase}" + (f" ({message})" if message else ""),
        f"  model     {models(detail)}",
        f"  capacity  {figures(detail)}",
    ]
    if detail.get("invocations_url"):
        lines.append(f"  url       {detail['invocations_url']}")
    lines.append(f"  {life(detail, delete)}")
    lines += [f"  Note: {note}" for note in notes]
    return "\n".join(lines)


def endpoint_html(detail: dict[str, Any], message: str, notes: Sequence[str] = ()) -> str:
    """An endpoint as a card."""
    phase = str((detail.get("live") or {}).get("phase", ""))
    rows = [("model", models(detail)), ("capacity", figures(detail))]
    if detail.get("invocations_url"):
        rows.append(("url", str(detail["invocations_url"])))
    cells = "".join(
        f'<div style="{DIM}">{escape(label)}</div><div style="overflow-wrap: anywhere">{escape(text)}</div>'
        for label, text in rows
    )
    told = (
        f'<div style="margin-top: 4px; white-space: pre-wrap">{escape(message)}</div>'
        if message
        else ""
    )
    tail = "".join(f"<div>Note: {escape(note)}</div>" for note in notes)
    return (
        f'<div style="border: 1px solid {BORDER}; border-radius: 6px; padding: 8px 12px; max-width: 720px">'
        f'<div><strong style="margin-right: 8px">{escape(str(detail.get("name", "")))}</strong> '
        f"{badge(phase_words(phase), tone(phase))}</div>"
        f'{told}<div style="display: grid; grid-template-columns: max-content 1fr; gap: 2px 12px; '
        f'margin-top: 6px">{cells}</div>'
        f'<div style="{DIM}; margin-top: 6px; font-size: 90%">{escape(life(detail))}{tail}</div></div>'
    )


def tone(phase: str) -> str:
    """Colour name for a phase or the word of a check; what is under way is ``busy``."""
    return WORDS.get(phase) or TONES.get(phase, "busy")


def badge(text: str, colour: str) -> str:
    """A word with a coloured dot in front: never colour alone."""
    return (
        f'<span style="white-space: nowrap"><span aria-hidden="true" style="color: {COLOURS[colour]}">●</span> '
        f"{escape(text)}</span>"
    )


def table_html(
    headers: Sequence[str], rows: Iterable[Sequence[str]], marked: int | None = None
) -> str:
    """A table of texts; the column ``marked`` holds words that get a coloured dot."""
    head = "".join(f'<th style="{CELL}">{escape(name)}</th>' for name in headers)
    body = "".join(
        "<tr>"
        + "".join(
            f'<td style="{CELL}; {_wrap(i == len(row) - 1)}">{_cell(text, i == marked)}</td>'
            for i, text in enumerate(row)
        )
        + "</tr>"
        for row in rows
    )
    # Pages in quirks mode do not hand colour and size down to tables.
    return (
        '<table style="color: inherit; font-size: inherit; border-collapse: collapse">'
        f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
    )


def _wrap(last: bool) -> str:
    # Only the last column, where messages stand, breaks inside words: others would shrink to single letters.
    return f"overflow-wrap: {'anywhere' if last else 'break-word'}"


def _cell(text: str, marked: bool) -> str:
    return badge(phase_words(text), tone(text)) if marked else escape(text)


def table_text(headers: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table in plain text, columns aligned, the last one not padded."""
    lines = [[str(cell) for cell in row] for row in (headers, *rows)]
    widths = [max(len(line[place]) for line in lines) for place in range(len(headers))]
    return "\n".join(
        "  ".join(
            cell if place == len(headers) - 1 else cell.ljust(widths[place])
            for place, cell in enumerate(line)
        ).rstrip()
        for line in lines
    )


def _entities(detail: dict[str, Any]) -> list[dict[str, Any]]:
    config = detail.get("config") or detail.get("pending_config") or {}
    return list(config.get("served_entities") or [])
