"""What would have saved most: on starts as they were recorded."""

from __future__ import annotations

import math
from typing import Any

import pytest

from jupyter_serving.controller.records import StartRecord
from jupyter_serving.controller.remedies import Facts, best, remedies

RESIDENT = {
    "held": 0.001,
    "decision": 0.002,
    "spawn": 0.03,
    "imports": 0.0,
    "model_load": 0.05,
    "warm_up": 0.14,
    "publish": 0.001,
    "first_byte": 0.01,
}


def start(total: float, phases: dict[str, float], **more: Any) -> StartRecord:
    facts: dict[str, Any] = dict(reason="wake", zygote="resident", memory_bytes=512_000_000)
    return StartRecord(
        replica="r1",
        endpoint="e",
        entity="iris-1",
        started_at=0,
        total_seconds=total,
        phases=phases,
        **facts | more,
    )


def facts(record: StartRecord, **more: Any) -> Facts:
    known: dict[str, Any] = dict(idle_limit=1800.0, slept=None, zygotes=True, zygote_idle=3600.0)
    return Facts(start=record, **known | more)


def text(record: StartRecord, **more: Any) -> str:
    found = best(facts(record, **more))
    return "" if found is None else found.sentence(record)


NOTHING_RESIDENT = start(
    2.3,
    RESIDENT | {"interpreter": 0.2, "imports": 1.7},
    zygote="started",
    zygote_seconds=1.8,
    imports=(("mlflow", 0.43), ("pandas", 0.14)),
    imports_whole={"mlflow": 1.2, "pandas": 0.2},
)


def test_a_zygote_that_had_to_be_started_is_kept_longer() -> None:
    told = text(NOTHING_RESIDENT)
    assert "raise zygote_idle_seconds (now 3600)" in told
    assert told.endswith("saves about 1.8 s of 2.3 s.")


def test_zygotes_that_are_switched_off_are_switched_on() -> None:
    phases = RESIDENT | {"interpreter": 0.2, "imports": 1.7}
    off = start(2.3, phases, zygote="none")
    assert "environment_zygotes" in text(off, zygotes=False)
    assert text(off, zygotes=False).endswith("saves about 1.9 s of 2.3 s.")
    assert "environment_zygotes" not in text(off), "a platform that cannot fork"


def test_a_slow_package_is_named_but_none_that_serving_needs() -> None:
    slow = start(
        3.0,
        RESIDENT | {"imports": 2.7},
        imports=(("mlflow", 0.5), ("torch", 0.4), ("sympy", 1.0)),
        imports_whole={"mlflow": 2.6, "torch": 2.5, "sympy": 1.0},
    )
    assert "package torch" in text(slow)
    assert "saves about 2.5 s of 3 s" in text(slow)


def test_a_large_model_and_a_slow_example() -> None:
    large = start(4.0, RESIDENT | {"model_load": 3.8}, model_bytes=800_000_000)
    assert "smaller model (800 MB)" in text(large)
    example = start(4.0, RESIDENT | {"warm_up": 3.8}, first_prediction=3.5)
    assert "smaller input example" in text(example)
    assert "smaller input example" not in text(start(4.0, RESIDENT | {"warm_up": 3.8})), (
        "checks and forks are not the example's fault"
    )


def test_where_nothing_saves_half_a_replica_is_kept_up_and_its_memory_told() -> None:
    told = text(start(0.24, RESIDENT))
    assert "Keep one replica up, which holds 512 MB" in told
    assert "saves about 0.24 s of 0.24 s" in told


def test_a_short_sleep_asks_for_a_longer_idle_time() -> None:
    told = text(start(0.24, RESIDENT), idle_limit=60.0, slept=30.4)
    assert "Raise scale_to_zero_seconds from 60 to 92" in told
    assert "30 s after" in told
    assert "Keep one replica" in text(start(0.24, RESIDENT), idle_limit=60.0, slept=3000.0)


@pytest.mark.parametrize("reason", ["deploy", "scale_up", "replace"])
def test_only_a_cold_start_is_saved_by_a_replica_that_stays(reason: str) -> None:
    record = start(0.24, RESIDENT, reason=reason)
    assert not any(r.awake for r in remedies(facts(record)))


def test_nothing_is_said_of_deployments_and_failures_and_where_nothing_helps() -> None:
    assert text(start(2.3, NOTHING_RESIDENT.phases, reason="deploy", zygote_seconds=1.8)) == ""
    assert text(start(2.3, {"spawn": 0.1}, failed="imports", error="no")) == ""
    assert text(start(0.04, {"spawn": 0.03}), idle_limit=math.inf) == ""
