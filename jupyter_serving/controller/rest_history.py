"""Routes of the metrics history and of update certificates."""

from __future__ import annotations

import math

import msgspec

from ..errors import InvalidParameter
from .rest import Handler


class History(Handler):
    """What an endpoint did over time."""

    async def get(self, name: str) -> None:
        """Columns from ``start`` to ``end`` (epoch seconds), a value for each ``step``."""
        endpoint = self.controller.endpoints.get(name)
        start, end, step = (self._number(what) for what in ("start", "end", "step"))
        answer = await self.controller.history.answer(
            endpoint.id, start, end, None if step is None else int(step)
        )
        self.set_header("Content-Type", "application/json")
        # As it is: in a column null means that nothing was recorded.
        self.finish(msgspec.json.encode(answer))

    def _number(self, name: str) -> float | None:
        text = self.get_query_argument(name, "")
        try:
            value = float(text) if text else None
        except ValueError:
            value = math.nan
        if value is not None and not math.isfinite(value):
            raise InvalidParameter(f"{name} must be a number of seconds, not {text!r}.")
        return value
