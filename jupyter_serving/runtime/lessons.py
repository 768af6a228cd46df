"""Teaching a zygote modules, safely: each is imported in a throw-away fork before the zygote imports it itself."""

from __future__ import annotations

import json
from typing import Any, Callable, List, Optional

from . import log

# Importing everything a model needs takes seconds; a module that takes this long is not worth it.
PATIENCE = 120.0


class Lesson:
    """Names that one client taught. ``told`` is called with the number of learned modules at the end.

    ``state``: waiting, trying (a fork imports them), importing (one at a time, in the zygote), done.
    """

    def __init__(self, names: List[str], told: Callable[[int], None]) -> None:
        self.state = "waiting"
        self.untried = list(names)
        self.good: List[str] = []
        self.told = told
        self.until = 0.0
        self._report = bytearray()

    def begin(self, now: float) -> None:
        """A fork tries ``untried`` now."""
        self.state, self.until, self._report = "trying", now + PATIENCE, bytearray()

    def hear(self, data: bytes) -> None:
        """More of the fork's report."""
        self._report += data

    def conclude(self) -> None:
        """The fork has ended: keep what went well, leave out what did not, and go on with the rest if there is any.

        A fork that ends without a word about a module was killed by its import.
        """
        for line in self._report.split(b"\n"):
            verdict = _verdict(line)
            if verdict is None or not self.untried:
                continue
            name = self.untried.pop(0)
            if verdict[0] == "ok":
                self.good.append(name)
            elif verdict[0] == "failed":
                log.say("zygote", f"{name} is not learned: {verdict[2]}")
            else:
                self._refuse(name, verdict[2])
                break
        else:
            if self.untried:
                self._refuse(self.untried.pop(0), "its import did not end well")
        self.state = "waiting" if self.untried else "importing"

    def _refuse(self, name: str, why: str) -> None:
        package = name.partition(".")[0]
        log.say(
            "zygote", f"{package} is not learned: after {name}, {why}; models import it themselves"
        )
        self.untried = [other for other in self.untried if other.partition(".")[0] != package]
        self.good = [other for other in self.good if other.partition(".")[0] != package]


def _verdict(line: bytearray) -> Optional[List[Any]]:
    try:
        verdict = json.loads(line)
    except ValueError:
        return None
    return verdict if isinstance(verdict, list) and verdict else None
