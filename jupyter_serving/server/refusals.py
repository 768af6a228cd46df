"""Every refusal in the one error shape, with words that tell a person what to do next."""

from __future__ import annotations

from tornado import web

from ..errors import (
    BadRequest,
    Internal,
    NotFound,
    PermissionDenied,
    ServingError,
    from_wire,
)


class Refusal(web.HTTPError):
    """A ``ServingError`` on its way out of a handler."""

    def __init__(self, error: ServingError) -> None:
        super().__init__(error.status, str(error))
        self.error = error


def explain(status: int, error: BaseException | None, *, method: str, path: str) -> ServingError:
    """The error to answer with when Jupyter, tornado or our own code refused with ``status``.

    ``error`` is what was raised, None when the status was set without an exception.
    """
    if isinstance(error, Refusal):
        return error.error
    reason = _reason(error)
    if status == 403:
        return _forbidden(reason)
    if status == 404:
        return NotFound(
            f"{method} {path} is not answered here{_colon(reason)}.",
            hint="A request from another origin needs a token (`Authorization: Bearer <token>`).",
        )
    if status == 405:
        return BadRequest(
            f"{method} is not possible at {path}.",
            hint="See the REST reference for the methods of each path.",
        )
    if status < 500:
        return from_wire(
            status, {"message": reason or f"{method} {path} was refused with status {status}."}
        )
    return Internal(
        f"The Jupyter Server extension failed at {method} {path}: {type(error).__name__}{_colon(str(error))}.",
        hint="The traceback is in Jupyter's log; please report it.",
    )


def _forbidden(reason: str) -> PermissionDenied:
    if "_xsrf" in reason or "XSRF" in reason:
        return PermissionDenied(
            f"The request came with a login cookie but without its XSRF token ({reason}).",
            hint="Send the value of the `_xsrf` cookie as header X-XSRFToken, or use a token "
            "(`Authorization: Bearer <token>`).",
        )
    if "not authorized" in reason:
        return PermissionDenied(
            reason, hint="Ask whoever runs this Jupyter server for the permission on `serving`."
        )
    return PermissionDenied(
        f"No valid Jupyter credential came with this request{_colon(reason)}.",
        hint="Send `Authorization: Bearer <token>` (`jupyter server list` shows the token), "
        "or log in to Jupyter in this browser.",
    )


def _reason(error: BaseException | None) -> str:
    if not isinstance(error, web.HTTPError) or not error.log_message:
        return ""
    # tornado keeps a template: with "%%" when it has no arguments, unformatted when it has.
    return error.log_message % error.args


def _colon(text: str) -> str:
    return f": {text.rstrip('.')}" if text else ""
