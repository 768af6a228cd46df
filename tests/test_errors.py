"""Errors: one shape, and the same class on both sides of the wire."""

from __future__ import annotations

import pytest

from jupyter_serving import errors
from jupyter_serving.errors import ServingError


def every(base: type[ServingError] = ServingError) -> list[type[ServingError]]:
    return [
        c
        for sub in base.__subclasses__()
        for c in (sub, *every(sub))
        if "serving.errors" in c.__module__
    ]


@pytest.mark.parametrize("kind", every(), ids=lambda c: c.__name__)
def test_an_error_crosses_the_wire(kind: type[ServingError]) -> None:
    body = kind("It failed.", hint="Do this.").to_wire()
    assert body == {"error_code": kind.code, "message": "It failed. Do this."}
    back = errors.from_wire(kind.status, body)
    assert (back.code, back.status) == (kind.code, kind.status)
    assert str(back) == "It failed. Do this."


def test_statuses_that_clients_retry_in_vain_are_never_used() -> None:
    assert not {413, 415, 422} & {kind.status for kind in every()}


def test_an_answer_that_is_not_ours_becomes_an_error_all_the_same() -> None:
    assert str(errors.from_wire(502, "<html>Bad gateway</html>")) == "<html>Bad gateway</html>"
    assert isinstance(errors.from_wire(404, {"error_code": "NEW", "message": "x"}), errors.NotFound)
    assert "418" in str(errors.from_wire(418, {}))


def test_the_tree_in_the_docstring_is_the_tree() -> None:
    for kind in every():
        assert kind.__name__ in (errors.__doc__ or "")
