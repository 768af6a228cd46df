"""Which of the waiting calls form the next group (pure)."""

from __future__ import annotations

from typing import Any, Deque, Dict, List

from .calls import Call

# Bytes of bodies that are joined at most: more gains nothing and holds up the small ones.
GROUP_BYTES = 1 << 20


class Grouping:
    """How many calls one worker gets at a time.

    ``processors``: those that we may use. ``max_size`` 1 is one by one, ``reason`` says why; ``sizes`` counts
    the groups that were computed, by size.
    """

    def __init__(self, slots: int, processors: int = 1) -> None:
        self._slots = slots
        self._processors = processors
        self._news = ""
        self.max_size = 1
        self.reason = "not ready yet"
        self.state = "unknown"  # learned, switched_off
        self.sizes: Dict[int, int] = {}

    @property
    def capacity(self) -> int:
        """Most requests that a gateway should have here at a time."""
        return self._slots * self.max_size

    def room(self, busy: int, waiting: int) -> int:
        """How many more workers may begin a group now, while ``busy`` ones compute and ``waiting`` calls are there.

        A group costs little more than one call, so a further worker pays only where a processor is free for it, or
        where a whole group waits; else it makes the groups smaller and takes the processor from gateway and front.
        """
        if self.max_size == 1:
            return self._slots
        most = self._processors if waiting >= self.max_size else max(self._processors // 2, 1)
        return max(most - busy, 0)

    def describe(self) -> Dict[str, Any]:
        """For status and readiness."""
        sizes = {str(size): self.sizes[size] for size in sorted(self.sizes)}
        return {"max_size": self.max_size, "reason": self.reason, "sizes": sizes}

    def learn(self, reports: List[Dict[str, Any]]) -> None:
        """What the workers found at load: the smallest size holds for all."""
        if self.state == "unknown":
            least = min(reports, key=lambda report: int(report.get("max_size", 1)))
            self.state = "learned"
            self.max_size = int(least.get("max_size", 1))
            self.reason = str(least.get("reason", ""))

    def switch_off(self, reason: str) -> None:
        """A worker found answers that depend on the group: from now on one by one, in the whole replica."""
        if self.state != "switched_off":
            self.state, self.max_size, self.reason = "switched_off", 1, reason
            self._news = reason

    def news(self) -> str:
        """What has not been told yet, once; mostly empty."""
        news, self._news = self._news, ""
        return news

    def count(self, size: int) -> None:
        """A group of this size has been computed."""
        self.sizes[size] = self.sizes.get(size, 0) + 1

    def take(self, queue: Deque[Call], idle: int, limit: int) -> List[Call]:
        """The next group, taken from the queue in its order: a fair share for each of the ``idle`` workers.

        ``limit``: most calls that the worker takes.
        """
        first = queue.popleft()
        group = [first]
        size = min(self.max_size, limit, first.most, (len(queue) + idle) // idle)
        space = GROUP_BYTES - len(first.body)
        while len(group) < size:
            call = queue[0]
            space -= len(call.body)
            if call.most < size or space < 0:
                break
            group.append(queue.popleft())
        return group
