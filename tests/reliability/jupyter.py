"""A real Jupyter server with our extension, as a process group of its own that can be stopped, killed and restarted."""

from __future__ import annotations

import http.client
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType

from services import until

TOKEN = "the-token-of-this-test"
BASE_URL = "/user/x/"
ENABLED = {"jupyter_serving": True, "jupyter_server_terminals": True}


class Jupyter:
    """Context manager: runs from enter to exit; its port, token and directories stay the same over restarts.

    Args:
        folder: for its configuration, data and runtime directories and its log.
        environ: variables besides this process's own.
        options: further command line options.
    """

    def __init__(
        self, folder: Path, environ: Mapping[str, str] | None = None, options: tuple[str, ...] = ()
    ) -> None:
        self.port = free_port()
        self.token = TOKEN
        self.url = f"http://127.0.0.1:{self.port}{BASE_URL}"
        self.runtime_dir = folder / "runtime"
        self.log = folder / "jupyter.log"
        self._own = {
            "JUPYTER_CONFIG_DIR": str(folder / "config"),
            "JUPYTER_DATA_DIR": str(folder / "data"),
            "JUPYTER_RUNTIME_DIR": str(self.runtime_dir),
            "JUPYTER_NO_CONFIG": "1",
            "IPYTHONDIR": str(folder / "ipython"),
            "JUPYTER_TOKEN": self.token,
            **(environ or {}),
        }
        self._root = folder / "root"
        self._options = options
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def authorization(self) -> str:
        """Value of the header that lets a program in."""
        return f"token {self.token}"

    def __enter__(self) -> Jupyter:
        self._root.mkdir(parents=True, exist_ok=True)
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Start it and wait until it answers."""
        command = [
            *(sys.executable, "-m", "jupyter_server"),
            *("--allow-root", "--no-browser", "--ip=127.0.0.1", f"--port={self.port}"),
            *("--ServerApp.port_retries=0", f"--ServerApp.base_url={BASE_URL}"),
            f"--ServerApp.jpserver_extensions={ENABLED}",
            f"--ServerApp.root_dir={self._root}",
            *self._options,
        ]
        with self.log.open("ab") as out:
            self._process = subprocess.Popen(
                command, stdout=out, stderr=out, env=os.environ | self._own, start_new_session=True
            )
        until(self._answers, what=f"an answer of Jupyter (log: {self.log})")

    def stop(self) -> None:
        """End it as a service manager does."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """End it without a farewell."""
        self._end(signal.SIGKILL)

    def restart(self) -> None:
        """Stop it and start it again on the same port."""
        self.stop()
        self.start()

    def _end(self, number: int) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        process.send_signal(number)
        try:
            process.wait(60)
        finally:
            # Whatever it started in its own group: kernels and terminals have groups of their own.
            try:
                os.killpg(process.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
            process.wait(10)

    def _answers(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, self.log.read_text()[-3000:]
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            connection.request(
                "GET", f"{BASE_URL}api/status", headers={"Authorization": self.authorization}
            )
            return connection.getresponse().status == 200
        except OSError:
            return False
        finally:
            connection.close()


def free_port() -> int:
    """A TCP port of loopback that nobody listens on just now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
