"""The OpenAPI document of an endpoint is valid, and says what the gateway and the models do."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from openapi_spec_validator import OpenAPIV31SpecValidator
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012
from registry.signed import MODELS, save

from jupyter_serving.controller.openapi import Served, document
from jupyter_serving.registry.describe import describe
from jupyter_serving.registry.examples import read
from jupyter_serving.registry.signature import signature, v2


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("signed")


def served(folder: Path, model: str, name: str = "") -> Served:
    description = describe(save(folder, model))
    found, metadata = signature(description), v2(description)
    assert found is not None
    assert metadata is not None
    return Served(
        name=name or f"{model}-1",
        model=model,
        version="1",
        signature=found,
        metadata=metadata,
        example=read(description),
    )


@pytest.fixture(scope="module")
def every(folder: Path) -> dict[str, Any]:
    """One endpoint with all models."""
    return document("all", 7, "http://127.0.0.1:1", [served(folder, model) for model in MODELS])


def problems(whole: dict[str, Any], content: dict[str, Any], body: Any) -> list[str]:
    """What a media type's schema, with its references into the document, says against a body."""
    resource = Resource.from_contents(whole, default_specification=DRAFT202012)
    registry: Registry[Any] = Registry().with_resource("urn:document", resource)
    (reference,) = [content["schema"]["$ref"]]
    validator = Draft202012Validator({"$ref": f"urn:document{reference}"}, registry=registry)
    return [error.message for error in validator.iter_errors(body)]


def body_of(whole: dict[str, Any], path: str) -> dict[str, Any]:
    found = whole["paths"][path]["post"]["requestBody"]["content"]["application/json"]
    assert isinstance(found, dict)
    return found


def test_the_document_is_valid_openapi(every: dict[str, Any], folder: Path) -> None:
    OpenAPIV31SpecValidator(every).validate()
    OpenAPIV31SpecValidator(document("a", 1, "", [served(folder, "table")])).validate()


def test_a_damaged_document_would_not_be(every: dict[str, Any]) -> None:
    assert list(OpenAPIV31SpecValidator(every | {"info": {}}).iter_errors())


def test_head_and_server(every: dict[str, Any]) -> None:
    assert every["openapi"] == "3.1.0"
    assert (every["info"]["title"], every["info"]["version"]) == ("all", "7")
    assert every["servers"] == [{"url": "http://127.0.0.1:1/serving-endpoints/all"}]
    (scheme,) = every["security"][0]
    assert every["components"]["securitySchemes"][scheme]["scheme"] == "bearer"


def test_each_served_entity_has_its_paths(every: dict[str, Any]) -> None:
    for model in MODELS:
        assert set(every["paths"][f"/served-models/{model}-1/invocations"]) == {"post"}
        assert set(every["paths"][f"/v2/models/{model}-1/infer"]) == {"post"}
        assert set(every["paths"][f"/v2/models/{model}-1"]) == {"get"}
        assert set(every["paths"][f"/v2/models/{model}-1/ready"]) == {"get"}
    assert len(every["paths"]) == 4 * len(MODELS) + 1


@pytest.mark.parametrize("model", MODELS)
def test_the_logged_example_is_valid_against_the_document(
    every: dict[str, Any], model: str
) -> None:
    content = body_of(every, f"/served-models/{model}-1/invocations")
    assert problems(every, content, content["example"]) == []
    assert problems(every, content, {})


@pytest.mark.parametrize("model", ["table", "params", "optional", "tensor"])
def test_the_v2_example_is_valid_against_the_document(every: dict[str, Any], model: str) -> None:
    content = body_of(every, f"/v2/models/{model}-1/infer")
    assert problems(every, content, content["example"]) == []
    assert problems(every, content, {"inputs": []})


def test_the_metadata_is_valid_against_the_document(every: dict[str, Any]) -> None:
    answer = every["paths"]["/v2/models/table-1"]["get"]["responses"]["200"]
    content = answer["content"]["application/json"]
    assert content["example"]["name"] == "table-1"
    assert content["example"]["platform"] == "mlflow_python_function"
    assert problems(every, content, content["example"]) == []


def test_the_split_takes_what_any_entity_takes(every: dict[str, Any], folder: Path) -> None:
    content = body_of(every, "/invocations")
    assert len(content["schema"]["anyOf"]) == len(MODELS)
    assert content["example"] == body_of(every, "/served-models/table-1/invocations")["example"]
    alone = document("a", 1, "", [served(folder, "table")])
    assert alone["servers"] == [{"url": "/serving-endpoints/a"}]
    assert body_of(alone, "/invocations")["schema"] == {
        "$ref": "#/components/schemas/table-1.request"
    }


def test_errors_have_the_one_shape(every: dict[str, Any]) -> None:
    for path, item in every["paths"].items():
        for operation in item.values():
            assert "401" in operation["responses"], path
    error = every["components"]["schemas"]["Error"]
    assert error["required"] == ["error_code", "message"]
    assert every["components"]["schemas"]["V2Error"]["required"][0] == "error"


def test_a_model_without_an_example_shows_none(folder: Path) -> None:
    table = served(folder, "table")
    bare = Served(table.name, table.model, "", table.signature, table.metadata, None)
    whole = document("a", 1, "", [bare])
    OpenAPIV31SpecValidator(whole).validate()
    for path in ("/invocations", "/served-models/table-1/invocations", "/v2/models/table-1/infer"):
        assert "example" not in body_of(whole, path)
    assert whole["info"]["description"].endswith(": table")
