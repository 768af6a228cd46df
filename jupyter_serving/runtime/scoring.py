"""MLflow's scoring protocol: bytes of a request in, bytes of the answer out.

The answer is what the MLflow of this environment gives (``mlflow.pyfunc.scoring_server.invocations``), except that

* every fault of the client is 400 with ``{"error_code", "message"}`` (MLflow: also 415, 422, 500, plain text),
* a missing content type means ``application/json`` (MLflow 3: 500),
* NaN and infinities become ``null``, so that the answer is JSON,
* a result that cannot be written as JSON, and any failure of the model's code, is 400 with the useful line in the
  message (5xx is for faults of the platform),
* ``client_request_id`` and ``usage_context`` never reach the model.
"""

from __future__ import annotations

import inspect
import io
import json
import time
import traceback
from typing import Any, Callable, Dict, Iterator, List, Mapping, NamedTuple, Optional, Tuple

from . import log
from .fastpath import FastPath

EXTRAS = ("client_request_id", "usage_context")
_JSON = "application/json"
_PARQUET = "application/vnd.apache.parquet"


class Scored(NamedTuple):
    """An answer: HTTP status, body, media type, further header fields (lower-case names)."""

    status: int
    body: bytes
    content_type: str = _JSON
    headers: Tuple[Tuple[str, str], ...] = ()


class Watched:
    """The model as MLflow's code sees it, which remembers how ``predict`` ended.

    ``outcome``: "unasked", "raised" (``error`` is the exception) or "returned" (``result`` is the type's name).
    """

    def __init__(self, model: Any) -> None:
        self._model = model
        self.outcome = "unasked"
        self.error: Optional[BaseException] = None
        self.result = ""
        # MLflow asks the signature of predict whether it takes params.
        takes_params = "params" in inspect.signature(model.predict).parameters
        self.predict: Callable[..., Any] = self._with_params if takes_params else self._without

    def __getattr__(self, name: str) -> Any:
        return getattr(self._model, name)

    def forget(self) -> None:
        """Begin a new request."""
        self.outcome, self.error, self.result = "unasked", None, ""

    def _with_params(self, data: Any, params: Optional[Dict[str, Any]] = None) -> Any:
        return self._run(lambda: self._model.predict(data, params=params))

    def _without(self, data: Any) -> Any:
        return self._run(lambda: self._model.predict(data))

    def _run(self, predict: Callable[[], Any]) -> Any:
        try:
            result = predict()
        except BaseException as error:
            self.outcome, self.error = "raised", error
            raise
        self.outcome, self.result = "returned", type(result).__name__
        return result


class Scorer:
    """Answers requests with one loaded pyfunc model.

    Of ``spec``: ``stack_trace`` says whether errors carry tracebacks, ``nan`` is "null" or "bare", ``max_body_bytes``
    bounds a request (0: no bound). ``fast``: the path for plain requests that ``learn`` found equal, if any.
    """

    def __init__(self, model: Any, spec: Optional[Mapping[str, Any]] = None) -> None:
        import mlflow.exceptions
        import mlflow.pyfunc.scoring_server as server

        spec = spec or {}
        self.fast: Optional[FastPath] = None
        self._reason = "not compared yet"
        self._model = Watched(model)
        self._stack_trace = bool(spec.get("stack_trace"))
        self._known: type = mlflow.exceptions.MlflowException
        self._schema = model.metadata.get_input_schema()
        self._invocations = getattr(server, "invocations", None) or _inline(server)
        self._types = list(server.CONTENT_TYPES)
        # Newer versions read bytes, older ones text (their CSV reader takes nothing else).
        self._takes_bytes = hasattr(server, "CONTENT_TYPE_PARQUET")

    def answer(self, body: bytes, content_type: Optional[str]) -> Scored:
        """Answer one request; never raises what the request or the model caused."""
        self._model.forget()
        media = content_type or _JSON
        if not self._takes_bytes and media.split(";")[0].strip() not in self._types:
            # Their own refusal asks Flask for the request, which is not there.
            return _refusal(_unsupported(self._types, media))
        try:
            data: Any = without_extras(body) if media.startswith(_JSON) else body
            if not self._takes_bytes and not media.startswith(_PARQUET):
                data = data.decode("utf-8")
            response = self._invocations(data, media, self._model, self._schema)
        except BaseException as error:
            return self.failure(error)
        if response.status != 200:
            return _refusal(response.response)
        return Scored(200, strict_json(response.response).encode(), response.mimetype)

    def learn(self, example: Optional[bytes]) -> None:
        """Compare the fast path with MLflow's own code, at load; install it where the answers are equal."""
        self._reason = "no fast path"

    def describe(self) -> Dict[str, Any]:
        """``{"fast_path": {"kind", "reason"}}`` for the replica's status."""
        kind = self.fast.kind if self.fast is not None else None
        return {"fast_path": {"kind": kind, "reason": self._reason}}

    def stream(self, body: bytes, content_type: Optional[str]) -> Optional[Iterator[bytes]]:
        """Server-sent events, when the request asks for a stream and the model has one; else None."""
        return None

    @property
    def model(self) -> Watched:
        """The model, as every way of asking it must see it."""
        return self._model

    def failure(self, error: BaseException) -> Scored:
        """The answer to what MLflow or the model raised."""
        if isinstance(error, self._known):
            fields: Dict[str, Any] = json.loads(error.serialize_as_json())  # type: ignore[attr-defined]
            status = int(error.get_http_status_code())  # type: ignore[attr-defined]
        else:
            fields = {"error_code": "BAD_REQUEST", "message": self._story(error)}
            if self._model.outcome != "unasked":  # a traceback of MLflow's parsing helps nobody
                fields["stack_trace"] = _trace(error)
            status = 400
        cause = self._model.error
        if cause is not None and not isinstance(cause, self._known) and cause is not error:
            fields["message"] = f"{fields['message']} {log.last_line(cause)}"
        if status >= 500:
            status, fields["error_code"] = 400, "BAD_REQUEST"
        if not self._stack_trace:
            fields.pop("stack_trace", None)
        return Scored(status, json.dumps(fields).encode())

    def _story(self, error: BaseException) -> str:
        last = log.last_line(error)
        if self._model.outcome == "raised":
            return f"Encountered an unexpected error while evaluating the model. {last}"
        if self._model.outcome == "returned":
            kind = self._model.result
            return (
                f"The model's predict returned a {kind} that cannot be written as JSON ({last}). "
                "Return an array, a DataFrame, or lists, dictionaries, numbers and strings."
            )
        return f"The request could not be read. {last}"


def without_extras(body: bytes) -> bytes:
    """``body`` without the top-level keys that are for the platform, not for the model."""
    if not any(name.encode() in body for name in EXTRAS):
        return body
    try:
        fields = json.loads(body)
    except ValueError:
        return body  # MLflow says what is wrong with it
    if not isinstance(fields, dict) or not any(name in fields for name in EXTRAS):
        return body
    return json.dumps(
        {name: value for name, value in fields.items() if name not in EXTRAS}
    ).encode()


def strict_json(text: str) -> str:
    """JSON text with ``null`` for NaN and infinities, which Python writes but JSON does not know."""
    if "NaN" not in text and "Infinity" not in text:
        return text
    return json.dumps(json.loads(text, parse_constant=lambda name: None))


def _refusal(text: str) -> Scored:
    return Scored(400, json.dumps({"error_code": "BAD_REQUEST", "message": text}).encode())


def _unsupported(types: List[str], got: str) -> str:
    return f"This predictor only supports the following content types: Types: {types}. Got '{got}'."


def _trace(error: BaseException) -> str:
    return "".join(traceback.format_exception(type(error), error, error.__traceback__))


class _Response(NamedTuple):
    response: str
    status: int
    mimetype: str


def _inline(server: Any) -> Callable[[Any, str, Any, Any], _Response]:
    """``invocations`` for MLflow before it had that function (2.0 to 2.2): what its Flask route did inline."""

    def invocations(data: str, content_type: str, model: Any, schema: Any) -> _Response:
        media = content_type.split(";")[0].strip()
        if media == server.CONTENT_TYPE_CSV:
            frame = server.parse_csv_input(csv_input=io.StringIO(data), schema=schema)
        elif media == server.CONTENT_TYPE_JSON:
            frame = server.infer_and_parse_json_input(data, schema)
        else:
            return _Response(_unsupported(server.CONTENT_TYPES, content_type), 415, "text/plain")
        result = io.StringIO()
        server.predictions_to_json(model.predict(frame), result)
        return _Response(result.getvalue(), 200, _JSON)

    return invocations


class Timed(NamedTuple):
    """An answer and the milliseconds that it took."""

    scored: Scored
    milliseconds: float


def timed(scorer: Scorer, body: bytes, content_type: Optional[str]) -> Timed:
    """``scorer.answer`` with its time."""
    began = time.perf_counter()
    scored = scorer.answer(body, content_type)
    return Timed(scored, (time.perf_counter() - began) * 1000.0)
