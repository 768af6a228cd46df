"""Update certificates: what an update did to the traffic, from the gateway's figures, kept with the endpoint."""

from __future__ import annotations

from .records import EndpointRecord

# How an update ended; the words of a certificate.
SUCCEEDED, FAILED, CANCELED = "SUCCEEDED", "FAILED", "CANCELED"


class Certificates:
    """Follows updates from ``begin`` to ``end``."""

    def begin(self, endpoint: EndpointRecord, version: int) -> None:
        """An update to config ``version`` begins (its record has been stored); costs nothing."""

    async def end(self, endpoint: EndpointRecord, version: int, outcome: str) -> None:
        """It ended with ``SUCCEEDED``, ``FAILED`` or ``CANCELED``: call it when that has been stored.

        ``endpoint`` may be the record from before or after; never raises for want of figures.
        """
