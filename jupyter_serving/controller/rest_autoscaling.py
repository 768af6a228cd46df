"""The REST route of the autoscaler: why so many replicas."""

from __future__ import annotations

from ..errors import InvalidParameter
from .rest import Handler

MOST = 500


class Autoscaling(Handler):
    """``GET …/{name}/autoscaling``."""

    async def get(self, name: str) -> None:
        """State of each served entity with its reason, and the last ``limit`` decisions."""
        text = self.get_query_argument("limit", "20")
        if not text.isdigit():
            raise InvalidParameter(f"limit must be a number that is not negative, not {text!r}.")
        endpoint = self.controller.endpoints.get(name)
        limit = min(int(text[:9]), MOST)
        told = await self.controller.decisions.told(endpoint, self.controller.scaling, limit)
        self.answer(await self.controller.advising.complete(endpoint, told))
