"""The controller's process: lock, socket, signals."""

from __future__ import annotations

import asyncio
import gc
import logging
import signal
import sys

from tornado.httpserver import HTTPServer
from tornado.netutil import bind_unix_socket

from .. import processes
from ..backends.process import ProcessBackend
from ..environments.stage import Stager
from ..errors import ServingError
from ..places import Places
from ..settings import Settings
from ..version import version
from .controller import Controller
from .routes import MAX_BODY, application
from .store import Store, StoreLocked

log = logging.getLogger("jupyter_serving.controller")
EXIT_LOCKED, EXIT_FAULT = 0, 4
# One answer about a thousand endpoints makes some ten thousand objects at a time. With the usual 700 they count as old
# ones before they are gone again, and a full collection stops everything for tens of milliseconds.
COLLECT_AFTER = (50_000, 20, 20)


async def serve(places: Places, settings: Settings) -> None:
    """Hold the data directory, answer on its socket, work until told to end.

    Raises:
        StoreLocked: another controller holds it. StoreFault: it cannot be used.
    """
    await asyncio.to_thread(places.prepare)
    store = Store(places.store, settings.events_kept)
    await store.open()
    backend = ProcessBackend(places, settings)
    controller = Controller(places, settings, store, backend, Stager(places, settings))
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, controller.leave)
    server = HTTPServer(application(controller), max_body_size=MAX_BODY)
    # The lock on the store is ours, so a socket that is there is a dead controller's.
    server.add_socket(bind_unix_socket(str(places.controller_socket), mode=0o600))
    log.info("controller %s for %s", version(), places.data)
    try:
        await controller.run()
    finally:
        server.stop()
        await server.close_all_connections()
        places.controller_socket.unlink(missing_ok=True)
        await store.close()
    if controller.upgrade.found:
        # The gateway would bring one back too, after a while.
        await asyncio.to_thread(processes.spawn_service, "jupyter_serving.controller", places)


def main() -> int:
    """Run the controller of ``$JUPYTER_SERVING_DATA_DIR``; 0 also where another one runs already."""
    gc.set_threshold(*COLLECT_AFTER)
    logging.basicConfig(
        level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s"
    )
    try:
        settings = Settings.load()
        asyncio.run(serve(Places.of(settings.data_dir or None), settings))
    except StoreLocked as error:
        log.info("%s", error)
        return EXIT_LOCKED
    except ServingError as error:
        print(f"jupyter-serving controller: {error}", file=sys.stderr)
        return EXIT_FAULT
    return 0
