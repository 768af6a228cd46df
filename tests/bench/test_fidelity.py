"""The comparison of simulated and real loads: what it reads, and that it can fail."""

from __future__ import annotations

from typing import Any

import pytest

from benchmarks import fidelity, openloop


def test_shapes_are_three_of_under_a_minute() -> None:
    shapes = fidelity.shapes()
    assert len({shape.name for shape in shapes}) == 3
    for shape in shapes:
        assert 20 < max(shape.moments) < 60
        assert min(shape.moments) >= 0
        assert len(shape.moments) > 100


def test_an_answer_is_read() -> None:
    data = (
        b"HTTP/1.1 200 OK\r\nServer-Timing: queue;dur=12.5, cold;dur=1000, replica;dur=400\r\n"
        b"content-length: 2\r\n\r\n{}"
    )
    assert openloop.told(data) == (200, {"queue": 0.0125, "cold": 1.0, "replica": 0.4})
    assert openloop.told(b"") == (0, {})
    answered = openloop.Answered(0.0, *openloop.told(data))
    assert answered.waited == pytest.approx(1.0125)


def test_a_ramp_has_the_rate_that_was_asked_for() -> None:
    moments = fidelity._ramp(20.0, 10.0)
    assert len(moments) == pytest.approx(100, abs=1)
    middle = [m for m in moments if 9.5 <= m < 10.5]
    assert len(middle) == pytest.approx(10, abs=1)


def one(waited: float, replicas: list[float]) -> fidelity.Compared:
    """A comparison of 40 requests at one slot of a second, a cold start of a second, one replica that is up."""
    shape = fidelity.Shape("test", 1, 1, [0.0])
    timing = {"queue": waited, "replica": 1.0}
    answers = [openloop.Answered(0.01 * n, 200, timing) for n in range(40)]
    starts: list[dict[str, Any]] = [
        {
            "reason": "wake",
            "phases": {
                "held": 9.0,
                "decision": 0.1,
                "spawn": 0.5,
                "publish": 0.4,
                "first_byte": 5.0,
            },
        }
    ]
    return fidelity.compare(shape, answers, replicas, starts)


def test_what_agrees_holds_and_what_does_not_fails() -> None:
    steps = round(60 / fidelity.LOOK_SECONDS)
    good = one(37.0, [1.0] * steps)
    assert good.cold_start == pytest.approx(1.0)
    assert good.execution == pytest.approx(1.0)
    assert all(bar.holds for bar in good.bars())
    assert [bar.holds for bar in one(20.0, [1.0] * steps).bars()] == [True, False, True]
    assert [bar.holds for bar in one(37.0, [1.0, 3.0] * (steps // 2)).bars()] == [False, True, True]
