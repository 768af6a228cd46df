"""The Open Inference Protocol V2: the same model as by MLflow's protocol, asked with named tensors.

The mapping from tensors to what the model takes, and back, is MLServer's (``docs/v2.md`` has the table). The model's
own MLflow casts and enforces the signature, so the answer is the one that MLflow's protocol gives for the same rows.
"""

from __future__ import annotations

import inspect
import json
from typing import TYPE_CHECKING, Any, Dict, Mapping

from . import v2input, v2output, v2request
from .scoring import Scored
from .tensors import Refused

if TYPE_CHECKING:
    from .scoring import Scorer

LENGTH_HEADER = "inference-header-content-length"


def infer(scorer: Scorer, body: bytes, headers: Mapping[str, str]) -> Scored:
    """Answer one request; never raises what the request or the model caused.

    Args:
        scorer: holds the model.
        body: JSON, and after it the binary parts, if any.
        headers: lower-case names; ``x-serving-model`` and ``x-serving-model-version`` are what the answer calls the
            model, ``inference-header-content-length`` is the length of the JSON before binary parts.
    """
    model = scorer.model
    model.forget()
    try:
        request = v2request.parse(body, headers.get(LENGTH_HEADER))
        data = v2input.model_input(model.metadata, request)
        if "params" in inspect.signature(model.predict).parameters:
            result = model.predict(data, params=request.params)
        else:
            result = model.predict(data)
        named = _named(headers) if request.id is None else {**_named(headers), "id": request.id}
        return v2output.answer(result, request, named)
    except Refused as error:
        return _told({"error_code": "BAD_REQUEST", "message": str(error)})
    except BaseException as error:
        return _told(json.loads(scorer.failure(error).body))


def _told(fields: Dict[str, Any]) -> Scored:
    """An error in the protocol's shape and in ours."""
    return Scored(400, json.dumps({"error": fields["message"], **fields}).encode())


def _named(headers: Mapping[str, str]) -> Dict[str, str]:
    named = {"model_name": headers.get("x-serving-model") or "model"}
    version = headers.get("x-serving-model-version")
    return {**named, "model_version": version} if version else named
