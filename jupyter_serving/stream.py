"""Streamed predictions: server-sent events in, items out (https://html.spec.whatwg.org/multipage/server-sent-events.html)."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any

from .errors import Unavailable, from_wire

END = b"[DONE]"


def items(lines: Iterable[bytes]) -> Iterator[Any]:
    """The item of each event, as it comes, until the end mark.

    Raises:
        ServingError: the model failed in mid-stream; its event has our error shape.
        Unavailable: the stream ended without its end mark.
    """
    for line in lines:
        if not line.startswith(b"data:"):
            continue
        text = line[5:].strip()
        if text == END:
            return
        item = json.loads(text)
        if isinstance(item, dict) and "error_code" in item and "message" in item:
            raise from_wire(400, item)
        yield item
    raise Unavailable("The stream broke off before its end.", hint="Ask again.")
