"""How many threads the numeric libraries of a process may use: one while a model is loaded, the slot's share after."""

from __future__ import annotations

import ctypes
import importlib
import os
import re
import sys
from typing import Any, Dict, Optional

VARIABLES = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
)
# Threads of OpenMP that wait for work sleep instead of spinning: several workers, a front and others share the CPUs.
WAITING = {"OMP_WAIT_POLICY": "PASSIVE"}
_OPENMP = re.compile(r"lib(gomp|iomp5|omp)[^/]*\.so[^/]*$")


def share(spec: Dict[str, Any]) -> int:
    """Threads of one slot: ``spec["cpu_share"]``, else the user's ``OMP_NUM_THREADS``, else the CPUs by the slots."""
    told = spec.get("cpu_share") or os.environ.get("OMP_NUM_THREADS")
    try:
        return max(1, int(told)) if told else max(1, cpus() // max(1, int(spec["slots"])))
    except ValueError:
        return 1


def cpus() -> int:
    """Processors that this process may use."""
    try:
        return len(os.sched_getaffinity(0))
    except (AttributeError, OSError):  # macOS
        return os.cpu_count() or 1


class Single:
    """One thread per library from now on; ``restore`` puts the variables back and raises what has been loaded.

    Meant for the time between a process's start and its forks: OpenMP's and BLAS's own threads would not survive them.
    """

    def __init__(self) -> None:
        self._before = {name: os.environ.get(name) for name in VARIABLES}
        os.environ.update(dict.fromkeys(VARIABLES, "1"))
        _wait_asleep()

    def undo(self) -> None:
        """The variables as they were; what has been loaded keeps its one thread."""
        for name, value in self._before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value

    def restore(self, count: int) -> None:
        """``count`` threads, or what the user's variables said before."""
        self.undo()
        default(count)
        spread(count)


def default(count: int) -> None:
    """Set the variables that nobody has set; for a process that has not imported the libraries yet."""
    for name in VARIABLES:
        os.environ.setdefault(name, str(count))
    _wait_asleep()


def _wait_asleep() -> None:
    for name, value in WAITING.items():
        os.environ.setdefault(name, value)


def spread(count: int) -> None:
    """Let libraries that were imported with one thread use ``count``."""
    if count <= 1:
        return
    torch = sys.modules.get("torch")
    if torch is not None:
        torch.set_num_threads(count)
    if "numpy" not in sys.modules:
        return
    try:
        pools: Optional[Any] = importlib.import_module("threadpoolctl")
    except ImportError:
        pools = None
    if pools is not None:
        pools.threadpool_limits(count)
    else:
        _openmp(count)


def _openmp(count: int) -> None:
    """The same for OpenMP alone, where threadpoolctl is not installed."""
    try:
        with open("/proc/self/maps", encoding="utf-8", errors="replace") as maps:
            found = {line.split(None, 5)[-1].strip() for line in maps if _OPENMP.search(line)}
    except OSError:
        return
    for path in found:
        try:
            ctypes.CDLL(path).omp_set_num_threads(count)
        except (OSError, AttributeError):
            continue
