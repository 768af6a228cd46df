"""How many requests a worker may compute as one: the check at load time and the watch during service."""

from __future__ import annotations

from typing import Any, Dict

from . import log


class Batching:
    """``max_size``: most requests in one prediction, 1 where they are computed one by one; ``reason`` says why."""

    def __init__(self, max_size: int, reason: str) -> None:
        self.max_size = max_size
        self.reason = reason

    @classmethod
    def check(cls, scorer: Any, spec: Dict[str, Any], metadata: Any) -> Batching:
        """What holds for this model: asked for by ``spec["batching"]``, allowed by ``metadata``, proven by trials."""
        batching = cls(1, "not checked")
        log.say("batching", batching.sentence())
        return batching

    def sentence(self) -> str:
        """For the log: ``up to 32 requests`` or ``off (why)``."""
        return f"up to {self.max_size} requests" if self.max_size > 1 else f"off ({self.reason})"

    def describe(self) -> Dict[str, Any]:
        """For the ready frame."""
        return {"batch": {"max_size": self.max_size, "reason": self.reason}}
