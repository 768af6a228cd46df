"""What an endpoint did, as the client asks for it: logs, events, starts, versions, captures."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote, urlencode

from .api import DATA_PREFIX
from .errors import NotFound
from .handle import served_entities
from .history import History
from .transport import Transport
from .updates import Updates

Records = list[dict[str, Any]]


class Observing:
    """The read-only part of ``client.Client``; everything that only looks belongs here."""

    def logs(self, name: str, *, build: bool = False, served_entity: str | None = None) -> str:
        """The end of a served entity's log (default: the first entity), or of its build log."""
        if served_entity is None:
            entities = served_entities(self._ask("GET", self._path(name)))
            if not entities:
                raise NotFound(f"The endpoint {name!r} has no served entity, so no log.")
            served_entity = str(entities[0]["name"])
        kind = "build-logs" if build else "logs"
        path = f"{self._path(name)}/served-models/{quote(served_entity, safe='')}/{kind}"
        return str(self._ask("GET", path).get("logs", ""))

    def events(self, name: str, limit: int = 100, after: int = 0) -> Records:
        """Events of an endpoint with an id above ``after``, newest last."""
        query = urlencode({"limit": limit, "after": after})
        return list(self._ask("GET", f"{self._path(name)}/events?{query}")["events"])

    def starts(self, name: str, limit: int = 50, reason: str = "") -> Records:
        """Starts of replicas with the seconds of each phase, newest last.

        Args:
            name: the endpoint.
            limit: so many at most; 200 are kept.
            reason: only those: ``wake`` (cold starts), ``deploy``, ``scale_up``, ``replace``, ``reload``.
        """
        query = urlencode({"limit": limit} | ({"reason": reason} if reason else {}))
        return list(self._ask("GET", f"{self._path(name)}/starts?{query}")["starts"])

    def history(
        self,
        name: str,
        start: float | None = None,
        end: float | None = None,
        step: int | None = None,
    ) -> History:
        """Figures over time: seconds of the last hour, tens of seconds of the last two weeks.

        Args:
            name: the endpoint.
            start: epoch seconds; default: an hour before ``end``. end: default: now.
            step: seconds of each value; default: so many that there are about 600 values.
        """
        wanted = {"start": start, "end": end, "step": step}
        query = urlencode({what: value for what, value in wanted.items() if value is not None})
        return History(name, self._ask("GET", f"{self._path(name)}/history?{query}"))

    def configs(self, name: str) -> Records:
        """Config versions of an endpoint (the last 50), oldest first."""
        return list(self._ask("GET", f"{self._path(name)}/configs")["configs"])

    def autoscaling(self, name: str, limit: int = 20) -> dict[str, Any]:
        """Why so many replicas: ``served_entities`` with rules, bounds and ``last``, and the last ``decisions``."""
        query = urlencode({"limit": limit})
        return dict(self._ask("GET", f"{self._path(name)}/autoscaling?{query}"))

    def updates(self, name: str, limit: int = 20) -> Updates:
        """Certificates of its last updates, newest last: what each did to the requests."""
        query = urlencode({"limit": limit})
        return Updates(self._ask("GET", f"{self._path(name)}/updates?{query}")["updates"])

    def captures(self, name: str, limit: int = 100) -> Records:
        """The last requests and answers that the endpoint captured, newest last; see ``capture`` of a config.

        Raises:
            NotFound: no such endpoint. BadRequest: it captures nothing.
        """
        path = f"{DATA_PREFIX}/{quote(name, safe='')}/captures?{urlencode({'limit': limit})}"
        return list(self._gateway().request("GET", path, timeout=30.0).json()["captures"])

    # -- what the client brings ----------------------------------------------------------------------

    def _path(self, name: str) -> str:
        raise NotImplementedError

    def _ask(self, method: str, path: str, body: Any = None, timeout: float = 30.0) -> Any:
        raise NotImplementedError

    def _gateway(self) -> Transport:
        raise NotImplementedError
