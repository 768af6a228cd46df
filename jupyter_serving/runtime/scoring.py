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

import io
import json
import time
from functools import partial
from typing import (
    Any,
    Callable,
    Dict,
    Iterator,
    List,
    Mapping,
    NamedTuple,
    NoReturn,
    Optional,
    Tuple,
)

from . import log
from .events import Events
from .fastpath import FastPath, Rows
from .faults import JSON as _JSON
from .faults import Faults, Scored, refusal
from .integers import Integers
from .learning import Comparison
from .plain import EXTRAS
from .results import Encoder, strict_json
from .verdicts import Memo
from .watched import Watched

__all__ = ["EXTRAS", "Scored", "Scorer", "Timed", "strict_json", "timed", "without_extras"]

_CSV = "text/csv"
_PARQUET = "application/vnd.apache.parquet"
_PLAIN_TYPES = frozenset(
    (_JSON, "application/json; charset=utf-8", "application/json;charset=utf-8")
)
_EXTRAS_WRITTEN = tuple(name.encode() for name in EXTRAS)


class Refused(Exception):
    """The request is not taken; the text says why."""


class Scorer:
    """Answers requests with one loaded pyfunc model.

    Of ``spec``: ``stack_trace`` says whether errors carry tracebacks, ``nan`` is "null" or "bare", ``max_body_bytes``
    bounds a request (0: no bound). ``fast``: the path for plain requests that ``learn`` found equal, if any; ``memo``:
    what ``recall`` needs to have it again.
    """

    def __init__(self, model: Any, spec: Optional[Mapping[str, Any]] = None) -> None:
        import mlflow.exceptions
        import mlflow.pyfunc.scoring_server as server

        spec = spec or {}
        self.fast: Optional[FastPath] = None
        self._reason = "not compared yet"
        self.memo: Optional[Memo] = None
        self._model = Watched(model)
        self._faults = Faults(
            mlflow.exceptions.MlflowException, "shown" if spec.get("stack_trace") else "hidden"
        )
        self.max_body_bytes = int(spec.get("max_body_bytes") or 0)
        self._encoder = Encoder(str(spec.get("nan") or "null"))
        self._schema = model.metadata.get_input_schema()
        self._integers = Integers(self._schema)
        self._invocations = getattr(server, "invocations", None) or _inline(server)
        self._types = list(server.CONTENT_TYPES)
        self._takes_bytes = _takes_bytes(server)
        self._events = Events(server, model, self._encoder.words, self._stream_fault)

    def answer(self, body: bytes, content_type: Optional[str]) -> Scored:
        """Answer one request; never raises what the request or the model caused."""
        if self.max_body_bytes and len(body) > self.max_body_bytes:
            return refusal(
                f"The request has {len(body)} bytes; at most {self.max_body_bytes} are taken."
            )
        refused = self._events.refused(body)
        if refused is not None:
            return refused
        fast = self.fast
        if fast is not None and (content_type is None or content_type in _PLAIN_TYPES):
            rows = fast.parse(body)
            if rows is not None:
                return self._quickly(fast, rows, body)
        return self.slow(body, content_type)

    def slow(self, body: bytes, content_type: Optional[str]) -> Scored:
        """The same through MLflow's own code, whatever ``fast`` could take."""
        return self._slowly(body, content_type, None)

    def _quickly(self, fast: FastPath, rows: Rows, body: bytes) -> Scored:
        try:
            result = fast.predict(rows)
        except BaseException as error:
            # What an estimator says of an array is not what it says of a DataFrame: MLflow's way asks it again.
            # Other models are not asked twice; MLflow words their failure.
            known = None if fast.kind == "array" else partial(_raise, error)
            return self._slowly(body, None, known)
        try:
            return Scored(200, fast.encode(result))
        except BaseException:
            return self._slowly(body, None, lambda: result)

    def _slowly(
        self, body: bytes, content_type: Optional[str], known: Optional[Callable[[], Any]]
    ) -> Scored:
        self._model.forget(known)
        media = content_type or _JSON
        if not self._takes_bytes and media.split(";")[0].strip() not in self._types:
            # Their own refusal asks Flask for the request, which is not there.
            return refusal(_unsupported(self._types, media))
        try:
            data: Any = self._cleaned(body) if media.startswith(_JSON) else body
            if not self._takes_bytes and isinstance(data, bytes) and not media.startswith(_PARQUET):
                data = data.decode("utf-8")
            response = self._invocations(data, media, self._model, self._schema)
        except Refused as refused:
            return refusal(str(refused))
        except BaseException as error:
            return self._explained(self.failure(error), body, media)
        finally:
            self._model.forget_known()
        if response.status != 200:
            return refusal(response.response)
        return Scored(200, self._encoder.words(response.response).encode(), response.mimetype)

    def _cleaned(self, body: bytes) -> bytes:
        """The body without the platform's own keys; Refused where an integer column has a fraction."""
        if not self._integers and not any(name in body for name in _EXTRAS_WRITTEN):
            return body
        try:
            fields = json.loads(body)
        except ValueError:
            return body  # MLflow says what is wrong with it
        found = self._integers.in_json(fields) if isinstance(fields, dict) else None
        if found is not None:
            raise Refused(found.sentence())
        return without_extras(body, fields)

    def _explained(self, scored: Scored, body: bytes, media: str) -> Scored:
        """A refusal of CSV, which says only that a cast is not safe, with the place of the fraction."""
        if media.startswith(_CSV) and self._integers and self._model.outcome == "unasked":
            found = self._integers.in_csv(body.decode("utf-8", "replace"))
            if found is not None:
                return refusal(found.sentence())
        return scored

    def learn(self, example: Optional[bytes]) -> None:
        """Compare the fast path with MLflow's own code, at load; install it where the answers are equal."""
        self.fast = None
        self.fast, self._reason, self.memo = self._comparison().learn(example)
        kind = self.fast.kind if self.fast is not None else "off"
        log.say("fast path", f"{kind} ({self._reason})")

    def recall(self, memo: Memo) -> None:
        """Install what ``learn`` found at an earlier start, whose ``memo`` this is; raises what that runs into."""
        self.fast, self._reason, self.memo = self._comparison().recall(memo)
        text = (
            f"{self.fast.kind} (remembered)" if self.fast is not None else f"off ({self._reason})"
        )
        log.say("fast path", text)

    def _comparison(self) -> Comparison:
        return Comparison(self._model.itself, self._encoder, self._compared)

    def _compared(self, body: bytes) -> Tuple[int, bytes]:
        scored = self.slow(body, None)
        return scored.status, scored.body

    def describe(self) -> Dict[str, Any]:
        """``{"fast_path": {"kind", "reason"}}`` for the replica's status."""
        kind = self.fast.kind if self.fast is not None else None
        return {"fast_path": {"kind": kind, "reason": self._reason}}

    def stream(self, body: bytes, content_type: Optional[str]) -> Optional[Iterator[bytes]]:
        """Server-sent events, when the request asks for a stream and the model has one; else None.

        Returns when the first piece is there. A request that fails before it is None, too: ``answer`` then tells why.
        """
        if content_type is not None and not content_type.startswith(_JSON):
            return None
        if self.max_body_bytes and len(body) > self.max_body_bytes:
            return None
        return self._events.stream(body, self._cleaned)

    @property
    def model(self) -> Watched:
        """The model, as every way of asking it must see it."""
        return self._model

    def failure(self, error: BaseException) -> Scored:
        """The answer to what MLflow or the model raised."""
        return self._faults.answer(error, self._model)

    def _stream_fault(self, error: BaseException) -> Scored:
        if isinstance(error, Refused):
            return refusal(str(error))
        self._model.failed(error)
        return self.failure(error)


def without_extras(body: bytes, fields: Any) -> bytes:
    """``body``, which reads as ``fields``, without the top-level keys that are for the platform."""
    if not isinstance(fields, dict) or not any(name in fields for name in EXTRAS):
        return body
    kept = {name: value for name, value in fields.items() if name not in EXTRAS}
    return json.dumps(kept).encode()


def _takes_bytes(server: Any) -> bool:
    """Versions whose server was a Flask app read text, and ask Flask's request for the content type they refuse."""
    code = getattr(getattr(server, "invocations", None), "__code__", None)
    return code is not None and "flask" not in code.co_varnames + code.co_names


def _raise(error: BaseException) -> NoReturn:
    raise error


def _unsupported(types: List[str], got: str) -> str:
    return f"This predictor only supports the following content types: Types: {types}. Got '{got}'."


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
