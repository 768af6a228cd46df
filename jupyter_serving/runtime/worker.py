"""One slot of a replica: loads the model, then computes one prediction at a time in its main thread."""

from __future__ import annotations

import gc
import importlib
import os
import socket
import sys
import time
import traceback
from typing import Any, Dict, Iterable, Tuple

from . import imports, log, process, slot, warmup, wire
from .batching import Batching
from .scoring import Scorer

LOAD_FAILED = 3
_THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
)


class Worker:
    """``spec`` as in the spawn protocol; ``before``: names of the modules that were there at the fork.

    ``born``: monotonic time at which the worker was asked for; ``imported``: seconds of imports done for it before.
    """

    def __init__(
        self, spec: Dict[str, Any], number: int, before: Iterable[str], born: float, imported: float
    ) -> None:
        self._spec = spec
        self._name = f"worker {number}"
        self._before = list(before)
        self._phases = {"spawn": max(0.0, time.monotonic() - born), "imports": imported}

    def run(self, sock: socket.socket) -> int:
        """Serve until the front is gone; returns the exit code."""
        try:
            scorer, batching = self._start()
        except BaseException as error:
            log.say_traceback(self._name, "the model could not be loaded")
            failed = {
                "event": "failed",
                "message": log.last_line(error),
                "traceback": traceback.format_exc(),
            }
            sock.sendall(wire.pack(failed))
            return LOAD_FAILED
        ready = {"event": "ready", "phases": self._phases, "modules": self._modules()}
        sock.sendall(wire.pack({**ready, **scorer.describe(), **batching.describe()}))
        slot.serve(sock, scorer, batching, self._name)
        return 0

    def _start(self) -> Tuple[Scorer, Batching]:
        threads = max(1, int(self._spec.get("cpu_share") or 1))
        for name in _THREAD_VARIABLES:
            os.environ.setdefault(name, str(threads))
        process.reseed()
        model, scorer = self._load()
        _set_threads(threads)
        began = time.perf_counter()
        self._warm_up(scorer, model)
        batching = Batching.check(scorer, self._spec, model.metadata)
        self._phases["warm_up"] = time.perf_counter() - began
        # What has been loaded stays: the collector need not look at it during requests.
        gc.collect()
        gc.freeze()
        return scorer, batching

    def _load(self) -> Tuple[Any, Scorer]:
        began = time.perf_counter()
        with imports.ImportClock() as clock:
            import mlflow.pyfunc
            import mlflow.pyfunc.scoring_server as server

            # As in MLflow's own server: some checks of type hints are left to it.
            os.environ["_MLFLOW_IS_IN_SERVING_ENVIRONMENT"] = "true"
            load = getattr(server, "load_model_with_mlflow_config", mlflow.pyfunc.load_model)
            model = load(self._spec["model"])
            scorer = Scorer(model, self._spec)
        seconds = time.perf_counter() - began
        self._phases["imports"] += clock.seconds
        self._phases["model_load"] = max(0.0, seconds - clock.seconds)
        log.say(
            self._name,
            f"model loaded in {seconds:.2f} s (private copy), {clock.seconds:.2f} s of it imports",
        )
        return model, scorer

    def _warm_up(self, scorer: Scorer, model: Any) -> None:
        request = warmup.example_request(self._spec["model"], model.metadata)
        if request is None:
            scorer.learn(None)
            return
        scored = scorer.answer(request, None)
        if scored.status != 200:
            text = scored.body[:2000].decode("utf-8", "replace")
            log.say(self._name, f"the model's own input example was refused: {text}")
        scorer.learn(request)

    def _modules(self) -> Iterable[str]:
        return imports.learned(self._before, imports.environment_folders(), self._spec["model"])


def _set_threads(threads: int) -> None:
    """Raise the thread pools that were limited to one thread before the fork, where the library for it is there."""
    if threads <= 1 or "numpy" not in sys.modules:
        return
    try:
        threadpoolctl = importlib.import_module("threadpoolctl")
    except ImportError:
        return
    threadpoolctl.threadpool_limits(threads)


def run(
    spec: Dict[str, Any],
    number: int,
    sock: socket.socket,
    before: Iterable[str],
    born: float,
    imported: float = 0.0,
) -> int:
    """Be a worker process; returns its exit code."""
    process.ignore(*process.GENTLE)
    process.lead_group()
    return Worker(spec, number, before, born, imported).run(sock)
