"""What the gateway answers by itself: its health, the protocol's metadata, and captured requests."""

from __future__ import annotations

from typing import Any

from .capture import Captures
from .metadata import Metadata
from .queue import Queues
from .refusals import json_answer
from .request import Request
from .routes import Table


class Questions:
    """Answers to every request that is no prediction."""

    def __init__(self, table: Table, queues: Queues[Any], captures: Captures) -> None:
        self._table = table
        self._captures = captures
        self._metadata = Metadata(table, queues)

    def answer(self, request: Request) -> bytes:
        """The whole answer; raises ``NotFound``, and ``BadRequest`` where nothing is captured."""
        status, content = self._content(request)
        return json_answer(status, content, request, [])

    def _content(self, request: Request) -> tuple[int, dict[str, Any]]:
        target = request.target
        if target.kind == "health":
            return 200, {"status": "ok"}
        if target.kind == "captures":
            return 200, self._captures.to_wire(target.name or "", target.limit)
        return self._metadata.answer(target, self._visible(request))

    def _visible(self, request: Request) -> list[str]:
        """Endpoints that the caller may know of."""
        if request.caller is not None:
            return self._table.names_of(request.caller)
        return [endpoint.name for endpoint in self._table.endpoints()] if request.trusted else []
