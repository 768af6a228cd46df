"""Which server a client talks to, and with which credential.

In order: what the caller says; ``JUPYTER_SERVING_URL`` with its credential file (set by our server extension for
kernels and terminals); JupyterHub's variables; the info file of the Jupyter server that started this kernel; the
controller of the data directory, by its unix socket, started if it is down. Each try is remembered, so that one error
can tell all of them with the next step.
"""

from __future__ import annotations

import json
import os
import socket
import struct
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from . import processes
from .errors import ControllerDown, ServingError
from .places import Places
from .transport import Transport, open_unix, open_url
from .version import VERSION_HEADER, version

URL_VARIABLE = "JUPYTER_SERVING_URL"
CREDENTIAL_VARIABLE = "JUPYTER_SERVING_CREDENTIAL_FILE"
EXTENSION_PATH = "jupyter-serving"
PROBE_SECONDS = 3.0
START_SECONDS = 20.0
LOG_LINES = 8
ENABLE_HINT = (
    "Install jupyter-serving in the environment that runs Jupyter and restart it "
    "(`jupyter server extension list` shows it)."
)

Progress = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Server:
    """One way to the REST API.

    ``how`` tells a person why this one; ``places`` are set where it is the controller of a data directory on this
    machine, reached by its socket; else ``url`` is the base URL of the extension, without a slash at its end.
    """

    how: str
    url: str = ""
    token: str = field(default="", repr=False)
    places: Places | None = None

    def control(self) -> Transport:
        """Transport to the REST API."""
        told = {VERSION_HEADER: version()}
        if self.places is not None:
            path = str(self.places.controller_socket)
            return Transport(open_unix(path), f"the controller ({path})", headers=told)
        return Transport(
            open_url(self.url),
            f"Jupyter at {self.url}",
            prefix=urlsplit(self.url).path.rstrip("/"),
            headers=told | ({"Authorization": f"token {self.token}"} if self.token else {}),
            remedy="Is Jupyter running at this address?",
        )


def find(
    url: str | None = None,
    token: str | None = None,
    *,
    environ: Mapping[str, str] | None = None,
    progress: Progress = lambda _: None,
) -> Server:
    """The server to talk to.

    Args:
        url: ``http(s)://host:port/base/`` of Jupyter, or the extension's URL below it; nothing else is tried then.
        token: its token; default: the variables' credential.
        environ: default: this process's environment.
        progress: told, in words, what takes longer than a moment.

    Raises:
        ControllerDown: none answers; the message lists what was tried and the next step.
    """
    environ = os.environ if environ is None else environ
    if url:
        return Server("the URL given", extension_url(url), token or credential(environ))
    tried: list[str] = []
    for candidate in (_announced, _hub, _parent):
        server = candidate(environ, tried)
        if server is not None and _usable(server, tried):
            return server
    try:
        return local(progress=progress)
    except ServingError as error:
        tried.append(f"the controller of the data directory: {error.message}")
        lines = "".join(f"\n  - {line}" for line in tried)
        raise ControllerDown(
            f"No jupyter-serving answers. Tried:{lines}\n",
            hint=error.hint or "Run `jupyter serving doctor`.",
        ) from error


def extension_url(url: str) -> str:
    """Base URL of the extension from Jupyter's URL or its own."""
    base = url.split("?")[0].rstrip("/")
    if "://" not in base:
        base = f"http://{base}"
    base = base.removesuffix("/lab").removesuffix("/tree")
    return base if base.endswith(f"/{EXTENSION_PATH}") else f"{base}/{EXTENSION_PATH}"


def credential(environ: Mapping[str, str]) -> str:
    """Token for Jupyter: from our credential file, else JupyterHub's; "" where there is none."""
    path = environ.get(CREDENTIAL_VARIABLE)
    if path:
        try:
            return Path(path).read_text().strip()
        except OSError:
            pass  # the server that wrote it is gone; the hub's may still do
    return environ.get("JUPYTERHUB_API_TOKEN", "")


def _announced(environ: Mapping[str, str], tried: list[str]) -> Server | None:
    url, token = environ.get(URL_VARIABLE), credential(environ)
    if not url:
        tried.append(f"{URL_VARIABLE}: not set (Jupyter's extension sets it for its kernels)")
        return None
    if not token:
        tried.append(
            f"{URL_VARIABLE}={url}: no credential for it ({CREDENTIAL_VARIABLE} is not readable)"
        )
        return None
    return Server(f"{URL_VARIABLE}, set by Jupyter", extension_url(url), token)


def _hub(environ: Mapping[str, str], tried: list[str]) -> Server | None:
    prefix, token = environ.get("JUPYTERHUB_SERVICE_PREFIX"), environ.get("JUPYTERHUB_API_TOKEN")
    if not prefix or not token:
        tried.append("JupyterHub: its variables are not set")
        return None
    # The hub names the address that the server listens on; every address means this machine.
    parts = urlsplit(environ.get("JUPYTERHUB_SERVICE_URL", ""))
    host = parts.hostname if parts.hostname not in (None, "0.0.0.0", "::", "") else "127.0.0.1"
    url = f"{parts.scheme or 'http'}://{host}:{parts.port or 8888}{prefix}"
    return Server("JupyterHub's variables", extension_url(url), token)


def _parent(environ: Mapping[str, str], tried: list[str]) -> Server | None:
    pid = environ.get("JPY_PARENT_PID")
    if not pid:
        tried.append("the Jupyter server of this kernel: JPY_PARENT_PID is not set")
        return None
    from jupyter_core.paths import jupyter_runtime_dir

    path = Path(jupyter_runtime_dir()) / f"jpserver-{pid}.json"
    try:
        facts: dict[str, Any] = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        tried.append(f"the Jupyter server of this kernel: no info file {path} ({error})")
        return None
    token = facts.get("token") or environ.get("JUPYTERHUB_API_TOKEN", "")
    return Server(f"the Jupyter server with pid {pid}", extension_url(facts["url"]), token)


def _usable(server: Server, tried: list[str]) -> bool:
    """Ask without a credential whether the extension answers there."""
    transport = server.control()
    transport.patience = 0.0
    try:
        transport.request("GET", "/.well-known/databricks-config", timeout=PROBE_SECONDS)
        return True
    except ServingError as error:
        why = (
            f"the extension is not enabled there. {ENABLE_HINT}"
            if error.status == 404
            else error.message
        )
        tried.append(f"{server.how} ({server.url}): {why}")
        return False
    finally:
        transport.close()


def local(
    data_dir: str | Path | None = None,
    *,
    start: bool = True,
    progress: Progress = lambda _: None,
    patience: float = START_SECONDS,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> Server:
    """The controller of a data directory on this machine; started if nothing answers on its socket.

    Raises:
        ControllerDown: it is down and ``start`` is False, or it did not come up within ``patience`` seconds; the
            message ends with the last lines of its log.
        StoreFault: the data directory cannot be used.
    """
    places = Places.of(data_dir)
    if answers(places.controller_socket):
        return Server(f"the controller of {places.data}", places=places)
    if not start:
        raise ControllerDown(
            f"No controller runs for the data directory {places.data}.",
            hint="`jupyter serving start` starts it.",
        )
    places.prepare()
    log = places.logs / "controller.log"
    before = log.stat().st_size if log.exists() else 0
    progress("starting the controller")
    processes.spawn_service("jupyter_serving.controller", places)
    limit = clock() + patience
    # The controller records its runtime directory when it starts, so the places are asked anew each time.
    while not answers((places := Places.of(data_dir)).controller_socket):
        if clock() >= limit:
            tail = last_lines(log, before)
            raise ControllerDown(
                f"The controller did not come up within {patience:g} s."
                + (f" The end of {log}:\n{tail}\n" if tail else f" It wrote nothing to {log}."),
                hint="`jupyter serving doctor` names the cause.",
            )
        sleep(0.05)
    return Server(f"the controller of {places.data}, just started", places=places)


def answers(path: Path) -> bool:
    """True when somebody accepts connections on the unix socket (a stale socket file refuses them)."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(2.0)
        try:
            probe.connect(str(path))
            return True
        except OSError:
            return False


def peer_pid(path: Path) -> int | None:
    """Pid of the process that listens on a unix socket; None where nobody does or the system does not tell."""
    if not sys.platform.startswith("linux"):
        return None
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(2.0)
        try:
            probe.connect(str(path))
            facts = probe.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
        except OSError:
            return None
    pid, _, _ = struct.unpack("3i", facts)
    return int(pid)


def last_lines(path: Path, start: int = 0, count: int = LOG_LINES) -> str:
    """The last lines of what was written to a log after the byte ``start``."""
    try:
        with path.open("rb") as stream:
            stream.seek(max(start, path.stat().st_size - 8192))
            text = stream.read().decode("utf-8", "replace")
    except OSError:
        return ""
    return "\n".join(text.strip().splitlines()[-count:])
