"""The application object that Jupyter Server loads."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from jupyter_server.extension.application import ExtensionApp

from ..errors import ServingError
from ..places import Places
from ..settings import Settings
from .forward import Forwarder
from .handlers import ROOT, ROUTES
from .kernels import Announcement, announce, local_url
from .starting import Starter


class ServingApp(ExtensionApp):
    """Jupyter Server extension: routes under ``jupyter-serving/``, and what kernels need to find them.

    Loading it starts nothing; the controller starts with the first request that needs it. Stopping Jupyter stops
    neither the controller nor any endpoint.
    """

    # The configuration file is jupyter_serving_config, which ``Settings`` reads too: each takes its own section.
    name = "serving"
    description = "Model serving: endpoints from notebooks."
    extension_url = f"/{ROOT}"
    load_other_extensions = True

    max_body_bytes: int
    _forwarder: Forwarder | None = None
    _announcement: Announcement | None = None
    _predictions = 0

    def initialize_settings(self) -> None:
        """Create what the handlers use; nothing runs yet."""
        settings = self._settings()
        self._data_dir = settings.data_dir or None
        self.max_body_bytes = settings.max_body_bytes
        self._forwarder = Forwarder(self.places, Starter(self.places))

    def initialize_handlers(self) -> None:
        """Add our routes."""
        self.handlers.extend(ROUTES)

    @property
    def forwarder(self) -> Forwarder:
        """The way to the services; it exists from the moment that Jupyter initialised the extension."""
        assert self._forwarder is not None
        return self._forwarder

    def places(self) -> Places:
        """Paths of the data directory, as they are now (the controller records where its sockets are)."""
        return Places.of(self._data_dir)

    def _settings(self) -> Settings:
        try:
            return Settings.load()
        except ServingError as error:
            # Jupyter must start all the same. The controller refuses such settings too, and its answer says why.
            self.log.error("jupyter-serving: %s", error)
            return Settings()

    async def _start_jupyter_server_extension(self, serverapp: Any) -> None:
        """Tell kernels where we are: only now the port is known."""
        try:
            self._announcement = announce(
                os.environ,
                url=local_url(serverapp.connection_url, serverapp.ip, serverapp.port),
                token=serverapp.identity_provider.token or "",
                runtime_dir=Path(serverapp.runtime_dir),
                data_dir=self.places().data,
            )
        except (OSError, ServingError) as error:
            self.log.error(
                "jupyter-serving: kernels were not told how to reach this server: %s. "
                "`jupyter serving doctor` shows what they find.",
                error,
            )

    async def stop_extension(self) -> None:
        """Take back what kernels were told and close our connections; endpoints go on."""
        if self._announcement is not None:
            self._announcement.withdraw()
        if self._forwarder is not None:
            await self._forwarder.close()

    def current_activity(self) -> int | None:
        """Predictions under way, None without any: Jupyter's idle shutdown waits for them."""
        return self._predictions or None

    @contextmanager
    def predicting(self) -> Iterator[None]:
        """Count a prediction as activity from its begin to its end."""
        self._predictions += 1
        self._mark_active()
        try:
            yield
        finally:
            self._predictions -= 1
            self._mark_active()

    def _mark_active(self) -> None:
        times = self.serverapp.web_app.settings["last_activity_times"]
        times[self.name] = datetime.now(UTC)
