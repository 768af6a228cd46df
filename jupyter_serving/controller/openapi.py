"""The OpenAPI 3.1 document of an endpoint: how to ask its models, from their signatures. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from ..registry import schemas
from ..registry.examples import as_v2, in_order
from ..registry.signature import Signature

Json = dict[str, Any]

_ERRORS = {
    "400": "The request is malformed, does not fit the signature, or the model's code failed on it",
    "401": "No query token, or an unknown one",
    "404": "No such endpoint, served entity or version",
    "429": "The queue is full; Retry-After says when to try again",
    "502": "The replica died while it computed the request",
    "503": "No replica can be started just now",
    "504": "The deadline passed",
}


@dataclass(frozen=True, slots=True)
class Served:
    """One served entity.

    ``model`` and ``version`` are as a person names them, ``metadata`` is V2's, ``example`` is the request of MLflow's
    protocol that was logged with the model, if any.
    """

    name: str
    model: str
    version: str
    signature: Signature
    metadata: Json
    example: Json | None


def document(endpoint: str, config_version: int, base_url: str, served: Sequence[Served]) -> Json:
    """Return the document.

    Args:
        endpoint: name of the endpoint.
        config_version: of its active config.
        base_url: of the data plane; "" gives a server URL relative to wherever the document is read.
        served: the served entities, at least one.
    """
    paths: Json = {"/invocations": _invocations_of_all(served)}
    for entity in served:
        paths |= _paths(entity)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": endpoint,
            "version": str(config_version),
            "description": f"Predictions of the endpoint {endpoint}: "
            + ", ".join(f"{e.model} {e.version}".strip() for e in served),
        },
        "servers": [{"url": f"{base_url}/serving-endpoints/{quote(endpoint)}"}],
        "security": [{"bearer": []}],
        "paths": paths,
        "components": {
            "schemas": _schemas(served),
            "responses": _responses(),
            "securitySchemes": {
                "bearer": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "A query token of the endpoint",
                }
            },
        },
    }


# Paths


def _paths(entity: Served) -> Json:
    v2 = f"/v2/models/{quote(entity.name)}"
    title = f"{entity.model} {entity.version}".strip()
    named = {"operationId": f"{entity.name}.invocations", "tags": [entity.name]}
    body, answer = _ref(_request_of(entity)), _ref(_response_of(entity))
    infer = _post(
        _ref("InferenceRequest"), _ref("InferenceResponse"), _v2_example(entity), "V2Error"
    )
    about = {"schema": _ref("ModelMetadata"), "example": {"name": entity.name, **entity.metadata}}
    return {
        f"/served-models/{quote(entity.name)}/invocations": {
            "post": {
                "summary": f"Predict with {title}",
                **named,
                **_post(body, answer, _example(entity), "Error"),
            }
        },
        f"{v2}/infer": {
            "post": {
                "summary": f"Predict with {title}, by the Open Inference Protocol V2",
                "operationId": f"{entity.name}.infer",
                "tags": [entity.name],
                **infer,
            }
        },
        v2: {"get": _get(entity, "metadata", f"What {title} takes and gives, as tensors", about)},
        f"{v2}/ready": {
            "get": _get(
                entity,
                "ready",
                f"Whether {title} has a replica that can answer",
                {"schema": _ref("ModelReady")},
            )
        },
    }


def _invocations_of_all(served: Sequence[Served]) -> Json:
    bodies = [_ref(_request_of(entity)) for entity in served]
    answers = [_ref(_response_of(entity)) for entity in served]
    example = next((found for e in served if (found := _example(e)) is not None), None)
    return {
        "post": {
            "summary": "Predict with the served entity that the traffic split chooses",
            "operationId": "invocations",
            **_post(_any(bodies), _any(answers), example, "Error"),
        }
    }


def _any(choices: list[Json]) -> Json:
    return choices[0] if len(choices) == 1 else {"anyOf": choices}


def _post(body: Json, answer: Json, example: Json | None, error: str) -> Json:
    content = {"schema": body} if example is None else {"schema": body, "example": example}
    good = {
        "description": "The predictions",
        "content": {"application/json": {"schema": answer}},
        "headers": {
            "served-model-name": {
                "description": "The served entity that answered",
                "schema": {"type": "string"},
            }
        },
    }
    return {
        "requestBody": {"required": True, "content": {"application/json": content}},
        "responses": {"200": good, **_refused(error)},
    }


def _get(entity: Served, verb: str, summary: str, content: Json) -> Json:
    good = {"description": summary, "content": {"application/json": content}}
    return {
        "summary": summary,
        "operationId": f"{entity.name}.{verb}",
        "tags": [entity.name],
        "responses": {"200": good, **_refused("V2Error", "401", "404", "503")},
    }


def _refused(shape: str, *statuses: str) -> Json:
    return {
        status: {"$ref": f"#/components/responses/{shape}{status}"}
        for status in statuses or _ERRORS
    }


def _responses() -> Json:
    return {
        f"{shape}{status}": {
            "description": text,
            "content": {"application/json": {"schema": _ref(shape)}},
        }
        for shape in ("Error", "V2Error")
        for status, text in _ERRORS.items()
    }


def _example(entity: Served) -> Json | None:
    return None if entity.example is None else in_order(entity.signature, entity.example)


def _v2_example(entity: Served) -> Json | None:
    return None if entity.example is None else as_v2(entity.signature, entity.example)


# Schemas


def _ref(name: str) -> Json:
    return {"$ref": f"#/components/schemas/{name}"}


def _request_of(entity: Served) -> str:
    return f"{entity.name}.request"


def _response_of(entity: Served) -> str:
    return f"{entity.name}.response"


def _schemas(served: Sequence[Served]) -> Json:
    own = {_request_of(e): schemas.request(e.signature) for e in served}
    own |= {_response_of(e): schemas.response(e.signature) for e in served}
    return own | _ERROR_SHAPES | _V2


def _object(required: Sequence[str], **properties: Json) -> Json:
    return {"type": "object", "required": list(required), "properties": properties}


_TEXT: Json = {"type": "string"}
_ERROR_SHAPES: Json = {
    "Error": _object(["error_code", "message"], error_code=_TEXT, message=_TEXT),
    "V2Error": _object(
        ["error", "error_code", "message"], error=_TEXT, error_code=_TEXT, message=_TEXT
    ),
}
_PARAMETERS: Json = {"type": "object"}
_TENSOR: Json = {
    "name": _TEXT,
    "datatype": {
        "enum": [
            *("BOOL", "UINT8", "UINT16", "UINT32", "UINT64", "INT8", "INT16", "INT32", "INT64"),
            *("FP16", "FP32", "FP64", "BYTES"),
        ]
    },
    "shape": {"type": "array", "items": {"type": "integer"}},
    "parameters": _PARAMETERS,
}
_DATA: Json = {
    "type": "array",
    "description": "Flat or nested, row by row; absent where the tensor is sent in binary",
}
_LIST_OF_TENSORS: Json = {"type": "array", "items": {"$ref": "#/components/schemas/Tensor"}}
_V2: Json = {
    "Tensor": _object(["name", "shape", "datatype"], **_TENSOR, data=_DATA),
    "InferenceRequest": _object(
        ["inputs"],
        id=_TEXT,
        parameters=_PARAMETERS,
        inputs=_LIST_OF_TENSORS | {"minItems": 1},
        outputs={"type": "array", "items": _object(["name"], name=_TEXT, parameters=_PARAMETERS)},
    ),
    "InferenceResponse": _object(
        ["model_name", "outputs"],
        model_name=_TEXT,
        model_version=_TEXT,
        id=_TEXT,
        parameters=_PARAMETERS,
        outputs=_LIST_OF_TENSORS,
    ),
    "ModelMetadata": _object(
        ["name", "platform", "inputs", "outputs"],
        name=_TEXT,
        versions={"type": "array", "items": _TEXT},
        platform=_TEXT,
        inputs=_LIST_OF_TENSORS,
        outputs=_LIST_OF_TENSORS,
    ),
    "ModelReady": _object(["name", "ready"], name=_TEXT, ready={"type": "boolean"}),
}
