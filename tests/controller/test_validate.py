"""Checks of a config: each fault is named with its way out."""

from __future__ import annotations

import pytest

from jupyter_serving.api import Batching, Capture, Route, ServedEntityInput, TrafficConfig
from jupyter_serving.controller import validate
from jupyter_serving.errors import InvalidParameter


def entity(**fields: object) -> ServedEntityInput:
    return ServedEntityInput(entity_name="iris", entity_version="1", **fields)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        (entity(name="a/b"), r"'a/b' is not valid.*'a-b'"),
        (entity(name="databricks-x"), "reserved"),
        (entity(workload_size="Huge"), "Huge.*Small, Medium, Large"),
        (entity(workload_size="Small", max_provisioned_concurrency=4), "exclude each other"),
        (entity(min_provisioned_concurrency=8, max_provisioned_concurrency=4), "8..4"),
        (entity(workload_type="TPU"), "TPU.*CPU"),
        (entity(workload_type="GPU_LARGE_2"), "needs 2 GPU.*has 0"),
        (entity(environment_vars={"1A": "x"}), "'1A'"),
        (entity(environment_vars={"A": "{{secrets/s/k}}"}), "secret"),
        (entity(environment_vars={f"V{n}": "" for n in range(31)}), "31 environment variables"),
        (entity(scale_to_zero_seconds=0.0), "above 0"),
        (entity(external_model={"name": "gpt"}), "external_model"),
        (entity(batching=Batching(mode="always")), "auto, on, off.*'always'"),
        (entity(batching=Batching(max_size=0)), "1 to 1024, not 0"),
    ],
)
def test_a_faulty_entity_is_refused(spec: ServedEntityInput, said: str) -> None:
    with pytest.raises(InvalidParameter) as caught:
        validate.entities([spec], gpus=0)
    import re

    assert re.search(said, str(caught.value), re.S)


def test_a_good_entity_passes() -> None:
    validate.entities([entity(name="a-b_1", workload_type="GPU_SMALL")], gpus=1)


@pytest.mark.parametrize(
    ("ring", "said"),
    [
        (Capture(sample=1.5), "0 to 1, not 1.5"),
        (Capture(max_requests=0), "1 to 10000, not 0"),
        (Capture(max_bytes=2**40), "max_bytes must be 1 to"),
    ],
)
def test_a_capture_ring_out_of_bounds_is_refused(ring: Capture, said: str) -> None:
    with pytest.raises(InvalidParameter, match=said):
        validate.capture(ring)


def test_a_capture_ring_within_bounds_passes() -> None:
    validate.capture(None)
    validate.capture(Capture(sample=0.0))


def test_sixteen_entities_are_too_many() -> None:
    with pytest.raises(InvalidParameter, match="16 served entities"):
        validate.entities([entity()] * 16, gpus=0)


def test_percentages_may_be_sent_as_strings_and_must_add_up() -> None:
    def traffic(*shares: int | str) -> TrafficConfig:
        names = ["a", "b"]
        pairs = zip(names, shares, strict=False)
        return TrafficConfig(
            routes=[Route(traffic_percentage=s, served_entity_name=n) for n, s in pairs]
        )

    assert validate.routes(traffic("90", 10), ["a", "b"]) == (("a", 90), ("b", 10))
    for shares, said in (((90, 20), "110"), (("x", 10), "'x'"), ((-1, 101), "-1")):
        with pytest.raises(InvalidParameter, match=said):
            validate.routes(traffic(*shares), ["a", "b"])
    with pytest.raises(InvalidParameter, match="'b'"):
        validate.routes(traffic(50, 50), ["a"])
    with pytest.raises(InvalidParameter, match="required"):
        validate.routes(None, ["a", "b"])
    assert validate.routes(None, ["a"]) == (("a", 100),)


@pytest.mark.parametrize(
    ("model", "version", "name"),
    [
        ("iris", "1", "iris-1"),
        ("cat.schema.readmission_model", "8", "readmission_model-8"),
        ("my model", "2", "my-model-2"),
        ("uploaded", None, "uploaded"),
    ],
)
def test_default_entity_names(model: str, version: str | None, name: str) -> None:
    assert validate.entity_name(model, version) == name
