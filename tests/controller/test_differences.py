from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jupyter_serving.controller.differences import (
    CELL_CHARACTERS,
    ROWS_KEPT,
    Changed,
    Compared,
    Rule,
    Said,
    cell,
    compare,
    difference,
    inputs_of,
    judge,
    rows_of,
)
from jupyter_serving.errors import InvalidParameter

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-100, 100) | st.floats(-1e6, 1e6) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=12,
)


def said(body: Any, status: int = 200, seconds: float = 0.01) -> Said:
    return Said(status, body, seconds)


@given(JSON, st.floats(0, 1))
def test_an_answer_does_not_differ_from_itself(body: Any, tolerance: float) -> None:
    again = json.loads(json.dumps(body))
    assert difference(body, again, tolerance) == ""
    assert compare(said({"predictions": body}), said({"predictions": again}), tolerance)[1] == []


@given(JSON, JSON, st.floats(0, 1))
def test_a_difference_is_seen_from_both_sides(a: Any, b: Any, tolerance: float) -> None:
    if difference(a, b, 0.0) == "":
        assert difference(b, a, 0.0) == ""
    if difference(a, b, 0.0) == "":
        assert difference(a, b, tolerance) == ""  # a tolerance never makes a difference


@pytest.mark.parametrize(
    ("old", "new", "kind"),
    [
        (1.0, 1.0 + 5e-7, ""),
        (1.0, 1.001, "number"),
        (1e9, 1e9 + 100, ""),
        (1e-9, 5e-7, ""),
        (1, 1.0, ""),
        (math.nan, math.nan, ""),
        (None, None, ""),
        (None, 1.0, "value"),
        ("cat", "dog", "value"),
        (True, False, "value"),
        (True, 1, "schema"),
        ("1", 1, "schema"),
        ([1, 2], [1, 2, 3], "shape"),
        ([1, [2, "a"]], [1, [2, "b"]], "value"),
        ({"a": 1}, {"b": 1}, "schema"),
        ({"a": 1, "b": 2}, {"b": 2, "a": 1}, ""),
        ({"a": [1]}, {"a": 1}, "schema"),
        ([1.5, "x", {"k": 1}], [2.5, "y", {"j": 1}], "schema"),
    ],
)
def test_the_kind_of_a_difference(old: Any, new: Any, kind: str) -> None:
    assert difference(old, new, 1e-6) == kind


@pytest.mark.parametrize(
    ("body", "rows"),
    [
        ({"predictions": [1, 2]}, [1, 2]),
        ({"predictions": {"a": [1, 2], "b": [3, 4]}}, [{"a": 1, "b": 3}, {"a": 2, "b": 4}]),
        ({"predictions": {"a": [1], "b": [3, 4]}}, [{"a": [1], "b": [3, 4]}]),
        ({"predictions": "text"}, ["text"]),
        ({"outputs": [{"name": "y", "shape": [2], "data": [5, 6]}]}, [{"y": 5}, {"y": 6}]),
        ("no JSON", ["no JSON"]),
        ([7], [7]),
        ({}, [{}]),
    ],
)
def test_rows_of_every_form_of_answer(body: Any, rows: list[Any]) -> None:
    assert rows_of(body) == rows


def test_rows_are_compared_one_by_one() -> None:
    rows, changed = compare(
        said({"predictions": [1, 2, 3]}), said({"predictions": [1, 9, 3]}), 1e-6
    )
    assert (rows, changed) == (3, [Changed(1, "number", 2, 9)])


def test_an_error_instead_of_an_answer_changes_every_row() -> None:
    error = said({"error_code": "BAD_REQUEST"}, status=400)
    rows, changed = compare(said({"predictions": [1, 2]}), error, 1e-6)
    assert rows == 2
    assert [c.kind for c in changed] == ["error", "error"]


def test_another_length_changes_every_row() -> None:
    rows, changed = compare(said({"predictions": [1, 2]}), said({"predictions": [1]}), 1e-6)
    assert (rows, len(changed), changed[0].kind) == (2, 2, "shape")


def test_where_the_request_failed_before_nothing_is_compared() -> None:
    assert compare(said("bad", 400), said({"predictions": [1]}), 0.0) == (0, [])


@pytest.mark.parametrize(
    ("body", "rows"),
    [
        ({"dataframe_split": {"columns": ["a"], "data": [[1], [2]]}}, [{"a": 1}, {"a": 2}]),
        ({"dataframe_split": {"data": [[1], [2]]}}, [[1], [2]]),
        ({"dataframe_records": [{"a": 1}]}, [{"a": 1}]),
        ({"inputs": [1, 2]}, [1, 2]),
        ({"inputs": {"a": 1}}, []),
        ("text", []),
    ],
)
def test_rows_of_a_request(body: Any, rows: list[Any]) -> None:
    assert inputs_of(body) == rows


def request(rows: int, changed: int, before: float = 0.01, after: float = 0.01) -> Compared:
    differing = [Changed(n, "number", n, n + 1) for n in range(changed)]
    return Compared(
        "r1", rows, differing, said([], seconds=before), said([], seconds=after), range(rows)
    )


@pytest.mark.parametrize(
    ("rule", "found", "passed"),
    [
        (Rule(), [request(10, 0)], True),
        (Rule(), [request(10, 1)], False),
        (Rule(max_changed=0.1), [request(10, 1)], True),
        (Rule(max_changed=0.1), [request(10, 1), request(10, 2)], False),
        (Rule(max_slower=2.0), [request(1, 0, 0.01, 0.019)], True),
        (Rule(max_slower=2.0), [request(1, 0, 0.01, 0.021)], False),
        (Rule(min_requests=2), [request(1, 0)], False),
        (Rule(min_requests=2, too_few="pass"), [request(1, 0)], True),
        (Rule(), [], False),
        (Rule(min_requests=0), [], True),
    ],
)
def test_the_rule_decides(rule: Rule, found: list[Compared], passed: bool) -> None:
    verdict = judge(rule, found, {"streamed": 2})
    assert verdict.passed is passed
    assert "2 streamed" in verdict.text


def test_one_slow_request_does_not_decide_about_speed() -> None:
    found = [request(1, 0) for _ in range(10)] + [request(1, 0, 0.01, 30.0)]
    assert judge(Rule(max_slower=1.5), found, {}).passed


def test_what_mends_is_told_and_is_no_change() -> None:
    mended = Compared("r", 0, [], said("bad", 500), said({"predictions": [1]}))
    verdict = judge(Rule(), [mended, request(1, 0)], {})
    assert verdict.passed
    assert verdict.details["mended"] == 1
    assert verdict.details["requests"] == 1


def test_the_evidence_is_bounded_and_names_its_rows() -> None:
    many = [request(1000, 1000) for _ in range(3)]
    told = judge(Rule(), many, {}).to_wire()
    assert len(told["rows"]) == ROWS_KEPT
    assert told["rows"][7] == {
        "request_id": "r1", "row": 7, "kind": "number", "before": "7", "after": "8", "input": "7",
    }  # fmt: skip
    assert (told["rows_compared"], told["changed"]) == (3000, 3000)
    assert "3,000 of 3,000 rows changed (100.00%) in 3 requests" in told["text"]
    assert len(cell("x" * 10_000)) == CELL_CHARACTERS


@given(st.integers(0, 50), st.integers(0, 50), st.floats(0, 1))
def test_fewer_changes_never_make_a_verdict_worse(a: int, b: int, share: float) -> None:
    fewer, more = sorted((a, b))
    rule = Rule(max_changed=share)
    if judge(rule, [request(50, more)], {}).passed:
        assert judge(rule, [request(50, fewer)], {}).passed


def test_a_rule_is_read_from_the_config() -> None:
    given_rule = {"max_changed": 0.01, "tolerance": 1e-3, "max_slower": None, "min_requests": 5}
    rule = Rule.of({"replay": given_rule})
    assert (rule.max_changed, rule.tolerance, rule.min_requests) == (0.01, 1e-3, 5)
    assert Rule.of({"replay": {}}) == Rule()


@pytest.mark.parametrize(
    ("gate", "named"),
    [
        ({}, "replay"),
        ({"replay": 1}, "replay"),
        ({"replay": {}, "shadow": {}}, "replay"),
        ({"replay": {"max_change": 1}}, "max_change"),
        ({"replay": {"max_changed": 2}}, "max_changed"),
        ({"replay": {"max_changed": True}}, "max_changed"),
        ({"replay": {"tolerance": "1"}}, "tolerance"),
        ({"replay": {"min_requests": 1.5}}, "min_requests"),
        ({"replay": {"at_once": 0}}, "at_once"),
        ({"replay": {"too_few": "ask"}}, "too_few"),
    ],
)
def test_a_rule_that_makes_no_sense_is_refused_by_name(gate: dict[str, Any], named: str) -> None:
    with pytest.raises(InvalidParameter, match=named):
        Rule.of(gate)
