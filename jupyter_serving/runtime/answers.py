"""What a call for a prediction can end with when no worker answers it."""

from __future__ import annotations

import json
from typing import Any, Dict, NamedTuple, Optional

from .http1 import error_body


class Answer(NamedTuple):
    """What a call ends with.

    ``milliseconds``: the worker's time, None when no worker answered; ``batch``: requests computed together;
    ``more``: further header lines with their line ends.
    """

    status: int
    body: bytes
    content_type: str = "application/json"
    milliseconds: Optional[float] = None
    batch: int = 1
    more: str = ""


class Failure(NamedTuple):
    """Why the model could not be loaded; ``course`` is what ``Course.failed`` tells, None where nobody could."""

    message: str
    traceback: str
    course: Optional[Dict[str, Any]] = None


def in_v2(answer: Answer) -> Answer:
    """An error in the Open Inference Protocol's shape, which has ``error`` beside our fields; else unchanged."""
    if answer.status < 400:
        return answer
    fields = json.loads(answer.body)
    return answer._replace(body=json.dumps({"error": fields["message"], **fields}).encode())


def too_late(message: str) -> Answer:
    """504: the deadline passed; the message says where."""
    return Answer(504, error_body("DEADLINE_EXCEEDED", message))


def not_loaded(failure: Failure) -> Answer:
    """503: there will be no worker."""
    message = f"The model is not loaded: {failure.message}"
    return Answer(503, error_body("TEMPORARILY_UNAVAILABLE", message))


def lost(slot: int, how: str) -> Answer:
    """502: the worker ended during the request."""
    message = (
        f"The worker process of slot {slot} ended ({how}) while it computed this request; a new one is started. "
        "The replica's log may say why."
    )
    return Answer(502, error_body("INTERNAL_ERROR", message))


def died_loading(slot: int, how: str) -> Failure:
    """Why there is no model, when the worker that should have loaded it could not say so itself."""
    cause = " Running out of memory is the usual cause." if how.endswith("SIGKILL") else ""
    return Failure(
        f"The worker process of slot {slot} ended ({how}) while it loaded the model.{cause}", ""
    )
