"""G11 (mlflow, LitServe #423): a model that sleeps beyond the deadline: 504 at the limit, then its slot is free."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from services import until

from .clients import Reply, post
from .stage import Pace, Stage

EARLY, LATE = 0.1, 1.0
FREE_WITHIN = 2.0
SLACK = 8.0
"""What a machine that is busy with other things may add; at least one of the tries has to hold the gate itself."""


def test_504_at_the_deadline_and_the_slot_is_free_again(strict: Stage, pace: Pace) -> None:
    with strict.endpoint(strict.zoo.puppet(), workload_size="Small", **_NO_RANGE) as played:

        def try_once(number: int) -> tuple[Reply, Reply]:
            late = post(played.url, played.authorization, played.act("sleep", 400 + number))
            return late, post(played.url, played.authorization, played.act("answer", number))

        before = strict.workers()
        assert len(before) == 4
        # As many as there are slots: an answer after it is one from a slot that had to become free.
        with ThreadPoolExecutor(4) as threads:
            tries = list(threads.map(try_once, range(4)))
        for late, after in tries:
            assert (late.status, late.code) == (504, "DEADLINE_EXCEEDED")
            assert pace.deadline - EARLY <= late.seconds <= pace.deadline + LATE + SLACK
            assert (after.status, after.seconds <= FREE_WITHIN + SLACK) == (200, True)
        assert min(late.seconds for late, _ in tries) <= pace.deadline + LATE
        assert min(after.seconds for _, after in tries) <= FREE_WITHIN
        until(lambda: len(strict.workers()) == 4, what="four workers again")
        assert not before & strict.workers(), "what slept on is gone"
        assert len(strict.leaders()) == 1
        played.quiet()


_NO_RANGE = {"min_provisioned_concurrency": None, "max_provisioned_concurrency": None}
