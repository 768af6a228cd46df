"""What ``%serve`` returns and shows: tables, logs, and one live line while something is under way."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from html import escape
from typing import Any

from .. import cards
from ..handle import Endpoint

LOG_CHARACTERS = 20_000
MESSAGE_CHARACTERS = 200
REDRAW_SECONDS = 0.5


class Table:
    """A table of texts, plain and HTML; ``marked`` is the column with states, ``title`` stands above."""

    def __init__(
        self,
        headers: Sequence[str],
        rows: Sequence[Sequence[str]],
        *,
        marked: int | None = None,
        title: str = "",
        empty: str = "",
    ) -> None:
        self.headers, self.rows, self.marked = headers, rows, marked
        self.title, self.empty = title, empty

    def __len__(self) -> int:
        return len(self.rows)

    def __repr__(self) -> str:
        table = cards.table_text(self.headers, self.rows) if self.rows else self.empty
        return "\n".join(part for part in (self.title, table) if part)

    def _repr_mimebundle_(self, **_: Any) -> dict[str, str]:
        title = (
            f'<div style="white-space: pre-wrap">{escape(self.title)}</div>' if self.title else ""
        )
        empty = f"<div>{escape(self.empty)}</div>"
        table = cards.table_html(self.headers, self.rows, self.marked) if self.rows else empty
        return {"text/plain": repr(self), "text/html": title + table}


class Endpoints(list[Endpoint]):
    """Endpoints that show themselves as one table."""

    def _table(self) -> Table:
        rows = [
            (
                endpoint.name,
                endpoint.phase,
                cards.models(endpoint.detail),
                cards.figures(endpoint.detail),
                endpoint.message,
            )
            for endpoint in self
        ]
        return Table(
            ("Endpoint", "State", "Model", "Capacity", ""),
            rows,
            marked=1,
            empty="No endpoints yet. Make one: %serve deploy MODEL --name NAME",
        )

    def __repr__(self) -> str:
        return repr(self._table())

    def _repr_mimebundle_(self, **_: Any) -> dict[str, str]:
        return self._table()._repr_mimebundle_()


class Log:
    """The end of a log; what is shown is bounded, ``text`` has all of it."""

    def __init__(self, text: str) -> None:
        self.text = text

    def __str__(self) -> str:
        return self.text

    def __repr__(self) -> str:
        if not self.text.strip():
            return "(the log is empty)"
        cut = self.text[-LOG_CHARACTERS:]
        return cut if cut == self.text else f"… (the last {LOG_CHARACTERS} characters)\n{cut}"


class LiveLine:
    """One line that is redrawn in place, at most twice a second; cleared when done.

    In a terminal or without a front end that can update displays it is written to standard error on each change.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._begun = clock()
        self._drawn = -REDRAW_SECONDS
        self._text = ""
        self._handle: Any = None

    def say(self, text: str) -> None:
        """Tell what is done now."""
        self._show(text)

    def phase(self, phase: str, message: str, _: float) -> None:
        """Tell an endpoint's phase, as ``Client.wait`` does; the time shown is since the start of everything."""
        words = cards.phase_words(phase) if phase else "waiting"
        self._show(f"{words}: {cards.without_elapsed(message)}" if message else words)

    def _show(self, text: str) -> None:
        elapsed = self._clock() - self._begun
        fresh = text != self._text
        if not fresh and elapsed - self._drawn < REDRAW_SECONDS:
            return
        self._text, self._drawn = text, elapsed
        line = f"{text[:MESSAGE_CHARACTERS]} ({elapsed:.0f} s)"
        if not _can_update():
            if fresh:
                print(line, file=sys.stderr)
        elif self._handle is None:
            from IPython.display import display

            self._handle = display(_line(line), raw=True, display_id=True)
        else:
            self._handle.update(_line(line), raw=True)

    def done(self, text: str = "") -> None:
        """Replace the line by ``text`` for good; done again, it leaves what stands there."""
        handle, self._handle = self._handle, None
        if handle is not None:
            handle.update(_line(text), raw=True)
        elif text:
            print(text, file=sys.stderr)


def _line(text: str) -> dict[str, str]:
    return {"text/plain": text, "text/html": f'<div style="{cards.DIM}">{escape(text)}</div>'}


def _can_update() -> bool:
    """True in a kernel with a front end; the terminal's IPython cannot redraw displays."""
    if "IPython" not in sys.modules:
        return False
    from IPython import get_ipython

    shell = get_ipython()
    return shell is not None and getattr(shell, "kernel", None) is not None
