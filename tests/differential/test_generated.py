"""Generated rows, good and bad, through MLflow's own server and ours."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from . import corpus
from .models import IRIS, PLAIN
from .sides import JSON, World

SIGNATURES = {
    "forest": [(name, "double") for name in IRIS],
    "mixed": [("d", "double"), ("n", "long"), ("k", "integer")],
    "dtypes": PLAIN,
}
finite = st.floats(allow_nan=False, allow_infinity=False)
GOOD: dict[str, st.SearchStrategy[Any]] = {
    "double": finite | st.integers(-(2**53), 2**53),
    "float": st.floats(width=32, allow_nan=False, allow_infinity=False) | st.integers(-9, 9),
    "long": st.integers(-(2**63), 2**63 - 1) | st.integers(-9, 9).map(float),
    "integer": st.integers(-(2**31), 2**31 - 1),
    "boolean": st.booleans(),
    "string": st.text(st.characters(exclude_categories=["Cs"])),
}
BAD = st.sampled_from([*corpus.WILD, 2**31, 2**63, -(2**63) - 1, "1e5", "nan", "True", 3.0, 0.0])


def requests(columns: list[tuple[str, str]], wild: bool) -> st.SearchStrategy[Any]:
    """One to four rows in one of the formats; wild ones have anything in one place."""
    row = st.fixed_dictionaries({name: GOOD[kind] for name, kind in columns})
    rows = st.lists(row, min_size=1, max_size=4)
    if wild:
        place = st.tuples(st.integers(0, 3), st.sampled_from([name for name, _ in columns]), BAD)
        rows = st.tuples(rows, place).map(_replaced)
    return st.tuples(rows, st.integers(0, 5)).map(lambda made: corpus.formats(made[0])[made[1]])


def _replaced(made: Any) -> Any:
    rows, (number, name, value) = made
    number %= len(rows)
    return [{**row, name: value} if i == number else row for i, row in enumerate(rows)]


few = settings(
    max_examples=40,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@pytest.mark.parametrize("model", SIGNATURES)
@few
@given(data=st.data())
def test_good_rows(world: World, model: str, data: st.DataObject):
    world.compare(model, data.draw(requests(SIGNATURES[model], wild=False)))


@pytest.mark.parametrize("model", SIGNATURES)
@few
@given(data=st.data())
def test_rows_with_one_odd_value(world: World, model: str, data: st.DataObject):
    world.compare(model, data.draw(requests(SIGNATURES[model], wild=True)))


@few
@given(data=st.data())
def test_boosters(mlflow3: World, data: st.DataObject):
    model = data.draw(st.sampled_from(["boost", "boost_line", "light", "booster"]))
    mlflow3.compare(model, data.draw(requests(SIGNATURES["forest"], wild=True)))


@few
@given(data=st.data())
def test_a_number_with_a_fraction_is_refused_wherever_it_is(world: World, data: st.DataObject):
    row = st.fixed_dictionaries({name: GOOD[kind] for name, kind in SIGNATURES["mixed"]})
    rows = data.draw(st.lists(row, min_size=1, max_size=4))
    number = data.draw(st.integers(0, len(rows) - 1))
    name = data.draw(st.sampled_from("nk"))
    value = data.draw(finite.filter(lambda x: not x.is_integer() and abs(x) < 2**31))
    rows[number][name] = value
    for body in corpus.formats(rows):
        for path in ("slow", "answer"):
            reply = world.ours(path, "mixed", json.dumps(body).encode())
            assert reply.status == 400
            message = json.loads(reply.body)["message"]
            assert f"Column '{name}'" in message and f"row {number} has {value!r}:" in message


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3)
    ),
    max_leaves=8,
)
KEYS = st.sampled_from(
    ["dataframe_split", "dataframe_records", "inputs", "instances", "params", "messages", "x"]
)


@few
@given(
    body=st.dictionaries(KEYS, json_values, max_size=2),
    model=st.sampled_from(["forest", "describes", "hinted"]),
)
def test_bodies_of_any_shape(world: World, body: Any, model: str):
    data = json.dumps(body).encode()
    expected = world.theirs(model, data, JSON)
    got = [world.ours(path, model, data) for path in ("slow", "answer")]
    for reply in got:
        # Their messages print what they parsed, addresses of objects included: only the codes are compared.
        assert reply.status == (200 if expected.status == 200 else 400), (body, expected, reply)
        fields = json.loads(reply.body)
        if expected.status == 200:
            theirs = json.loads(expected.body, parse_constant=lambda name: None)
            assert _same(theirs, fields), (body, theirs, fields)
        else:
            assert {"error_code", "message"} <= set(fields)


def _same(one: Any, other: Any) -> bool:
    return json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)


def test_the_strategies_reach_the_fast_path(world: World):
    """Were all generated requests odd, the tests above would compare the slow path with itself."""
    row = {"d": 0.5, "n": 3, "k": 4}
    assert world.ours.kind("mixed") == "array"
    assert not math.isnan(
        json.loads(world.compare("mixed", corpus.formats([row])[0]).body)["predictions"][0]
    )
