"""Failed starts: pauses, what is told, and when they are forgotten."""

from __future__ import annotations

from jupyter_serving.controller.setbacks import FIRST_PAUSE, LONGEST_PAUSE, TOLD_AFTER, Setbacks

KEY = "e:1:iris-1"


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_pauses_double_up_to_a_limit() -> None:
    clock = Clock()
    setbacks, pauses = Setbacks(clock), []
    for _ in range(12):
        setbacks.failed(KEY, "no memory")
        (due,) = setbacks.due("e")
        assert setbacks.held_off(KEY)
        pauses.append(due - clock.now)
        clock.now = due
        assert not setbacks.held_off(KEY)
        assert setbacks.due("e") == []
    assert [round(p / FIRST_PAUSE) for p in pauses[:4]] == [1, 2, 4, 8]
    assert pauses[-1] == LONGEST_PAUSE


def test_callers_wait_for_a_first_failure_and_are_told_of_a_lasting_one() -> None:
    setbacks = Setbacks(Clock())
    for count in range(1, TOLD_AFTER + 1):
        assert setbacks.lasting(KEY) is None
        setbacks.failed(KEY, f"failure {count}")
        assert setbacks.why(KEY) == f"failure {count}"
    assert setbacks.lasting(KEY) == f"failure {TOLD_AFTER}"


def test_what_is_forgotten_begins_anew() -> None:
    setbacks = Setbacks(Clock())
    for _ in range(TOLD_AFTER):
        setbacks.failed(KEY, "no memory")
    setbacks.forget([KEY, "e:1:unknown"])
    assert (setbacks.held_off(KEY), setbacks.why(KEY), setbacks.lasting(KEY)) == (False, None, None)


def test_endpoints_and_entities_do_not_share_their_failures() -> None:
    setbacks = Setbacks(Clock())
    setbacks.failed(KEY, "no memory")
    assert not setbacks.held_off("e:2:iris-1")
    assert setbacks.due("e1") == []
