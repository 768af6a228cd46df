"""What every REST route shares: who asks, JSON in and out, one error shape."""

from __future__ import annotations

import getpass
import logging
from typing import Any

from tornado import web

from .. import api
from ..errors import BadRequest, Internal, InvalidParameter, NotFound, ServingError
from ..version import VERSION_HEADER
from .controller import Controller

log = logging.getLogger(__name__)


class Handler(web.RequestHandler):
    """Base: one error shape, JSON in and out."""

    def initialize(self, controller: Controller) -> None:
        """Take what every route needs."""
        self.controller = controller
        # A client of another version may mean that our own files have been replaced.
        self.controller.upgrade.met(self.request.headers.get(VERSION_HEADER, ""))

    @property
    def user(self) -> str:
        """Who asks: told by the Jupyter extension, else the owner of this process."""
        return self.request.headers.get("x-jupyter-serving-user") or getpass.getuser()

    def number(self, name: str, default: int) -> int:
        """A query argument that is a whole number, not negative.

        Raises:
            InvalidParameter: it is something else.
        """
        text = self.get_query_argument(name, str(default))
        if not text.isdigit():
            raise InvalidParameter(f"{name} must be a number that is not negative, not {text!r}.")
        return min(int(text), 2**53)

    def answer(self, value: Any) -> None:
        """Send ``value`` as JSON."""
        self.set_header("Content-Type", "application/json")
        self.finish(api.encode(value))

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        """Every failure in the one shape."""
        error = (kwargs.get("exc_info") or (None, None))[1]
        told = error if isinstance(error, ServingError) else _translate(status_code, error, self)
        self.set_status(told.status)
        if told.retry_after is not None:
            self.set_header("Retry-After", str(int(told.retry_after)))
        self.answer(told.to_wire())

    def log_exception(self, typ: Any, value: Any, tb: Any) -> None:
        """Log defects only: what a caller did wrong is told to the caller."""
        if isinstance(value, ServingError | web.HTTPError):
            log.info("%s %s: %s", self.request.method, self.request.uri, value)
        else:
            log.error("%s %s", self.request.method, self.request.uri, exc_info=(typ, value, tb))


def _translate(status: int, error: BaseException | None, handler: Handler) -> ServingError:
    request = handler.request
    if status == 404:
        return NotFound(f"There is no route {request.method} {request.path}.")
    if status == 405:
        return BadRequest(f"{request.path} does not answer {request.method}.")
    if status < 500:
        return BadRequest(str(error) or "The request cannot be read.")
    return Internal(
        f"The controller failed: {type(error).__name__}: {error}.",
        hint="Its log has the details: `jupyter serving doctor` names it.",
    )
