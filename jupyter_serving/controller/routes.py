"""The REST routes: each only translates. The table is at the foot."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Any, cast

from tornado import web

from .. import api
from ..errors import InvalidParameter, NotFound
from .controller import Controller
from .rest import Handler
from .rest_autoscaling import Autoscaling
from .rest_changes import CancelUpdate, Configs, Reload, Rollback
from .rest_history import History, Updates

MAX_BODY = 1024 * 1024
NAME = r"(?P<name>[^/]+)"


class Missing(Handler):
    """Any other path."""

    def prepare(self) -> Awaitable[None] | None:
        """Refuse every method."""
        raise NotFound(f"There is no route {self.request.method} {self.request.path}.")


class WellKnown(Handler):
    """``/.well-known/databricks-config``: an empty object is all that clients need."""

    def get(self) -> None:
        """Answer ``{}``."""
        self.answer({})


class Collection(Handler):
    """All endpoints."""

    async def get(self) -> None:
        """List them."""
        self.answer({"endpoints": await self.controller.answers.summaries()})

    async def post(self) -> None:
        """Create one."""
        body = api.decode(api.CreateEndpoint, self.request.body)
        endpoint = await self.controller.endpoints.create(body, self.user)
        self.answer(await self.controller.deployed(endpoint))


class Item(Handler):
    """One endpoint."""

    async def get(self, name: str) -> None:
        """Describe it."""
        self.answer(await self.controller.answers.detailed(self.controller.endpoints.get(name)))

    async def delete(self, name: str) -> None:
        """Delete it."""
        await self.controller.endpoints.delete(name, self.user)
        self.answer({})


class Config(Handler):
    """The config of one endpoint."""

    async def put(self, name: str) -> None:
        """Update it."""
        body = api.decode(api.ConfigInput, self.request.body)
        endpoint = await self.controller.endpoints.update_config(name, body, self.user)
        self.answer(await self.controller.deployed(endpoint))


class StopEndpoint(Handler):
    """``config:stop``."""

    async def post(self, name: str) -> None:
        """Stop serving."""
        endpoint = await self.controller.endpoints.stop(name, self.user)
        self.answer(await self.controller.answers.detailed(endpoint))


class StartEndpoint(Handler):
    """``config:start``."""

    async def post(self, name: str) -> None:
        """Serve again."""
        endpoint = await self.controller.endpoints.start(name, self.user)
        self.answer(await self.controller.answers.detailed(endpoint))


class ServiceLogs(Handler):
    """What the replicas of a served entity printed."""

    async def get(self, name: str, entity: str) -> None:
        """The end of the log."""
        self.answer({"logs": await self.controller.answers.service_log(name, entity)})


class BuildLogs(Handler):
    """How the environment of a served entity was made."""

    async def get(self, name: str, entity: str) -> None:
        """The end of the log; ``config_version`` chooses an older one."""
        version = self.get_query_argument("config_version", "")
        if version and not version.isdigit():
            raise InvalidParameter(f"config_version must be a number, not {version!r}.")
        number = int(version) if version else None
        self.answer({"logs": await self.controller.answers.build_log(name, entity, number)})


class OpenApi(Handler):
    """How to ask an endpoint, as an OpenAPI document."""

    async def get(self, name: str) -> None:
        """The document, as raw JSON."""
        self.answer(await self.controller.answers.openapi(name))


class Events(Handler):
    """What happened to an endpoint."""

    async def get(self, name: str) -> None:
        """The last ``limit`` events after id ``after``."""
        limit, after = self.number("limit", 200), self.number("after", 0)
        self.answer({"events": await self.controller.answers.events(name, after, limit)})


class Starts(Handler):
    """Starts of replicas as waterfalls."""

    async def get(self, name: str) -> None:
        """The last ``limit``; with ``reason`` those that have it."""
        limit, reason = self.number("limit", 50), self.get_query_argument("reason", "")
        self.answer({"starts": await self.controller.answers.starts(name, limit, reason)})


class Tokens(Handler):
    """Query tokens of an endpoint."""

    async def post(self, name: str) -> None:
        """Make one; the clear text is in this answer only."""
        body = api.decode(dict[str, Any], self.request.body)
        comment = str(body.get("comment", ""))[:200]
        clear, token = await self.controller.add_token(name, comment)
        self.answer({"token": clear, "id": token.id})


class Status(Handler):
    """The services of this data directory."""

    async def get(self) -> None:
        """Versions, processes and problems."""
        self.answer(await self.controller.answers.status())


class Prepare(Handler):
    """A deploy is coming."""

    async def post(self) -> None:
        """Answer at once; get ready meanwhile."""
        self.controller.prepare()
        self.answer({})


class Shutdown(Handler):
    """End of the services."""

    async def post(self) -> None:
        """Stop gateway and controller; ``{"replicas": "keep"}`` leaves the replicas running."""
        body = api.decode(dict[str, Any], self.request.body)
        replicas = body.get("replicas", "stop")
        if replicas not in ("stop", "keep"):
            raise InvalidParameter(f"replicas must be 'stop' or 'keep', not {replicas!r}.")
        self.answer({})
        self.controller.end(keep_replicas=replicas == "keep")


@web.stream_request_body
class ModelUpload(Handler):
    """A model by digest, for registries that the controller cannot reach."""

    async def prepare(self) -> None:
        """Begin to receive before the body is here."""
        if self.request.method == "PUT":
            # The connection's limit is for JSON; a model may be large.
            cast(Any, self.request.connection).set_max_body_size(1 << 40)
            self._chunks = self.controller.new_upload(self.path_kwargs["digest"])

    async def data_received(self, chunk: bytes) -> None:
        """Pass a piece on; awaiting it is the back-pressure."""
        await self._chunks.add(chunk)

    def on_connection_close(self) -> None:
        """The sender is gone: nothing is kept."""
        if self.request.method == "PUT":
            self._chunks.abandon()

    async def get(self, digest: str) -> None:
        """200 if it is here."""
        if not self.controller.models.has(digest):
            raise NotFound(f"No model with digest {digest} is here.", hint="Upload it with PUT.")
        self.answer({"digest": digest})

    async def put(self, digest: str) -> None:
        """Receive it."""
        await self._chunks.finish()
        self.answer({"digest": digest})


def application(controller: Controller) -> web.Application:
    """All routes."""
    base, own = api.API_PREFIX, api.OWN_PREFIX
    entity = rf"{base}/{NAME}/served-models/(?P<entity>[^/]+)"
    table: list[tuple[str, type[Handler]]] = [
        (r"/\.well-known/databricks-config", WellKnown),
        (rf"{base}/?", Collection),
        (rf"{base}/{NAME}", Item),
        (rf"{base}/{NAME}/config", Config),
        (rf"{base}/{NAME}/config:stop", StopEndpoint),
        (rf"{base}/{NAME}/config:start", StartEndpoint),
        (rf"{base}/{NAME}/config:cancel", CancelUpdate),
        (rf"{base}/{NAME}/config:rollback", Rollback),
        (rf"{base}/{NAME}/config:reload", Reload),
        (rf"{base}/{NAME}/configs", Configs),
        (rf"{entity}/logs", ServiceLogs),
        (rf"{entity}/build-logs", BuildLogs),
        (rf"{base}/{NAME}/openapi", OpenApi),
        (rf"{base}/{NAME}/events", Events),
        (rf"{base}/{NAME}/starts", Starts),
        (rf"{base}/{NAME}/history", History),
        (rf"{base}/{NAME}/autoscaling", Autoscaling),
        (rf"{base}/{NAME}/updates", Updates),
        (rf"{base}/{NAME}/tokens", Tokens),
        (rf"{own}/status", Status),
        (rf"{own}/prepare", Prepare),
        (rf"{own}/shutdown", Shutdown),
        (rf"{own}/models/(?P<digest>[^/]+)", ModelUpload),
    ]
    needs = {"controller": controller}
    return web.Application(
        [(path, handler, needs) for path, handler in table],
        default_handler_class=Missing,
        default_handler_args=needs,
        log_function=lambda handler: None,
    )
