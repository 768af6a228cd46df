"""How long imports take, by top-level package: what each took itself, and what it took with all that it brought along.

Python's own import calls ``_find_and_load`` of ``importlib._bootstrap`` for each module that is not there yet (3.9 to
3.14), so timing that one function costs a microsecond per new module and nothing for the others.
"""

from __future__ import annotations

import importlib
import threading
import time
from typing import Any, Callable, Dict, List, Tuple

_bootstrap: Any = importlib.import_module("importlib._bootstrap")
SHOWN = 10
# Less is not worth a line.
_LEAST = 0.0005


class ImportClock:
    """Context manager, to be entered as often as wanted; counts for the thread that entered it.

    ``seconds``: within outermost imports. ``own``: by package, without other packages that it imported; these add up to
    ``seconds``. ``whole``: by package, with them.
    """

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        self.seconds = 0.0
        self.own: Dict[str, float] = {}
        self.whole: Dict[str, float] = {}
        self._clock = clock
        self._thread = 0
        self._original: Any = None
        # Of each import that goes on: its package, and the seconds of what it imported.
        self._open: List[Tuple[str, List[float]]] = []

    def __enter__(self) -> ImportClock:
        self._thread = threading.get_ident()
        self._original = _bootstrap._find_and_load
        _bootstrap._find_and_load = self._timed(self._original)
        return self

    def __exit__(self, *exc: object) -> None:
        _bootstrap._find_and_load = self._original

    def slowest(self) -> List[Tuple[str, float, float]]:
        """The packages that took most themselves: (name, own seconds, whole seconds), at most ten."""
        names = sorted(self.own, key=lambda name: -self.own[name])[:SHOWN]
        return [
            (name, round(self.own[name], 4), round(self.whole[name], 4))
            for name in names
            if self.own[name] >= _LEAST
        ]

    def _timed(self, original: Any) -> Any:
        def find_and_load(name: str, import_: Any) -> Any:
            if threading.get_ident() != self._thread:
                return original(name, import_)
            package, inner = name.partition(".")[0], [0.0]
            outermost = all(package != other for other, _ in self._open)
            self._open.append((package, inner))
            began = self._clock()
            try:
                return original(name, import_)
            finally:
                self._open.pop()
                self._count(package, self._clock() - began, inner[0], outermost)

        return find_and_load

    def _count(self, package: str, took: float, inner: float, outermost: bool) -> None:
        self.own[package] = self.own.get(package, 0.0) + took - inner
        if outermost:
            self.whole[package] = self.whole.get(package, 0.0) + took
        if self._open:
            self._open[-1][1][0] += took
        else:
            self.seconds += took
