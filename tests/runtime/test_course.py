from __future__ import annotations

import time

from jupyter_serving.runtime.course import Course, asked
from jupyter_serving.runtime.importclock import ImportClock


def test_a_load_is_parted_into_imports_and_the_rest() -> None:
    clock = ImportClock()
    clock.seconds = 5.0  # before this load
    course = Course(time.monotonic(), clock, imported=1.5, interpreter=0.25)
    with course.load():
        clock.seconds += 2.0
    assert course.phases["imports"] == 3.5
    assert course.phases["interpreter"] == 0.25
    assert course.phases["model_load"] == 0.0, "never negative"
    assert list(course.phases) == ["spawn", "interpreter", "imports", "model_load"]


def test_a_failure_tells_its_phase() -> None:
    course = Course(time.monotonic(), ImportClock())
    assert course.failed(OSError("no disk"))["phase"] == "spawn"
    with course.load():
        pass
    assert course.failed(ValueError("not a model"))["phase"] == "model_load"
    assert course.failed(ModuleNotFoundError("xgboost"))["phase"] == "imports"
    course.phase = "warm_up"
    told = course.failed(RuntimeError("boom"))
    assert told["phase"] == "warm_up"
    assert set(told["phases"]) == {"spawn", "imports", "model_load"}


def test_another_machines_clock_is_not_believed() -> None:
    assert asked({"asked": 99.0}, 100.0) == 99.0
    for wrong in (None, "soon", 101.0, -5000.0):
        assert asked({"asked": wrong}, 100.0) == 100.0
    assert asked({}, 100.0) == 100.0
