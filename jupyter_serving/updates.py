"""Certificates of updates, and what a replay before the switch found, as a notebook shows them."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from html import escape
from typing import TYPE_CHECKING, Any

from . import cards

if TYPE_CHECKING:
    import pandas as pd

EMPTY = "No update has ended yet."
OUTCOMES = {"SUCCEEDED": "good", "FAILED": "bad", "CANCELED": "warn"}
SHOWN_ROWS = 20
COLUMNS = ("request_id", "row", "kind", "before", "after", "input")
HEADERS = ("Request", "Row", "Difference", "Before", "After", "Input")


class Replay:
    """What the replay of captured requests found: ``passed``, ``text``, figures, and the rows that changed."""

    def __init__(self, detail: dict[str, Any]) -> None:
        self.detail = detail

    @property
    def passed(self) -> bool:
        """True where the new config was let through."""
        return bool(self.detail.get("passed"))

    @property
    def text(self) -> str:
        """It in one sentence."""
        return str(self.detail.get("text", ""))

    @property
    def rows(self) -> list[dict[str, Any]]:
        """Rows that changed (the first ones): ``request_id``, ``row``, ``kind``, ``before``, ``after``, ``input``."""
        return list(self.detail.get("rows") or ())

    def frame(self) -> pd.DataFrame:
        """The rows that changed as a data frame."""
        import pandas as pd

        return pd.DataFrame(self.rows, columns=list(COLUMNS))

    def _cells(self) -> list[list[str]]:
        return [[str(row.get(name, "")) for name in COLUMNS] for row in self.rows[:SHOWN_ROWS]]

    def _more(self) -> str:
        beyond = int(self.detail.get("changed") or 0) - len(self._cells())
        return f"... and {beyond} more rows" if beyond > 0 and self.rows else ""

    def __repr__(self) -> str:
        table = cards.table_text(HEADERS, self._cells()) if self.rows else ""
        return "\n".join(part for part in (self.text, table, self._more()) if part)

    def _repr_mimebundle_(self, **_: Any) -> dict[str, str]:
        word = cards.badge("passed", "good") if self.passed else cards.badge("refused", "bad")
        table = cards.table_html(HEADERS, self._cells()) if self.rows else ""
        html = f"<div>{word} {escape(self.text)}{table}<div>{self._more()}</div></div>"
        return {"text/plain": repr(self), "text/html": html}


class Update:
    """One update; ``detail`` is its certificate as the API answers it."""

    def __init__(self, detail: dict[str, Any]) -> None:
        self.detail = detail

    @property
    def text(self) -> str:
        """It in one sentence."""
        return str(self.detail.get("text", ""))

    @property
    def outcome(self) -> str:
        """``SUCCEEDED``, ``FAILED`` or ``CANCELED``."""
        return str(self.detail.get("outcome", ""))

    @property
    def complete(self) -> bool:
        """False while the minute after it is not over."""
        return bool(self.detail.get("complete"))

    @property
    def failed(self) -> int:
        """Requests that failed through no fault of their clients."""
        return int(self.detail.get("failed") or 0)

    @property
    def replay(self) -> Replay | None:
        """What its gate found; None where it had none."""
        found = self.detail.get("replay")
        return Replay(found) if found else None

    def lines(self) -> list[str]:
        """Sentence, phases and notes."""
        phases = self.detail.get("phases") or {}
        spent = ", ".join(f"{name} {seconds:.2f} s" for name, seconds in phases.items())
        return [
            self.text,
            *([f"  {spent}"] if spent else []),
            *([f"  Gate: {self.replay.text}"] if self.replay else []),
            *(f"  Note: {note}" for note in self.detail.get("notes") or ()),
            *([] if self.complete else ["  Figures of the minute after it follow."]),
        ]

    def __repr__(self) -> str:
        began = datetime.fromtimestamp(int(self.detail.get("started_at", 0)) / 1000)
        return "\n".join([f"{began:%Y-%m-%d %H:%M:%S}  {self.lines()[0]}", *self.lines()[1:]])

    def _repr_mimebundle_(self, **_: Any) -> dict[str, str]:
        return {"text/plain": repr(self), "text/html": _html([self])}


class Updates(list[Update]):
    """Updates of an endpoint, newest last."""

    def __init__(self, details: Iterable[dict[str, Any]] = ()) -> None:
        super().__init__(Update(detail) for detail in details)

    def __repr__(self) -> str:
        return "\n".join(map(repr, self)) or EMPTY

    def _repr_mimebundle_(self, **_: Any) -> dict[str, str]:
        return {"text/plain": repr(self), "text/html": _html(self) or f"<div>{EMPTY}</div>"}


def _html(updates: Iterable[Update]) -> str:
    shown = ""
    for update in updates:
        first, *rest = update.lines()
        # The sentence says that it succeeded; anything else is a word of its own.
        word = "" if update.outcome == "SUCCEEDED" else f"{cards.phase_words(update.outcome)}:"
        dot = cards.badge(word, OUTCOMES.get(update.outcome, "busy"))
        more = "".join(f'<div style="{cards.DIM}">{escape(line.strip())}</div>' for line in rest)
        shown += f'<div style="margin-bottom: 6px">{dot} {escape(first)}{more}</div>'
    return shown
