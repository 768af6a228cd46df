"""What a replica tells of itself: the bodies of ``/status`` and ``/health/ready``."""

from __future__ import annotations

import json
import os
from typing import Any, Dict

from . import memory
from .dispatch import Dispatcher

# Of a worker's report.
_NAMED = ("fast_path", "workers", "workers_reason")


class Facts:
    """``keeper``: pid of the process that forks the workers, 0 where there is none."""

    def __init__(self, dispatcher: Dispatcher, slots: int) -> None:
        self._dispatcher = dispatcher
        self._slots = slots
        self.keeper = 0

    def _common(self) -> Dict[str, Any]:
        report, grouping = self._dispatcher.report, self._dispatcher.grouping
        return {
            "slots": self._slots,
            "capacity": grouping.capacity,
            "batch": grouping.describe(),
            **{name: report[name] for name in _NAMED if name in report},
        }

    def ready(self) -> bytes:
        """For a replica that is ready."""
        dispatcher = self._dispatcher
        body = {
            "ready": True,
            **self._common(),
            "phases": dispatcher.report.get("phases", {}),
            "imports": dispatcher.report.get("imports", []),
            "first": dispatcher.report.get("first", 0.0),
            "modules": dispatcher.report.get("modules", []),
            "pid": os.getppid(),
            # how much of it is shared takes longer to tell than a start has: /status does
            "memory": memory.resident(link.pid for link in dispatcher.links),
        }
        return json.dumps(body).encode()

    def status(self, ready: bool) -> bytes:
        """For whoever looks, at any time."""
        dispatcher, common = self._dispatcher, self._common()
        kind = common.pop("workers", None)
        workers = [
            {"slot": link.slot, "pid": link.pid, "state": link.state} for link in dispatcher.links
        ]
        body = {
            **common,
            "pid": os.getppid(),
            "front_pid": os.getpid(),
            "busy": dispatcher.busy,
            "queued": dispatcher.queued,
            "ready": ready,
            "workers": workers,
            "workers_kind": kind,
            "memory": self._memory(),
        }
        return json.dumps(body).encode()

    def _memory(self) -> Dict[str, Any]:
        """What the processes hold, by role; walks their pages, some milliseconds each."""
        workers = [link.pid for link in self._dispatcher.links]
        keeper = [self.keeper] if self.keeper else []
        return memory.report(
            {"leader": [os.getppid()], "front": [os.getpid()], "keeper": keeper, "workers": workers}
        )
