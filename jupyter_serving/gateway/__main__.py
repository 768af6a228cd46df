"""``python -m jupyter_serving.gateway``: the gateway of one data directory, until it is told to end.

Exit codes: 0 ended as told, or another one runs already; 2 a setting is wrong; 3 the data directory cannot be used;
4 the configured port cannot be had (the reason is in ``gateway.json`` under ``problem``, and in the log).
"""

from __future__ import annotations

import argparse
import logging
import resource
import sys
from collections.abc import Sequence

import uvloop

from ..errors import InvalidParameter, StoreFault
from ..places import Places
from ..settings import Settings
from . import handover, listeners, revive
from .service import Gateway

EXIT_SETTING = 2
EXIT_STORE = 3

log = logging.getLogger(__name__)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the gateway; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m jupyter_serving.gateway", description=__doc__)
    parser.add_argument(
        "--leave-controller",
        action="store_true",
        help="do not start a controller when none is there",
    )
    parser.add_argument(
        "--take-over",
        action="store_true",
        help="succeed the gateway that runs, without refusing or losing a connection",
    )
    options = parser.parse_args(argv)
    logging.basicConfig(
        level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s", stream=sys.stderr
    )
    try:
        settings = Settings.load()
        places = Places.of(settings.data_dir or None)
        places.prepare()
    except InvalidParameter as error:
        log.error("%s", error)
        return EXIT_SETTING
    except StoreFault as error:
        log.error("%s", error)
        return EXIT_STORE
    inheritance = handover.inherit(places.handover_socket) if options.take_over else None
    held = inheritance.lock if inheritance else listeners.lock(places.runtime / "gateway.lock")
    if held is None:
        return 0
    _allow_many_files()
    return int(uvloop.run(_run(settings, places, held, inheritance, options.leave_controller)))


async def _run(
    settings: Settings,
    places: Places,
    lock: int,
    inheritance: handover.Inheritance | None,
    leave_controller: bool,
) -> int:
    reviver = None if leave_controller else revive.for_places(places)
    return await Gateway(settings, places, reviver, lock, inheritance).run()


def _allow_many_files() -> None:
    """A connection is a file: raise the soft limit to the hard one."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    except (ValueError, OSError):
        pass


if __name__ == "__main__":
    sys.exit(main())
