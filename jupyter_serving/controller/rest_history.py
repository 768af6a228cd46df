"""Routes of the metrics history and of update certificates."""

from __future__ import annotations

import math

import msgspec

from ..errors import InvalidParameter
from .records import CertificateRecord
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


class Updates(Handler):
    """Certificates of the updates of an endpoint."""

    async def get(self, name: str) -> None:
        """The last ``limit`` ones, newest last."""
        text = self.get_query_argument("limit", "20")
        if not text.isdigit():
            raise InvalidParameter(f"limit must be a number that is not negative, not {text!r}.")
        endpoint = self.controller.endpoints.get(name)
        found = await self.controller.store.recent(
            CertificateRecord, endpoint.id, min(int(text), 1000)
        )
        self.answer({"updates": [record.body for record in found]})
