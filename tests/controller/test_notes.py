from __future__ import annotations

from msgspec.structs import replace

from jupyter_serving.controller.notes import notes
from jupyter_serving.settings import Settings

from .test_plan import config


def asleep(**fields: object) -> object:
    made = config(1)
    (entity,) = made.entities
    spec = replace(entity.spec, scale_to_zero_enabled=True, **fields)
    return replace(made, entities=(replace(entity, spec=spec),))


def test_scale_to_zero_is_told_once_with_all_that_it_costs() -> None:
    (text,) = notes(asleep(), Settings(), None)
    assert "after 30 min" in text
    assert "not for production latency" in text
    assert "GPU capacity is not kept" in text
    assert "both held" in text
    assert "took" not in text


def test_a_cold_start_that_was_measured_is_told() -> None:
    (text,) = notes(asleep(scale_to_zero_seconds=5.0), Settings(), 0.314)
    assert "after 5 s" in text
    assert "(the last one took 0.31 s)" in text


def test_without_scale_to_zero_there_is_nothing_to_say() -> None:
    made = config(1)
    spec = replace(made.entities[0].spec, scale_to_zero_enabled=False)
    assert notes(made.with_entity(replace(made.entities[0], spec=spec)), Settings(), 1.0) == []
