"""The control loop's benchmark: what is decided before and after the measuring."""

from __future__ import annotations

import pytest

from benchmarks import control, simulation, wakes
from benchmarks.rollouts import Rollout, Rollouts
from benchmarks.wakes import MLFLOW, NOTHING, RESIDENT, Series


def series() -> dict[str, Series]:
    held = [{"controller": 27.0, "gateway": 20.0, "zygote and replica": mib} for mib in (170, 172)]
    return {
        RESIDENT: Series([0.2] * 18 + [0.5, 0.9], held, {"spawn": 0.01, "warm_up": 0.05}),
        NOTHING: Series([2.0, 3.0, 2.6], [{"controller": 27.0, "gateway": 20.0}]),
        MLFLOW: Series([5.0, 6.0, 4.0]),
    }


def test_cold_starts_are_judged_by_rank() -> None:
    told = {bar.name: (bar.value, bar.holds) for bar in wakes.bars(series())}
    assert told == {
        "cold start from zero, zygote resident: p50": (0.2, True),
        "cold start from zero, zygote resident: p95": (0.5, True),
        "cold start from zero, nothing resident: p50": (2.6, False),
    }


def test_memory_held_at_zero_stands_beside_each() -> None:
    text = wakes.page(series())
    assert "| zygote resident | 0.200 | 0.500 | 0.900 | 218 | controller 27, gateway 20," in text
    assert "| mlflow models serve | 5.000 | 6.000 | 6.000 | 0 | - |" in text
    assert "zygote resident, median phases: spawn 10 ms, warm_up 50 ms" in text
    assert series()[RESIDENT].to_json()["held_at_zero_mib"]["zygote and replica"] == 171.0


def test_rollouts_are_judged_by_the_median_and_deploys_by_the_worst_too() -> None:
    tries = [Rollout(5.0, 5.0 + added, 0.0, 0, 0.5) for added in (1.0, 90.0, 2.0)]
    found = Rollouts([0.5, 0.6, 3.5], tries)
    told = {bar.name.partition(":")[0]: bar.holds for bar in found.bars()[:3]}
    assert list(told.values()) == [True, False, True]
    assert "| 2 | 5.00 | 95.00 | 90.00 | 0.00 | 0.50 |" in found.page()
    lost = Rollouts([0.5], [Rollout(5.0, 5.0, 0.05, 3, 0.5)])
    assert [bar.holds for bar in lost.bars()[3:]] == [False, False]


def test_parts_are_chosen_by_name() -> None:
    assert control.options([]).parts == list(control.PARTS)
    assert control.options(["--quick"]).parts == ["wakes", "rollouts", "simulation"]
    assert control.options(["--quick", "--parts", "fleet"]).parts == ["fleet"]
    assert control.options(["--parts", "rollouts"]).parts == ["rollouts"]
    with pytest.raises(SystemExit, match="unknown: 'nothing'"):
        control.options(["--parts", "nothing"])


def test_the_simulator_is_timed_by_size_with_its_cost_per_endpoint() -> None:
    found = [simulation.measure(size, 600.0) for size in (2, 4)]
    (bar,) = simulation.bars(found)
    assert bar.name == "simulated day of 4 endpoints, 4,000 requests/s"
    assert bar.value == found[-1].total > 0
    assert min(speed.requests for speed in found) > 0
    each = simulation.details(found)["4"]["ms_per_endpoint"]
    assert each == pytest.approx(found[1].total / 4 * 1000, abs=0.001)
    assert len(simulation.page(found).splitlines()) == 4
