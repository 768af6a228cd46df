"""Teaching a zygote modules, safely: each is imported in a throw-away fork before the zygote imports it itself."""

from __future__ import annotations

import json
import os
import selectors
import signal
from collections import deque
from typing import Any, Callable, Deque, List, Optional

from . import log, preload

# Importing everything a model needs takes seconds; a module that takes this long is not worth it.
PATIENCE = 120.0


class Lesson:
    """Names that one client taught: ``untried`` ones, then ``good`` ones that wait to be imported.

    ``told`` is called with the number of learned modules at the end.
    """

    def __init__(self, names: List[str], told: Callable[[int], None]) -> None:
        self.untried = list(names)
        self.good: List[str] = []
        self.told = told

    def conclude(self, report: bytes) -> None:
        """A fork has ended: keep what went well, leave out what did not, and go on with the rest if there is any.

        A fork that ends without a word about a module was killed by its import.
        """
        for line in report.split(b"\n"):
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

    def _refuse(self, name: str, why: str) -> None:
        package = name.partition(".")[0]
        log.say("zygote", f"{package} is not learned: {name}: {why}; models import it themselves")
        self.untried = [other for other in self.untried if other.partition(".")[0] != package]
        self.good = [other for other in self.good if other.partition(".")[0] != package]


class Trial:
    """The fork that tries modules: its pid, the pipe that it reports to, until when it may run."""

    def __init__(self, pid: int, pipe: int, until: float) -> None:
        self.pid, self.pipe, self.until = pid, pipe, until
        self.report = bytearray()


class School:
    """All lessons of a zygote, one after the other. ``path``: file of learned names; ``fork`` runs a child.

    ``step`` is called on each turn of the zygote's loop and does one short thing.
    """

    def __init__(
        self,
        path: Optional[str],
        selector: selectors.BaseSelector,
        fork: Callable[[Callable[[], int]], int],
    ) -> None:
        self._path, self._selector, self._fork = path, selector, fork
        self._lessons: Deque[Lesson] = deque()
        self._trial: Optional[Trial] = None
        self.learned = preload.read(path)

    @property
    def busy(self) -> bool:
        """True while a lesson goes on."""
        return bool(self._lessons)

    @property
    def trial(self) -> Optional[Trial]:
        """The fork that runs now."""
        return self._trial

    def recall(self) -> None:
        """Import what was learned in earlier lives."""
        self.learned = preload.load(self.learned)

    def teach(self, names: Any, told: Callable[[int], None]) -> None:
        """Begin a lesson, after those that are going on."""
        self._lessons.append(Lesson(preload.unknown(preload.valid(names)), told))

    def patience(self, now: float) -> float:
        """Seconds until ``step`` has something to do, while busy."""
        return max(0.0, self._trial.until - now) if self._trial is not None else 0.0

    def step(self, now: float) -> None:
        """Do the next short thing: start a fork, end one that takes too long, or import one module."""
        if not self._lessons:
            return
        lesson = self._lessons[0]
        if self._trial is not None:
            if now >= self._trial.until:
                self._conclude(self._trial)
        elif lesson.untried:
            self._try(lesson, now)
        elif lesson.good:
            # One at a time, so that a client never waits for more than one import.
            self.learned += preload.load([lesson.good.pop(0)])
        else:
            self._finish(lesson)

    def _finish(self, lesson: Lesson) -> None:
        self._lessons.popleft()
        self.learned = list(dict.fromkeys(self.learned))
        preload.write(self._path, self.learned)
        lesson.told(len(self.learned))

    def _try(self, lesson: Lesson, now: float) -> None:
        lesson.untried = names = preload.unknown(lesson.untried)
        if not names:
            return
        reading, writing = os.pipe()

        def tried() -> int:
            os.close(reading)
            preload.try_out(names, writing)
            return 0

        try:
            pid = self._fork(tried)
        except OSError as error:
            log.say("zygote", f"nothing is learned: {error}")
            lesson.untried = []
            os.close(reading)
        else:
            self._trial = Trial(pid, reading, now + PATIENCE)
            self._selector.register(reading, selectors.EVENT_READ, self._hear)
        finally:
            os.close(writing)

    def _hear(self) -> None:
        trial = self._trial
        if trial is None:
            return
        data = os.read(trial.pipe, 65536)
        trial.report += data
        if not data:
            self._conclude(trial)

    def _conclude(self, trial: Trial) -> None:
        self._trial = None
        self._selector.unregister(trial.pipe)
        os.close(trial.pipe)
        os.kill(trial.pid, signal.SIGKILL)
        os.waitpid(trial.pid, 0)
        self._lessons[0].conclude(bytes(trial.report))


def _verdict(line: bytes) -> Optional[List[Any]]:
    try:
        verdict = json.loads(line)
    except ValueError:
        return None
    return verdict if isinstance(verdict, list) and verdict else None
