"""What-if tables: settings from the API's answers, one row for each combination, readable in text and in a notebook."""

from __future__ import annotations

import json
import math
import time
from typing import Any

import numpy as np
import pytest

from jupyter_serving import whatif
from jupyter_serving.autoscale.traces import Trace
from jupyter_serving.errors import InvalidParameter
from jupyter_serving.history import History
from jupyter_serving.whatif import Facts, Options

SCALED: dict[str, Any] = {
    "served_entity": "iris",
    "rules": {
        "target_utilisation": 0.5,
        "stable_window_seconds": 30.0,
        "panic_window_seconds": 3.0,
    },
    "bounds": {
        "min_replicas": 0,
        "max_replicas": 3,
        "slots_per_replica": 4,
        "scale_to_zero_seconds": 600.0,
    },
}
STARTS = [
    {
        "served_entity": "iris",
        "total_seconds": 9.0,
        "phases": {
            "held": 0.1,
            "decision": 4.0,
            "spawn": 0.5,
            "model_load": 1.5,
            "first_byte": 2.9,
        },
        "memory_bytes": 100e6,
    },
    {
        "served_entity": "iris",
        "total_seconds": 4.0,
        "phases": {"spawn": 0.5, "model_load": 3.5},
        "memory_bytes": 200e6,
    },
    {"served_entity": "iris", "total_seconds": None, "reason": "wake"},
    {
        "served_entity": "other",
        "total_seconds": 90.0,
        "phases": {"spawn": 90.0},
        "memory_bytes": 9e9,
    },
]
HOUR = History(
    "iris",
    {
        "start": 1_000_000,
        "step": 10,
        "columns": {
            # A burst each 20 minutes.
            "arrivals": [30 if place % 120 == 5 else None for place in range(360)],
            "finished": [30 if place % 120 == 5 else None for place in range(360)],
            "busy_seconds": [6.0 if place % 120 == 5 else None for place in range(360)],
            "ready": [0 if place == 5 else None for place in range(360)],
        },
    },
)


class Answers:
    """What the client would fetch."""

    def __init__(self, *entities: dict[str, Any]) -> None:
        self.entities = entities
        self.asked: tuple[float, int] | None = None

    def autoscaling(self, name: str, limit: int) -> dict[str, Any]:
        return {"served_entities": list(self.entities), "decisions": []}

    def starts(self, name: str) -> list[dict[str, Any]]:
        return STARTS

    def history(self, name: str, start: float, *, step: int) -> History:
        self.asked = (start, step)
        return HOUR


def test_facts_are_measured_ones() -> None:
    facts = Facts.of(SCALED, STARTS)
    assert (facts.low, facts.high, facts.slots_per_replica, facts.idle) == (0, 12, 4, 600.0)
    assert (facts.cold_start, facts.replica_bytes) == (3.0, 200e6)
    assert facts.rules["target_utilisation"] == 0.5
    assert facts.notes == (
        "Cold start: 3 s (measured, 2 starts).",
        "Memory of a replica: 200 MB (measured, 2 starts).",
    )


def test_what_was_not_measured_is_told_to_be_a_guess() -> None:
    facts = Facts.of({**SCALED, "bounds": {"scale_to_zero_seconds": None}}, [])
    assert math.isinf(facts.idle)
    assert all("a guess" in note for note in facts.notes)


def test_every_combination_is_tried_beside_the_present_setting() -> None:
    tried = Options(idle=[60.0, math.inf], high=[4, 8]).tried(Facts())
    assert [title for title, _ in tried] == [
        "now: 0-4 slots, idle 30 min, target 70%",
        "idle 1 min, max 4",
        "idle 1 min, max 8",
        "idle never, max 4",
        "idle never, max 8",
    ]
    assert (tried[2][1].idle, tried[2][1].high) == (60.0, 8)
    assert len(Options().tried(Facts())) == 1


def test_an_idle_time_lets_an_endpoint_that_never_sleeps_go_to_zero() -> None:
    always = Facts(low=4, idle=math.inf)
    assert Options(idle=[60.0]).tried(always)[1][1].low == 0
    assert Options(idle=[60.0], low=[4]).tried(always)[1][1].low == 4
    assert Options(target=[0.5]).tried(always)[1][1].low == 4


def test_the_record_of_an_endpoint_is_simulated() -> None:
    client = Answers(SCALED)
    told = whatif.recorded(client, "iris", 1.0, whatif.options(idle=[60, 3600]))  # type: ignore[arg-type]
    assert client.asked is not None
    assert client.asked[1] == 1
    assert time.time() - client.asked[0] == pytest.approx(3600, abs=60)
    now, short, long = told
    assert now.setting.startswith("now: 0-12 slots, idle 10 min")
    # Three bursts twenty minutes apart, in 3550 s of record.
    day = 86400 / 3550
    assert [line.cold_starts_a_day for line in told] == pytest.approx([3 * day, 3 * day, day])
    assert short.gb_hours_a_day < now.gb_hours_a_day < long.gb_hours_a_day
    assert now.met_cold_start > 0
    assert told.title == "90 requests of 200 ms in 59.17 min, simulated in steps of 10 s"


def test_longer_records_are_asked_for_in_whole_tens() -> None:
    client = Answers(SCALED)
    for hours, step in ((24.0, 10), (100.0, 20)):
        whatif.recorded(client, "iris", hours, Options())  # type: ignore[arg-type]
        assert client.asked is not None
        assert client.asked[1] == step


def test_several_entities_are_told_of() -> None:
    facts = whatif.facts_of(Answers(SCALED, SCALED), "iris")  # type: ignore[arg-type]
    assert "2 served entities" in facts.notes[-1]
    with pytest.raises(InvalidParameter, match="no served entity"):
        whatif.facts_of(Answers(), "iris")  # type: ignore[arg-type]


def table() -> whatif.WhatIf:
    """A small one."""
    trace = Trace(0.0, 1.0, np.full((1, 60), 2.0, dtype=np.float32), np.array([0.1]))
    return whatif.compare(trace, Facts(notes=("A <note>.",)), Options(target=[0.5]))


def test_it_reads_well() -> None:
    told = table()
    lines = repr(told).splitlines()
    assert lines[0] == "120 requests of 100 ms in 1 min, simulated in steps of 1 s"
    assert lines[1].split("  ")[0] == "SETTING"
    assert lines[3].startswith("target 50%")
    shown = told._repr_mimebundle_()
    assert shown["text/plain"] == repr(told)
    assert "A &lt;note&gt;." in shown["text/html"]
    assert shown["text/html"].count("<tr>") == 3
    assert json.loads(json.dumps(told.to_json()))["settings"][1]["setting"] == "target 50%"


@pytest.mark.parametrize(
    "wrong", [Options(low=[8]), Options(high=[0]), Options(target=[7.0]), Options(idle=[1.0] * 501)]
)
def test_what_cannot_be_tried_is_told(wrong: Options) -> None:
    trace = Trace(0.0, 1.0, np.ones((1, 5), dtype=np.float32), np.array([0.1]))
    with pytest.raises(InvalidParameter):
        whatif.compare(trace, Facts(), wrong)


def test_lists_of_the_command_line() -> None:
    assert whatif.numbers("60, 300,never") == [60.0, 300.0, math.inf]
    assert whatif.numbers("") == []
    for wrong in ("x", "-1", "nan"):
        with pytest.raises(InvalidParameter, match="no number"):
            whatif.numbers(wrong)


def test_where_requests_have_met_starts_from_zero_only_those_count_as_cold_starts() -> None:
    woken = {
        "served_entity": "iris",
        "reason": "wake",
        "total_seconds": 0.3,
        "phases": {"spawn": 0.2},
    }
    assert Facts.of(SCALED, STARTS).cold_start > 1
    assert Facts.of(SCALED, [*STARTS, woken]).cold_start == 0.2
