"""How long an endpoint's clients go without an answer while at least one of them waits for one; pure.

A gap runs from the last good answer, or from the arrival of a request where there was none before it, to the next good
answer. That is what an update or a crash must not stretch, whatever replica or config answers.
"""

from __future__ import annotations

# Refused because too many wait, and the client that left.
NO_ANSWERS = frozenset({429, 499})


class _Gap:
    """The present gap of one endpoint: requests that are there, since when nothing was answered, the longest so far."""

    __slots__ = ("longest", "since", "there")

    def __init__(self) -> None:
        self.there = 0
        self.since = self.longest = 0.0


class Gaps:
    """Gaps by the endpoint's name; ``now`` is in monotonic seconds."""

    __slots__ = ("_of",)

    def __init__(self) -> None:
        self._of: dict[str, _Gap] = {}

    def begun(self, endpoint: str, now: float) -> None:
        """A request has come."""
        gap = self._of.get(endpoint)
        if gap is None:
            gap = self._of[endpoint] = _Gap()
        if not gap.there:
            gap.since = now
        gap.there += 1

    def ended(self, endpoint: str, status: int, now: float) -> None:
        """A request is over; a failure or a refusal is no answer."""
        gap = self._of.get(endpoint)
        if gap is None:
            return
        gap.there -= 1
        if now - gap.since > gap.longest:
            gap.longest = now - gap.since
        if status < 500 and status not in NO_ANSWERS:
            gap.since = now

    def take(self, now: float) -> dict[str, float]:
        """The longest gap of each endpoint since the last call, also one that is not over."""
        told = {}
        for endpoint, gap in list(self._of.items()):
            if gap.there:
                gap.longest = max(gap.longest, now - gap.since)
            else:
                del self._of[endpoint]
            told[endpoint] = round(gap.longest, 6)
            gap.longest = 0.0
        return told
