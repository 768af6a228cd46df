"""Advice from the columns of a history."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest

from jupyter_serving.autoscale.advice import advise, share

ENTITY: dict[str, Any] = {
    "slots_per_replica": 4,
    "replica_bytes": 500e6,
    "idle_seconds": 1800.0,
    "cold_start_seconds": 1.0,
}


def columns(requests: float, execution: float, ready: float, steps: int = 360) -> dict[str, Any]:
    """An hour in steps of 10 s; the last tenth without a record."""
    told = steps - steps // 10
    rest: list[float | None] = [None] * (steps - told)
    return {
        "arrivals": [requests] * told + rest,
        "finished": [requests] * told + rest,
        "busy_seconds": [requests * execution] * told + rest,
        "ready": [ready] * told + rest,
    }


def test_both_parts_are_told_and_are_json() -> None:
    told = advise(10.0, columns(25.0, 0.4, 4.0), **ENTITY)
    assert told is not None
    sizing = told["sizing"]
    assert (sizing["provisioned"], sizing["needed"], sizing["advised"]) == (16, 5, 8)
    assert sizing["execution_seconds"] == pytest.approx(0.4)
    assert sizing["requests_per_second"] == pytest.approx(2.5 * 0.9)
    assert sizing["saved_bytes"] == 1e9
    assert told["idle"]["now"]["idle_seconds"] == 1800.0
    assert told["seconds"] == 3600.0
    assert json.loads(json.dumps(told, allow_nan=False)) == told


def test_batching_divides_the_load() -> None:
    alone = advise(10.0, columns(25.0, 0.4, 4.0), **ENTITY)
    grouped = advise(10.0, columns(25.0, 0.4, 4.0), **ENTITY, group=8.0)
    assert alone is not None
    assert grouped is not None
    assert grouped["sizing"]["needed"] < alone["sizing"]["needed"]


def test_never_to_zero_is_null() -> None:
    told = advise(10.0, columns(25.0, 0.4, 4.0), **{**ENTITY, "idle_seconds": math.inf})
    assert told is not None
    assert told["idle"]["now"]["idle_seconds"] is None


@pytest.mark.parametrize("nothing", [{}, columns(0.0, 0.4, 1.0), columns(2.0, 0.0, 1.0)])
def test_without_a_finished_request_there_is_no_advice(nothing: dict[str, Any]) -> None:
    assert advise(10.0, nothing, **ENTITY) is None


def test_what_was_before_the_first_record_is_left_out() -> None:
    late = {name: [None] * 720 + values for name, values in columns(25.0, 0.4, 4.0).items()}
    assert advise(10.0, late, **ENTITY) == advise(10.0, columns(25.0, 0.4, 4.0), **ENTITY)


def test_a_share_of_the_traffic_needs_fewer_slots() -> None:
    whole = columns(25.0, 0.4, 4.0)
    assert share(whole, 1.0) == whole
    told = advise(10.0, share(whole, 0.1), **ENTITY)
    assert told is not None
    assert told["sizing"]["requests_per_second"] == pytest.approx(0.225)
    assert told["sizing"]["needed"] == 2
    assert advise(10.0, share(whole, 0.0), **ENTITY) is None
