"""What went wrong, as MLflow would answer it, except that no fault of the client or the model is a 5xx."""

from __future__ import annotations

import json
import traceback
from typing import Any, Dict, NamedTuple, Tuple

from . import log
from .watched import Watched

JSON = "application/json"


class Scored(NamedTuple):
    """An answer: HTTP status, body, media type, further header fields (lower-case names)."""

    status: int
    body: bytes
    content_type: str = JSON
    headers: Tuple[Tuple[str, str], ...] = ()


def refusal(text: str) -> Scored:
    """400 with a message."""
    return Scored(400, json.dumps({"error_code": "BAD_REQUEST", "message": text}).encode())


class Faults:
    """``known`` is MLflow's exception class; ``stack_trace`` is "shown" or "hidden" in answers."""

    def __init__(self, known: type, stack_trace: str) -> None:
        self._known = known
        self._stack_trace = stack_trace

    def answer(self, error: BaseException, model: Watched) -> Scored:
        """The answer for what was raised; ``model`` knows how its prediction ended."""
        status = 400
        if isinstance(error, self._known):
            fields: Dict[str, Any] = json.loads(error.serialize_as_json())  # type: ignore[attr-defined]
            status = int(error.get_http_status_code())  # type: ignore[attr-defined]
        else:
            fields = {"error_code": "BAD_REQUEST", "message": _story(error, model)}
            if model.outcome != "unasked":  # a traceback of MLflow's parsing helps nobody
                fields["stack_trace"] = _trace(error)
        cause = model.error
        if cause is not None and not isinstance(cause, self._known) and cause is not error:
            fields["message"] = f"{fields['message']} {log.last_line(cause)}"
        if status >= 500:
            status, fields["error_code"] = 400, "BAD_REQUEST"
        if self._stack_trace == "hidden":
            fields.pop("stack_trace", None)
        return Scored(status, json.dumps(fields).encode())


def _story(error: BaseException, model: Watched) -> str:
    last = log.last_line(error)
    if model.outcome == "raised":
        return f"Encountered an unexpected error while evaluating the model. {last}"
    if model.outcome == "returned":
        return (
            f"The model's predict returned a {model.result} that cannot be written as JSON ({last}). "
            "Return an array, a DataFrame, or lists, dictionaries, numbers and strings."
        )
    return f"The request could not be read. {last}"


def _trace(error: BaseException) -> str:
    return "".join(traceback.format_exception(type(error), error, error.__traceback__))
