"""How many requests a worker may compute as one: the check at load time and the watch during service."""

from __future__ import annotations

import time
from functools import partial
from typing import Any, Callable, Dict, List, NamedTuple, Optional

from . import log, samples, warmup
from .agreement import difference
from .verdicts import EARLIER, Memo

DEFAULT_SIZE = 32
SAMPLES = 24
LEAST_SAMPLES = 4
# Seconds for the trials of one model, and for the measurement after it.
TRIAL_SECONDS = 3.0
MEASURE_SECONDS = 2.0
# A group may take so many times as long as one request.
SLOWER = 2.0
# ... and must save at least a quarter of what its requests would take one after the other.
SAVING = 0.75
# After the first groups (1, 2, 4, 8, …) each such one is compared with a prediction of one member alone.
EVERY = 256


Clock = Callable[[], float]


class Unfit(Exception):
    """The model is not to be batched; the message says why."""


class TooSlow(Unfit):
    """The same, found by a clock: it may be otherwise on a machine that is less busy."""


class Trial(NamedTuple):
    """A single-row request with the answer that it has when it is computed alone."""

    rows: Any
    result: Any


class Batching:
    """``max_size``: most requests in one prediction, 1 where they are computed one by one; ``reason`` says why.

    ``memo``: what ``recall`` makes the same of, None after a check that was not completed. ``remember`` is called with
    the reason when it is switched off.
    """

    def __init__(self, max_size: int, reason: str, memo: Optional[Memo] = None) -> None:
        self.max_size = max_size
        self.reason = reason
        self.groups = 0
        self.memo = memo
        self.remember: Callable[[str], None] = _forget

    @classmethod
    def recall(cls, scorer: Any, memo: Memo) -> Batching:
        """What an earlier start found, whose ``memo`` this is.

        Raises:
            Unfit: it does not fit the scorer; so may anything else that a damaged memo leads to.
        """
        size = int(memo["max_size"])
        if size < 1 or (size > 1 and scorer.fast is None):
            raise Unfit("there is no fast path")
        batching = cls(size, f"{memo['reason']}{EARLIER}", memo)
        more = " (remembered)" if size > 1 else ""
        log.say("worker", f"batching: {batching.sentence()}{more}")
        return batching

    @classmethod
    def check(cls, scorer: Any, spec: Dict[str, Any], metadata: Any) -> Batching:
        """What holds for this model: wanted by ``spec["batching"]``, allowed by ``metadata``, proven by trials.

        Args:
            scorer: has learned its fast path.
            spec: the spawn spec.
            metadata: the loaded model's ``mlflow.models.Model``.
        """
        wanted = spec.get("batching") or {}
        try:
            limit = _wanted(scorer, wanted, metadata)
            trials = _trials(scorer.fast, _bodies(spec, metadata))
            agree(scorer.fast, trials)
            batching = cls._found(measure(scorer.fast, trials, limit), limit)
        except Unfit as unfit:
            reason, timed = str(unfit), isinstance(unfit, TooSlow)
            batching = cls(1, reason, {"max_size": 1, "reason": reason, "timed": timed})
        except BaseException as error:
            batching = cls(1, f"the check failed: {log.last_line(error, 200)}")
        log.say("worker", f"batching: {batching.sentence()}")
        return batching

    @classmethod
    def _found(cls, measured: Measured, limit: int) -> Batching:
        # Less than could have been: a busy machine may have been why.
        timed = measured.max_size * 2 <= limit
        return cls(*measured, {**measured._asdict(), "timed": timed})

    def sentence(self) -> str:
        """For the log: ``up to 32 requests`` or ``off (why)``."""
        return f"up to {self.max_size} requests" if self.max_size > 1 else f"off ({self.reason})"

    def describe(self) -> Dict[str, Any]:
        """For the ready frame."""
        return {"batch": {"max_size": self.max_size, "reason": self.reason}}

    def due(self) -> bool:
        """Count a group; True when it is one to compare: each power of two, then every ``EVERY``th."""
        if self.max_size == 1:
            return False
        self.groups += 1
        return self.groups % EVERY == 0 or (
            self.groups < EVERY and self.groups & (self.groups - 1) == 0
        )

    def switch_off(self, reason: str) -> None:
        """From now on one by one."""
        self.max_size, self.reason = 1, reason
        self.remember(reason)


def _forget(reason: str) -> None:
    """There is nowhere to keep it."""


def declared(metadata: Any) -> bool:
    """True when the model says of itself that its predict treats each row by itself.

    ``mlflow.*.log_model(metadata={"jupyter_serving": {"row_wise": True}})``.
    """
    custom = getattr(metadata, "metadata", metadata)
    ours = custom.get("jupyter_serving") if isinstance(custom, dict) else None
    return isinstance(ours, dict) and ours.get("row_wise") is True


def _wanted(scorer: Any, wanted: Dict[str, Any], metadata: Any) -> int:
    mode, limit = wanted.get("mode", "auto"), int(wanted.get("max_size") or DEFAULT_SIZE)
    if mode == "off":
        raise Unfit("switched off for this endpoint")
    if limit < 2:
        raise Unfit(f"max_size is {limit}")
    if scorer.fast is None:
        reason = scorer.describe().get("fast_path", {}).get("reason") or "unknown reason"
        raise Unfit(f"no fast path: {reason}")
    if mode != "on" and not scorer.fast.row_wise and not declared(metadata):
        raise Unfit("the model is not known to treat each row by itself, and does not declare it")
    return limit


def _bodies(spec: Dict[str, Any], metadata: Any) -> List[bytes]:
    example = warmup.example_request(str(spec.get("model", "")), metadata)
    return samples.single_rows(example, metadata.get_input_schema(), SAMPLES)


def _trials(fast: Any, bodies: List[bytes]) -> List[Trial]:
    found: List[Trial] = []
    began = time.perf_counter()
    for body in bodies:
        rows = fast.parse(body)
        if rows is None or rows.count != 1:
            continue
        try:
            result = fast.predict(rows)
        except Exception:
            continue  # not every value of a type is one that a model takes
        found.append(Trial(rows, result))
        if time.perf_counter() - began > TRIAL_SECONDS:
            break
    if len(found) >= LEAST_SAMPLES:
        return found
    if time.perf_counter() - began > TRIAL_SECONDS:
        raise TooSlow("its predictions take too long to be compared at the start")
    raise Unfit("no rows to try it with; log the model with an input example")


def _groupings(count: int) -> List[List[int]]:
    """Places of the trials that are computed together: all, reversed, with repetitions, in threes and in pairs."""
    every = list(range(count))
    found = [every, every[::-1], [0, *every, 0]]
    found += [every[start : start + 3] for start in range(0, count - 2, 3)]
    found += [[start, (start + 1) % count] for start in range(count)]
    return found


def agree(fast: Any, trials: List[Trial]) -> None:
    """Compare joined predictions with single ones.

    Raises:
        Unfit: they differ.
    """
    for trial in trials[:LEAST_SAMPLES]:
        found = difference(fast.predict(trial.rows), trial.result)
        if found:
            raise Unfit(f"the same row has different answers when asked again: {found}")
    began = time.perf_counter()
    for number, group in enumerate(_groupings(len(trials))):
        if number > 2 and time.perf_counter() - began > TRIAL_SECONDS:
            break
        found = _compare(fast, [trials[place] for place in group])
        if found:
            raise Unfit(f"a row has another answer among {len(group)} rows than alone: {found}")


def _compare(fast: Any, group: List[Trial]) -> Optional[str]:
    try:
        result = fast.predict(fast.join([trial.rows for trial in group]))
    except Exception as error:
        return log.last_line(error, 200)
    if size(result) != len(group):
        return f"{size(result)} answers to {len(group)} rows"
    for place, trial in enumerate(group):
        part = fast.cut(result, place, place + 1)
        found = difference(part, fast.cut(trial.result, 0, 1))
        if found is None and len(fast.encode(part)) == 0:
            found = "an empty answer"
        if found:
            return found
    return None


def size(result: Any) -> int:
    """Rows of a result; -1 where it has none."""
    if isinstance(result, (dict, str, bytes)):
        return -1
    try:
        return len(result)
    except TypeError:
        return -1


def _best(run: Callable[[], Any], clock: Clock) -> float:
    """Least seconds of several runs: at least 3, at most 5, for a twentieth of a second."""
    least, began = float("inf"), clock()
    for number in range(5):
        start = clock()
        run()
        end = clock()
        least = min(least, end - start)
        if number >= 2 and end - began > 0.05:
            break
    return least


class Measured(NamedTuple):
    """The largest size that is worth it, and what was seen."""

    max_size: int
    reason: str


def measure(
    fast: Any, trials: List[Trial], limit: int, clock: Clock = time.perf_counter
) -> Measured:
    """The largest power of two, at most ``limit``, whose prediction takes at most ``SLOWER`` times a single one and
    less than ``SAVING`` times as long as its rows one by one.

    Raises:
        Unfit: not even two.
    """
    began = clock()
    single = _best(partial(fast.predict, trials[0].rows), clock)
    proven, seconds, number = 1, single, 2
    while number <= limit and clock() - began < MEASURE_SECONDS:
        joined = fast.join([trials[place % len(trials)].rows for place in range(number)])
        taken = _best(partial(fast.predict, joined), clock)
        if taken > single * min(SLOWER, SAVING * number):
            break
        proven, seconds, number = number, taken, number * 2
    if proven == 1:
        raise TooSlow(f"two rows take nearly as long as two times one ({_ms(single)})")
    return Measured(proven, f"{proven} rows take {_ms(seconds)}, one takes {_ms(single)}")


def _ms(seconds: float) -> str:
    return f"{seconds * 1000:.2f} ms"
