"""Routes of updates and versions: cancel, rollback, reload, configs."""

from __future__ import annotations

from .. import api
from .rest import Handler


class CancelUpdate(Handler):
    """``config:cancel``."""

    async def post(self, name: str) -> None:
        """End the update that is in progress."""
        endpoint = await self.controller.changes.cancel(name, self.user)
        self.answer(await self.controller.answers.detailed(endpoint))


class Rollback(Handler):
    """``config:rollback``."""

    async def post(self, name: str) -> None:
        """Go back to an earlier config version."""
        body = api.decode(api.RollbackInput, self.request.body)
        endpoint = await self.controller.changes.rollback(name, body.config_version, self.user)
        self.answer(await self.controller.answers.detailed(endpoint))


class Reload(Handler):
    """``config:reload``."""

    async def post(self, name: str) -> None:
        """Replace every replica by a fresh one."""
        endpoint = await self.controller.changes.reload(name, self.user)
        self.answer(await self.controller.answers.detailed(endpoint))


class Configs(Handler):
    """Config versions of an endpoint."""

    async def get(self, name: str) -> None:
        """List them."""
        self.answer({"configs": self.controller.changes.listed(name)})
