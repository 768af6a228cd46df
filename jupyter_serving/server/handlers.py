"""Routes under ``<base_url>jupyter-serving/``: authenticate, authorise, forward; they hold no state.

Every verb has its own decorated method: ``authorized`` keeps the action of its first call, so one decorated method
must never serve two verbs.
"""

from __future__ import annotations

import asyncio
import json
import math
from typing import TYPE_CHECKING, Any

import httpx
from jupyter_core.utils import ensure_async
from jupyter_server.auth.decorator import allow_unauthenticated, authorized
from jupyter_server.base.handlers import APIHandler, JupyterHandler
from jupyter_server.extension.handler import ExtensionHandlerMixin
from jupyter_server.utils import url_path_join
from tornado import iostream, web

from ..errors import ServingError
from .bodies import LINGER_BYTES, MEGABYTE, Collected, Piped, too_large
from .credentials import accept_basic, name_of
from .forward import Outgoing, lost
from .headers import declared_length, from_upstream, target_of, to_upstream
from .refusals import Refusal, explain
from .starting import Service

if TYPE_CHECKING:
    from .app import ServingApp

ROOT = "jupyter-serving"
CONTROL_BODY_BYTES = MEGABYTE
# The gateway knows the exact limit of each endpoint and words its refusal; here is only the bound on what is kept.
BODY_MARGIN = 64 * 1024
UNLIMITED = 2**62


class ServingHandler(ExtensionHandlerMixin, APIHandler):
    """What all our routes share: the error shape and the resource name of authorisation."""

    auth_resource = "serving"
    current_user: Any

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        """Answer ``{"error_code", "message"}``."""
        raised = kwargs.get("exc_info", (None, None, None))[1]
        error = explain(
            status_code, raised, method=self.request.method or "", path=self.request.path
        )
        self.set_header("Content-Type", "application/json")
        if error.retry_after is not None:
            self.set_header("Retry-After", str(math.ceil(error.retry_after)))
        self.finish(json.dumps(error.to_wire()))

    def finish(self, *args: Any, **kwargs: Any) -> Any:
        """Finish as ``APIHandler`` does, without its setting of the content type."""
        self.update_api_activity()
        kwargs.pop("set_content_type", None)
        return JupyterHandler.finish(self, *args, **kwargs)


class WellKnownHandler(ServingHandler):
    """``.well-known/databricks-config``: clients ask it before they have, or use, any credential."""

    _track_activity = False

    @allow_unauthenticated
    def get(self) -> None:
        """Answer ``{}`` at once; the controller is not asked, so it need not run."""
        self.set_header("Content-Type", "application/json")
        self.finish("{}")


@web.stream_request_body
class ControlHandler(ServingHandler):
    """The control plane: everything that the controller answers."""

    service = Service.CONTROLLER
    _body: Collected | Piped
    _work: asyncio.Task[None] | None = None
    _refusal: web.HTTPError | None = None

    def body_limit(self) -> int:
        """Bytes of a request body that are kept."""
        return CONTROL_BODY_BYTES

    @property
    def app(self) -> ServingApp:
        """The extension application, which owns the forwarder."""
        app: ServingApp = self.extensionapp
        return app

    async def prepare(self) -> None:
        """Authenticate and bound the body, before any of it is read."""
        self._track_activity = self.tracks_activity()
        self._body = Collected(self.body_limit())
        accept_basic(self.request.headers)
        self._bound_body()
        try:
            await super().prepare()
        except web.HTTPError as refusal:
            if "Expect" in self.request.headers:
                raise
            # A client that is still sending would see a broken connection instead of the reason. So the body is
            # received and dropped; from here on there is no user, and the decorators of every verb refuse.
            self.current_user = None
            self._body = Collected(0)
            self._refusal = refusal

    def tracks_activity(self) -> bool:
        """Polling must not keep a hub's server alive, so reading is no activity."""
        return self.request.method not in ("GET", "HEAD", "OPTIONS")

    def _bound_body(self) -> None:
        declared = declared_length(self.request.headers) or 0
        limit = self.body_limit()
        most = max(LINGER_BYTES, 2 * limit)
        if declared > most or (declared > limit and "Expect" in self.request.headers):
            raise Refusal(too_large(declared, limit))
        self._set_max_body_size(most)

    def _set_max_body_size(self, size: int) -> None:
        connection: Any = self.request.connection
        connection.set_max_body_size(size)

    async def data_received(self, chunk: bytes) -> None:
        """Take a piece of the request body."""
        await self._body.receive(chunk)

    def on_connection_close(self) -> None:
        """The client is gone: end the exchange, so that the gateway frees the place in its queue."""
        super().on_connection_close()
        if self._work is not None:
            self._work.cancel()

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        """Answer with the first reason, where the decorators only repeated that the request is refused."""
        if self._refusal is not None and status_code == 403:
            kwargs["exc_info"] = (type(self._refusal), self._refusal, None)
            status_code = self._refusal.status_code
            self.set_status(status_code)
        super().write_error(status_code, **kwargs)

    def outgoing(self, body: bytes | Collected | Piped, length: int | None) -> Outgoing:
        """The request as the service gets it; ``length`` None means that the body is sent in chunks."""
        prefix = url_path_join(self.base_url, ROOT)
        headers = to_upstream(
            self.request.headers.get_all(), user=name_of(self.current_user), prefix=prefix
        )
        if length is not None:
            headers.append(("content-length", str(length)))
        return Outgoing(
            self.request.method or "", target_of(self.request.uri or "", prefix), headers, body
        )

    async def forward(self) -> None:
        """Send the collected request on and stream the answer back."""
        body = self._body
        assert isinstance(body, Collected)
        try:
            body.check()
            bodiless = body.size == 0 and self.request.method in ("GET", "HEAD", "DELETE")
            outgoing = self.outgoing(b"" if bodiless else body, None if bodiless else body.size)
        except ServingError as error:
            raise Refusal(error) from error
        self._work = asyncio.create_task(self._carry(outgoing))
        await finished(self._work)

    async def _carry(self, outgoing: Outgoing, received: asyncio.Event | None = None) -> None:
        try:
            async with self.app.forwarder.exchange(self.service, outgoing) as response:
                self._body.abandon()
                if received is not None:
                    await received.wait()
                await self._answer(response)
        except ServingError as error:
            raise Refusal(error) from error
        except iostream.StreamClosedError:
            return  # the client went away while it was told
        finally:
            self._body.abandon()

    async def _answer(self, response: httpx.Response) -> None:
        self.set_status(response.status_code, response.reason_phrase or None)
        self.clear_header("Content-Type")
        for name, value in from_upstream(response.headers.multi_items()):
            self.add_header(name, value)
        if "text/event-stream" in response.headers.get("content-type", ""):
            self.set_header("X-Accel-Buffering", "no")  # nginx would hold events back
        try:
            if "content-length" not in response.headers:
                await self.flush()
            async for piece in response.aiter_raw():
                self.write(piece)
                await self.flush()
        except httpx.TransportError as error:
            if not self._headers_written:
                raise lost(self.service, error) from error
            # The status is out. A broken connection tells the client that the answer is not complete; an orderly
            # end would not.
            self.log.warning("%s broke off its answer to %s", self.service, self.request.path)
            self.detach().close()
            return
        await self.finish()

    @web.authenticated
    @authorized
    async def get(self) -> None:
        """Read."""
        await self.forward()

    @web.authenticated
    @authorized
    async def head(self) -> None:
        """Read the headers alone."""
        await self.forward()

    @web.authenticated
    @authorized
    async def post(self) -> None:
        """Create or act."""
        await self.forward()

    @web.authenticated
    @authorized
    async def put(self) -> None:
        """Replace."""
        await self.forward()

    @web.authenticated
    @authorized
    async def patch(self) -> None:
        """Change in part."""
        await self.forward()

    @web.authenticated
    @authorized
    async def delete(self) -> None:
        """Remove."""
        await self.forward()


class UploadHandler(ControlHandler):
    """Upload of a model by its digest: of any size, sent on while it arrives."""

    _pipe: Piped | None = None

    async def prepare(self) -> None:
        """Begin the exchange as soon as the caller may write."""
        self._received = asyncio.Event()
        await super().prepare()
        # The verb runs when the whole body is here, which is too late to ask for permission; it asks again.
        if self.request.method == "PUT" and self.current_user and await self._may_write():
            self._set_max_body_size(UNLIMITED)
            self._body = self._pipe = Piped()
            outgoing = self.outgoing(self._pipe, declared_length(self.request.headers))
            self._work = asyncio.create_task(self._carry(outgoing, self._received))
            self._work.add_done_callback(lambda work: work.cancelled() or work.exception())

    async def _may_write(self) -> bool:
        verdict = self.authorizer.is_authorized(
            self, self.current_user, "write", self.auth_resource
        )
        return bool(await ensure_async(verdict))

    def _bound_body(self) -> None:
        if self.request.method != "PUT":
            super()._bound_body()

    @web.authenticated
    @authorized
    async def put(self) -> None:
        """Tell how the upload ended."""
        if self._pipe is None or self._work is None:
            raise web.HTTPError(403)  # the authoriser refused in `prepare`
        self._received.set()
        await self._pipe.end()
        await finished(self._work)


class DataHandler(ControlHandler):
    """The data plane: predictions, which the gateway answers."""

    service = Service.GATEWAY

    def body_limit(self) -> int:
        """Bytes of a request body that are kept."""
        return self.app.max_body_bytes + BODY_MARGIN

    def tracks_activity(self) -> bool:
        """Traffic is activity, whatever its verb."""
        return True

    async def forward(self) -> None:
        """Send the request on; the server counts as busy until it is answered."""
        with self.app.predicting():
            await super().forward()

    @web.authenticated
    @authorized("execute")
    async def post(self) -> None:
        """Predict."""
        await self.forward()


async def finished(work: asyncio.Task[None]) -> None:
    """Wait for ``work`` and raise what it raised; that it was cancelled (the client is gone) is no error."""
    try:
        await asyncio.wait({work})
    finally:
        work.cancel()
    if not work.cancelled():
        work.result()


ROUTES: list[tuple[str, type[ServingHandler]]] = [
    (rf"{ROOT}/\.well-known/databricks-config", WellKnownHandler),
    (rf"{ROOT}/serving-endpoints/.*", DataHandler),
    (rf"{ROOT}/v2(?:/.*)?", DataHandler),
    (rf"{ROOT}/api/2\.0/jupyter-serving/models/[^/]+", UploadHandler),
    (rf"{ROOT}(?:/.*)?", ControlHandler),
]
