"""The one exception tree of the package and its one wire shape.

    ServingError
    ├── InvalidParameter      400 INVALID_PARAMETER_VALUE   a field is malformed or contradicts another
    ├── BadRequest            400 BAD_REQUEST               the request cannot be served in this state
    ├── RegistryUnreachable   400 INVALID_STATE             the model registry cannot be read from here
    ├── Unauthenticated       401 UNAUTHENTICATED           no or an unknown credential
    ├── PermissionDenied      403 PERMISSION_DENIED         known, but not allowed
    ├── NotFound              404 RESOURCE_DOES_NOT_EXIST   endpoint, served entity, model or version
    ├── AlreadyExists         409 RESOURCE_ALREADY_EXISTS   the name is taken
    ├── Conflict              409 RESOURCE_CONFLICT         another change is in progress
    ├── Overloaded            429 REQUEST_LIMIT_EXCEEDED    the queue is full; carries Retry-After
    ├── Internal              500 INTERNAL_ERROR            a fault of ours
    │   ├── ReplicaLost       502                           a replica died while it held the request
    │   ├── StoreFault        500                           the data directory cannot be used (full, read-only, damaged)
    │   ├── StagingFailed     500                           a model's environment could not be made
    │   └── StartFailed       500                           a replica did not become ready
    ├── Unavailable           503 TEMPORARILY_UNAVAILABLE   nothing can serve it now
    │   └── ControllerDown    503                           no controller answers
    └── DeadlineExceeded      504 DEADLINE_EXCEEDED         queue + cold start + compute took too long

Codes and statuses are those that the Databricks SDK and MLflow's clients understand; both show only
``error_code`` and ``message`` to a person, so the next step is part of the message. 413, 415 and 422 are never
used: those clients retry them. They retry 429 and 503 for minutes and then tell of a time-out only, so these two are
for what passes by itself.
"""

from __future__ import annotations

from typing import Any, ClassVar


class ServingError(Exception):
    """Base of all errors that a person may read.

    ``message`` says what and where, ``hint`` the next step; ``to_wire`` joins them.
    """

    code: ClassVar[str] = "INTERNAL_ERROR"
    status: ClassVar[int] = 500

    def __init__(self, message: str, *, hint: str = "", retry_after: float | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.retry_after = retry_after

    def __str__(self) -> str:
        return f"{self.message} {self.hint}".strip()

    def to_wire(self) -> dict[str, Any]:
        """Return the JSON body of every error answer: ``{"error_code", "message"}``."""
        return {"error_code": self.code, "message": str(self)}


class InvalidParameter(ServingError):
    """A field of the request is malformed or contradicts another."""

    code, status = "INVALID_PARAMETER_VALUE", 400


class BadRequest(ServingError):
    """The request is well formed but cannot be served (stopped endpoint, body too large)."""

    code, status = "BAD_REQUEST", 400


class RegistryUnreachable(ServingError):
    """The model registry cannot be read from the controller (network, credentials, relative path)."""

    code, status = "INVALID_STATE", 400


class Unauthenticated(ServingError):
    """No credential, or one that is not known."""

    code, status = "UNAUTHENTICATED", 401


class PermissionDenied(ServingError):
    """The caller is known but may not do this."""

    code, status = "PERMISSION_DENIED", 403


class NotFound(ServingError):
    """An endpoint, served entity, model or version that does not exist."""

    code, status = "RESOURCE_DOES_NOT_EXIST", 404


class AlreadyExists(ServingError):
    """The name is taken."""

    code, status = "RESOURCE_ALREADY_EXISTS", 409


class Conflict(ServingError):
    """Another change of the same endpoint is in progress."""

    code, status = "RESOURCE_CONFLICT", 409


class Overloaded(ServingError):
    """The queue of a served entity is full; ``retry_after`` is in seconds."""

    code, status = "REQUEST_LIMIT_EXCEEDED", 429


class Internal(ServingError):
    """A fault of ours."""

    code, status = "INTERNAL_ERROR", 500


class ReplicaLost(Internal):
    """The replica died after it began the request: it is not safe to run it again."""

    status = 502


class StoreFault(Internal):
    """The data directory cannot be used: full, read-only, damaged, or on a network file system."""


class StagingFailed(Internal):
    """A model's environment could not be made; the message holds the resolver's last lines."""


class StartFailed(Internal):
    """A replica did not become ready; the message holds the useful line of its traceback."""


class Unavailable(ServingError):
    """Nothing can serve the request now; a later try may succeed."""

    code, status = "TEMPORARILY_UNAVAILABLE", 503


class ControllerDown(Unavailable):
    """No controller answers and none could be started."""


class DeadlineExceeded(ServingError):
    """Queue, cold start and compute together took longer than the endpoint's deadline."""

    code, status = "DEADLINE_EXCEEDED", 504


def _tree(base: type[ServingError]) -> list[type[ServingError]]:
    return [base, *(deep for sub in base.__subclasses__() for deep in _tree(sub))]


def from_wire(status: int, body: Any) -> ServingError:
    """Rebuild the exception that ``body`` (a parsed error answer) describes.

    The class is the most specific one with the same code and status, else the one with the same status,
    else ``ServingError`` itself with both taken from the wire.
    """
    code = body.get("error_code", "") if isinstance(body, dict) else ""
    text = body.get("message", "") if isinstance(body, dict) else str(body)
    classes = _tree(ServingError)[1:]
    exact = [c for c in classes if c.code == code and c.status == status]
    near = [c for c in classes if c.status == status]
    chosen = (exact or near or [ServingError])[0]
    return chosen(text or f"The server answered {status} without a message.")
