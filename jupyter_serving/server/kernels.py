"""What kernels are told: where this server is and by which credential it lets them in.

Kernels inherit the server's whole environment, so a few variables there are enough for ``%serve`` to find us without
guessing. The secret itself is never put there, only the path of a file that its owner alone can read.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import MutableMapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from ..places import DATA_DIR_VARIABLE

URL_VARIABLE = "JUPYTER_SERVING_URL"
CREDENTIAL_VARIABLE = "JUPYTER_SERVING_CREDENTIAL_FILE"
HUB_VARIABLE = "JUPYTERHUB_SERVICE_PREFIX"
EVERY_ADDRESS = frozenset({"", "0.0.0.0", "::", "*", "localhost"})


def local_url(connection_url: str, ip: str, port: int) -> str | None:
    """URL of the API for a kernel on the same machine; None for a server on a unix socket.

    ``connection_url`` gives scheme and base path. A server on every address is called on 127.0.0.1, any other one on
    the address that it listens on.
    """
    parts = urlsplit(connection_url)
    if parts.scheme not in ("http", "https"):
        return None
    host = "127.0.0.1" if ip in EVERY_ADDRESS else ip
    host = f"[{host}]" if ":" in host else host
    return f"{parts.scheme}://{host}:{port}{parts.path.rstrip('/')}/jupyter-serving"


def write_credential(token: str, directory: Path) -> Path:
    """Write the token to a new file (0600) in Jupyter's runtime directory."""
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    # mkstemp makes it 0600 and under a name that no server on another host with the same home has.
    handle, path = tempfile.mkstemp(prefix="jupyter-serving-", suffix=".token", dir=directory)
    with os.fdopen(handle, "w") as file:
        file.write(token)
    return Path(path)


@dataclass(slots=True)
class Announcement:
    """Variables that were put into an environment, and the file that one of them names."""

    environ: MutableMapping[str, str]
    variables: dict[str, str]
    credential: Path | None = None
    _before: dict[str, str | None] = field(default_factory=dict)

    def make(self) -> None:
        """Set the variables."""
        self._before = {name: self.environ.get(name) for name in self.variables}
        self.environ.update(self.variables)

    def withdraw(self) -> None:
        """Remove the file and put the environment back, where nobody else changed it meanwhile."""
        for name, value in self.variables.items():
            if self.environ.get(name) == value:
                earlier = self._before.get(name)
                if earlier is None:
                    del self.environ[name]
                else:
                    self.environ[name] = earlier
        if self.credential is not None:
            self.credential.unlink(missing_ok=True)


def announce(
    environ: MutableMapping[str, str],
    *,
    url: str | None,
    token: str,
    runtime_dir: Path,
    data_dir: Path,
) -> Announcement:
    """Tell kernels the URL, the credential and the data directory; returns what ``withdraw`` undoes.

    Under JupyterHub the server has no token of its own: kernels inherit ``JUPYTERHUB_API_TOKEN``, so no file is made.
    A server that knows passwords only has no credential for a kernel; it then finds the controller by the data
    directory.
    """
    variables = {DATA_DIR_VARIABLE: str(data_dir)}
    credential = None
    if url is not None:
        variables[URL_VARIABLE] = url
    if url is not None and token and HUB_VARIABLE not in environ:
        credential = write_credential(token, runtime_dir)
        variables[CREDENTIAL_VARIABLE] = str(credential)
    announcement = Announcement(environ, variables, credential)
    announcement.make()
    return announcement
