"""Wire types: what clients send is read, what is wrong is named."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jupyter_serving import api
from jupyter_serving.errors import InvalidParameter


def test_both_spellings_of_a_served_entity_are_read() -> None:
    body = {"name": "a", "config": {"served_models": [{"model_name": "m", "model_version": 3}]}}
    created = api.decode(api.CreateEndpoint, json.dumps(body).encode())
    assert created.config.entities()[0].entity_name == "m"
    assert created.config.entities()[0].entity_version == 3


def test_unknown_fields_are_ignored_and_wrong_ones_named() -> None:
    assert api.decode(api.CreateEndpoint, b'{"name": "a", "new_thing": 1}').name == "a"
    with pytest.raises(InvalidParameter, match=r"\$\.config\.served_entities\[0\]"):
        bad = {"name": "a", "config": {"served_entities": [{"scale_to_zero_enabled": "no"}]}}
        api.decode(api.CreateEndpoint, json.dumps(bad).encode())
    for body in (b"{", b"[]", b"\xff", b'"x"'):
        with pytest.raises(InvalidParameter, match="does not fit"):
            api.decode(api.CreateEndpoint, body)


@pytest.mark.parametrize("name", ["a/b", "", "a b", "ü", "x" * 64, "a.b", "../x"])
def test_a_bad_name_is_refused_with_a_good_one(name: str) -> None:
    with pytest.raises(InvalidParameter) as caught:
        api.check_name(name)
    proposed = caught.value.hint.split("'")[1]
    assert api.check_name(proposed) == proposed


@given(st.from_regex(r"\A[A-Za-z0-9_-]{1,63}\Z").filter(lambda n: not n.startswith("databricks-")))
def test_a_good_name_is_taken_as_it_is(name: str) -> None:
    assert api.check_name(name) == name


def test_unset_fields_are_left_out_but_false_of_an_entity_is_told() -> None:
    entity = api.ServedEntityOutput(name="a", entity_name="m", entity_version="1")
    shown = json.loads(api.encode({"served_entities": [entity], "nothing": None}))
    assert shown["served_entities"][0]["scale_to_zero_enabled"] is False
    assert "workload_type" not in shown["served_entities"][0]
    assert "nothing" not in shown
