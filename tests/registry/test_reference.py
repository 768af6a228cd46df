from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jupyter_serving.errors import InvalidParameter
from jupyter_serving.registry.reference import Kind, ModelReference, of_entity, parse


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("models:/iris/3", ModelReference(Kind.VERSION, "iris", "3")),
        ("iris/3", ModelReference(Kind.VERSION, "iris", "3")),
        ("models:/cat.schema.iris/3", ModelReference(Kind.VERSION, "cat.schema.iris", "3")),
        ("models:/iris@champion", ModelReference(Kind.ALIAS, "iris", "champion")),
        ("iris@champion", ModelReference(Kind.ALIAS, "iris", "champion")),
        ("models:/iris/latest", ModelReference(Kind.LATEST, "iris")),
        ("models:/m-0123456789abcdef", ModelReference(Kind.LOGGED_MODEL, key="m-0123456789abcdef")),
        ("runs:/abc123/model", ModelReference(Kind.RUN, key="abc123", path="model")),
        ("runs:/abc123/deep/model/", ModelReference(Kind.RUN, key="abc123", path="deep/model")),
        ("/data/model/", ModelReference(Kind.PATH, key="/data/model")),
        ("file:///data/my%20model", ModelReference(Kind.PATH, key="/data/my model")),
    ],
)
def test_every_form_is_read(text: str, expected: ModelReference) -> None:
    assert parse(text) == expected


@pytest.mark.parametrize(
    "text", ["models:/iris/3", "models:/iris@a", "models:/m-0123456789abcdef", "runs:/a/b", "/a/b"]
)
def test_the_canonical_uri_reads_as_the_same(text: str) -> None:
    assert str(parse(text)) == text


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("iris", "version or alias is missing"),
        ("models:/iris", "version or alias is missing"),
        ("models:/iris/Production", "'Production' is no version"),
        ("models:/iris@", "NAME@ALIAS"),
        ("runs:/abc", "artifact path"),
        ("runs:/abc/../../etc", "artifact path"),
        ("s3://bucket/model", "kind of URI"),
        ("", "missing"),
    ],
)
def test_bad_forms_are_told_with_the_good_ones(text: str, why: str) -> None:
    with pytest.raises(InvalidParameter, match="models:/NAME/VERSION") as told:
        parse(text)
    assert why in str(told.value)


@pytest.mark.parametrize(
    ("version", "kind"),
    [("3", Kind.VERSION), (3, Kind.VERSION), ("@a", Kind.ALIAS), ("latest", Kind.LATEST)],
)
def test_a_served_entity_names_its_version(version: str | int, kind: Kind) -> None:
    assert of_entity("iris", version).kind is kind


@given(st.text(max_size=60))
def test_any_text_is_a_reference_or_an_invalid_parameter(text: str) -> None:
    try:
        reference = parse(text)
    except InvalidParameter:
        return
    # What was read names something, and reads the same again.
    assert reference.name or reference.key
    assert parse(str(reference)) == reference
