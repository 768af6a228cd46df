"""An upgrade of the package under this process: noticed, and answered by making room for a controller of the new one.

The controller looks at its own installation every few seconds, and at once when a client of another version asks. A
client's version alone decides nothing: it may live in another environment.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from ..version import Installation

log = logging.getLogger(__name__)
LOOK_SECONDS = 5.0
AGAIN_SECONDS = 1.0


class Upgrade:
    """Watches one installation; ``leave`` is called once, when another version has taken its place."""

    def __init__(
        self,
        installation: Installation,
        leave: Callable[[], None],
        look_seconds: float = LOOK_SECONDS,
        again_seconds: float = AGAIN_SECONDS,
    ) -> None:
        self._installation, self._leave = installation, leave
        self._look_seconds, self._again_seconds = look_seconds, again_seconds
        self._told = asyncio.Event()
        self.found = ""

    def met(self, client_version: str) -> None:
        """A client of that version ("" for one that does not say) has asked."""
        if client_version and client_version != self._installation.running:
            self._told.set()

    async def run(self) -> None:
        """Look until there is another version, then have this controller leave."""
        while not self.found:
            try:
                async with asyncio.timeout(self._look_seconds):
                    await self._told.wait()
            except TimeoutError:
                pass
            self.found = await asyncio.to_thread(self._installation.upgraded)
            if not self.found and self._told.is_set():
                # A version counts when it is seen twice; clients that stay different must not make us look for ever.
                self._told.clear()
                await asyncio.sleep(self._again_seconds)
                self.found = await asyncio.to_thread(self._installation.upgraded)
        log.info(
            "version %s is installed, this is %s: leaving", self.found, self._installation.running
        )
        self._leave()
