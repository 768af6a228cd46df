"""Completion of ``%serve``: verbs, options, endpoint names, variables.

It answers from memory alone: endpoint names are those that were seen, and are asked for anew by a thread of its own,
only where a client exists already. So it takes microseconds, also with the server down.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

REFRESH_SECONDS = 3.0
LINE = re.compile(r"(?:^|=)\s*%{1,2}serve\s+(?P<rest>.*)$")


@dataclass(slots=True)
class _Names:
    """Endpoint names seen in this kernel."""

    names: set[str] = field(default_factory=set)
    asked: float = 0.0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def refresh(self) -> None:
        """Ask the known server in the background, if that was not just done."""
        from .serving import default

        client = default.known()
        with self.lock:
            now = time.monotonic()
            if client is None or now - self.asked < REFRESH_SECONDS:
                return
            self.asked = now

        def ask() -> None:
            try:
                remember_all(endpoint.name for endpoint in client.list())
            except Exception:
                pass  # completion never complains; the next verb will

        threading.Thread(target=ask, name="serve-completion", daemon=True).start()


_seen = _Names()


def remember(name: str) -> None:
    """Offer this endpoint from now on."""
    _seen.names.add(name)


def remember_all(names: Iterable[str]) -> None:
    """Offer exactly these endpoints from now on."""
    _seen.names = set(names)


def forget(name: str) -> None:
    """Do not offer it any longer."""
    _seen.names.discard(name)


def candidates(line: str, namespace: Mapping[str, Any]) -> list[str] | None:
    """What may stand at the end of ``line``; None where it is not ours.

    Args:
        line: text of the line up to the cursor.
        namespace: the notebook's variables.
    """
    match = LINE.search(line)
    if match is None:
        return None
    words = match["rest"].split()
    fragment = "" if match["rest"] == "" or match["rest"][-1].isspace() else words.pop()
    return [
        text
        for text in sorted(set(_offers(words, fragment, namespace)))
        if text.startswith(fragment)
    ]


def _offers(words: list[str], fragment: str, namespace: Mapping[str, Any]) -> Iterator[str]:
    from .magics import OPTIONS, POSITIONAL, VERBS

    if not words:
        yield from VERBS
        return
    verb, last = words[0], words[-1]
    if verb not in VERBS:
        return
    kind = OPTIONS[verb].get(last) if len(words) > 1 else None
    if kind:
        yield from _values(kind, namespace)
    elif fragment.startswith("-"):
        yield from OPTIONS[verb]
    elif len(words) == 1:
        yield from _values(POSITIONAL.get(verb, ""), namespace)


def _values(kind: str, namespace: Mapping[str, Any]) -> Iterator[str]:
    match kind:
        case "endpoint":
            yield from _seen.names
        case "model":
            yield from (n for n, v in _public(namespace) if callable(getattr(v, "predict", None)))
        case "data":
            yield from (n for n, v in _public(namespace) if _is_data(v))
        case _:
            yield from kind.split("|") if "|" in kind else ()


def _public(namespace: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    return (
        (n, v)
        for n, v in list(namespace.items())
        if not n.startswith("_") and not isinstance(v, type)
    )


def _is_data(value: Any) -> bool:
    # A module may have __getattr__ with effects; data never is one.
    return isinstance(value, (list, dict)) or type(value).__name__ in (
        "DataFrame",
        "Series",
        "ndarray",
    )


def register(ipython: Any) -> None:
    """Add the matcher to IPython's completer, once."""
    from IPython.core.completer import SimpleCompletion, context_matcher

    completer = getattr(ipython, "Completer", None)
    if completer is None or any(getattr(m, "_serve", False) for m in completer.custom_matchers):
        return

    @context_matcher()
    def serve_matcher(context: Any) -> dict[str, Any]:
        line = context.line_with_cursor[: context.cursor_position] or context.line_with_cursor
        found = candidates(line, ipython.user_ns)
        if found is None:
            return {"completions": [], "suppress": False}
        _seen.refresh()
        return {
            "completions": [SimpleCompletion(text=text, type="serve") for text in found],
            "suppress": True,
            "matched_fragment": context.token,
        }

    serve_matcher._serve = True
    completer.custom_matchers.append(serve_matcher)
