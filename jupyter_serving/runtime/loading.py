"""From a model's directory to a scorer that has predicted once and knows what it may do."""

from __future__ import annotations

import gc
import os
import time
from typing import Any, Dict, List, NamedTuple, Optional, Tuple

from . import imports, log, memory, warmup
from .batching import Batching
from .course import Course
from .learning import canonical
from .scoring import Scored, Scorer
from .verdicts import Verdicts


class Loaded(NamedTuple):
    """A model ready to serve.

    ``course``: how its start went. ``modules``: names of modules that the load imported. ``at``: when (monotonic)
    the model was in memory: what comes until a worker says that it is ready is warm-up.
    """

    scorer: Scorer
    batching: Batching
    sample: warmup.Sample
    course: Course
    modules: List[str]
    metadata: Any
    at: float

    def ready(self, workers: str, reason: str) -> Dict[str, Any]:
        """The ready frame of a worker that is ``workers`` ("fork", "spawn") because of ``reason``."""
        return {
            "event": "ready",
            "phases": {**self.course.phases, "warm_up": time.monotonic() - self.at},
            "imports": self.course.slowest(),
            "first": self.course.first,
            "modules": self.modules,
            "workers": workers,
            "workers_reason": reason,
            **self.scorer.describe(),
            **self.batching.describe(),
        }


def load(spec: Dict[str, Any], who: str, before: str, course: Course) -> Loaded:
    """Load the model of ``spec``, predict its example, check what can be checked.

    ``before``: the last module that was there. Raises whatever the model's own code raises; ``course`` knows where.
    """
    model, scorer = _load(spec, who, course)
    course.phase, began = "warm_up", time.monotonic()
    sample = warmup.sample(spec["model"], model.metadata)
    first = _warm_up(scorer, sample, who)
    course.first = time.monotonic() - began
    batching = _checked(scorer, spec, sample, first, model.metadata)
    course.phases["warm_up"] = time.monotonic() - began
    modules = list(imports.learned(before, imports.environment_folders(), spec["model"]))
    settle()
    return Loaded(scorer, batching, sample, course, modules, model.metadata, began)


def settle() -> None:
    """What has been loaded stays: neither the collector nor the allocator need look at it again."""
    gc.collect()
    memory.trim()
    gc.freeze()


def _load(spec: Dict[str, Any], who: str, course: Course) -> Tuple[Any, Scorer]:
    with course.load() as load:
        import mlflow.pyfunc
        import mlflow.pyfunc.scoring_server as server

        # As in MLflow's own server: some checks of type hints are left to it.
        os.environ["_MLFLOW_IS_IN_SERVING_ENVIRONMENT"] = "true"
        read = getattr(server, "load_model_with_mlflow_config", mlflow.pyfunc.load_model)
        model = read(spec["model"])
        scorer = Scorer(model, spec)
    log.say(who, f"model loaded in {load.seconds:.2f} s, {load.imports:.2f} s of it imports")
    return model, scorer


def _warm_up(scorer: Scorer, sample: warmup.Sample, who: str) -> Optional[Scored]:
    if sample.request is None:
        return None
    scored = scorer.answer(sample.request, None)
    if scored.status != 200 and sample.origin == warmup.EXAMPLE:
        text = scored.body[:2000].decode("utf-8", "replace")
        log.say(who, f"the model's own input example was refused: {text}")
    return scored


def _checked(
    scorer: Scorer,
    spec: Dict[str, Any],
    sample: warmup.Sample,
    first: Optional[Scored],
    metadata: Any,
) -> Batching:
    """Let the scorer have its fast path, and say what may be batched: as remembered, else by the checks."""
    kept = Verdicts.of(spec)
    found = kept.read()
    batching = None if found is None else _recalled(scorer, found, sample, first)
    if batching is None:
        scorer.learn(sample.request if sample.origin == warmup.EXAMPLE else None)
        batching = Batching.check(scorer, spec, metadata)
        kept.write(scorer.memo, batching.memo)
    batching.remember = kept.stop_batching
    return batching


def _recalled(
    scorer: Scorer, found: Dict[str, Any], sample: warmup.Sample, first: Optional[Scored]
) -> Optional[Batching]:
    """The remembered way, warmed up: its answer must be the one that MLflow's way just gave. None where it is not."""
    try:
        scorer.recall(found["fast_path"])
        if scorer.fast is not None and sample.request is not None and first is not None:
            again = scorer.answer(sample.request, None)
            if first.status == 200 and canonical(again.body) != canonical(first.body):
                raise ValueError("the example's answer is another one")
        return Batching.recall(scorer, found["batch"])
    except BaseException as error:
        log.say("worker", f"what an earlier start found does not hold: {log.last_line(error)}")
        return None
