"""How far a replica's start has come: which phase goes on, and what the others took."""

from __future__ import annotations

import time
from typing import Any, Dict, List, Tuple

from .importclock import ImportClock

# An order is obeyed sooner; a clock that says otherwise is another machine's.
_PLAUSIBLE = 600.0


class Course:
    """One start, up to the first prediction.

    ``born``: monotonic time at which it was asked for. ``clock``: counts its imports, also those done before.
    ``imported``: seconds of imports done for it before. ``interpreter``: seconds until Python ran our first line.

    ``phases``: seconds by name; ``phase``: the one that goes on; ``first``: seconds of the first prediction, which is
    part of the warm-up.
    """

    def __init__(
        self, born: float, clock: ImportClock, imported: float = 0.0, interpreter: float = 0.0
    ) -> None:
        self.phase, self.first = "spawn", 0.0
        self.clock = clock
        self.phases: Dict[str, float] = {"spawn": max(0.0, time.monotonic() - born)}
        if interpreter:
            self.phases["interpreter"] = interpreter
        self.phases["imports"] = imported

    def load(self) -> Load:
        """Context manager around the load of the model: parts its seconds into imports and the rest."""
        return Load(self)

    def failed(self, error: BaseException) -> Dict[str, Any]:
        """What is told of a start that ended with ``error``: the phase it failed in, and those before."""
        phase = "imports" if isinstance(error, ImportError) else self.phase
        return {"phase": phase, "phases": self.phases, "imports": self.slowest()}

    def slowest(self) -> List[Tuple[str, float, float]]:
        """See ``ImportClock.slowest``."""
        return self.clock.slowest()


class Load:
    """See ``Course.load``; ``seconds`` and ``imports`` are known at its end."""

    def __init__(self, course: Course) -> None:
        self.seconds = self.imports = 0.0
        self._course = course
        self._began = self._before = 0.0

    def __enter__(self) -> Load:
        self._course.phase = "model_load"
        self._began, self._before = time.perf_counter(), self._course.clock.seconds
        self._course.clock.__enter__()
        return self

    def __exit__(self, *exc: object) -> None:
        course = self._course
        course.clock.__exit__()
        self.seconds = time.perf_counter() - self._began
        self.imports = course.clock.seconds - self._before
        course.phases["imports"] += self.imports
        course.phases["model_load"] = max(0.0, self.seconds - self.imports)


def asked(spec: Dict[str, Any], now: float) -> float:
    """Monotonic time at which ``spec`` was asked for, as its sender tells; ``now`` where it does not."""
    told = spec.get("asked")
    if not isinstance(told, (int, float)) or not 0.0 <= now - told <= _PLAUSIBLE:
        return now
    return float(told)
