"""What can be wrong on this machine, checked without changing anything; each finding comes with its remedy."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .connect import ENABLE_HINT, answers, local
from .errors import ServingError
from .places import DATA_DIR_VARIABLE, SOCKET_PATH_LIMIT, Places, is_network
from .settings import Settings
from .version import version

HEADERS = ("CHECK", "STATE", "FOUND", "WHAT TO DO")
GB = 1_000_000_000
LOW_DISK, TOO_LOW_DISK = 5 * GB, 1 * GB
TYPICAL_ENVIRONMENT = "a staged environment takes about 1 GB"


@dataclass(frozen=True, slots=True)
class Check:
    """One finding: ``state`` is ``ok``, ``warn`` or ``fail``; ``fix`` is the next step, "" when there is none."""

    name: str
    state: str
    found: str
    fix: str = ""

    def row(self) -> tuple[str, str, str, str]:
        """Its line in the table."""
        return self.name, self.state, self.found, self.fix


def run(environ: Mapping[str, str] | None = None) -> list[Check]:
    """All checks, in the order in which a person would look."""
    environ = os.environ if environ is None else environ
    try:
        places = Places.of()
    except ServingError as error:
        return [Check("runtime directory", "fail", error.message, error.hint)]
    alone: list[Callable[[], Check]] = [
        python,
        lambda: data_directory(places.data),
        lambda: disk(places.data),
        lambda: runtime_directory(places),
        uv,
        extension,
        lambda: lifetime(environ),
    ]
    return [_guarded(check) for check in alone] + services(places)


def _guarded(check: Callable[[], Check]) -> Check:
    try:
        return check()
    except Exception as error:
        # A check that breaks is a finding, not the end of the examination.
        return Check(getattr(check, "__name__", "check"), "warn", f"cannot be checked: {error}")


def python() -> Check:
    """Interpreter and platform."""
    found = f"Python {sys.version.split()[0]} on {sys.platform}, jupyter-serving {version()}"
    if sys.platform == "win32":
        return Check("python", "fail", found, "Windows is not supported: use WSL 2.")
    if os.environ.get("PYTHONDONTWRITEBYTECODE"):
        fix = "Unset PYTHONDONTWRITEBYTECODE: imports without compiled bytecode are slow."
        return Check("python", "warn", found, fix)
    return Check("python", "ok", found)


def data_directory(path: Path) -> Check:
    """Local, writable, ours."""
    there = path
    while not there.exists():
        there = there.parent
    if is_network(there):
        fix = f"Set {DATA_DIR_VARIABLE} to a directory on a local disk."
        return Check("data directory", "fail", f"{path} is on a network file system", fix)
    if not os.access(there, os.W_OK | os.X_OK):
        fix = f"Give yourself access, or set {DATA_DIR_VARIABLE}."
        return Check("data directory", "fail", f"{there} cannot be written", fix)
    if path.exists() and path.stat().st_uid != os.getuid():
        fix = f"Set {DATA_DIR_VARIABLE} to a directory of your own."
        return Check("data directory", "fail", f"{path} belongs to another user", fix)
    return Check(
        "data directory", "ok", str(path) if path.exists() else f"{path} (made on first use)"
    )


def disk(path: Path) -> Check:
    """Free space where environments and models go."""
    while not path.exists():
        path = path.parent
    free = shutil.disk_usage(path).free
    found = f"{free / GB:.1f} GB free; {TYPICAL_ENVIRONMENT}"
    if free >= LOW_DISK:
        return Check("disk space", "ok", found)
    fix = f"Free space, or set {DATA_DIR_VARIABLE} to another disk."
    return Check("disk space", "fail" if free < TOO_LOW_DISK else "warn", found, fix)


def runtime_directory(places: Places) -> Check:
    """Short enough for sockets."""
    longest = len(str(places.replica_socket("0" * 16)))
    found = f"{places.runtime} (longest socket path {longest} of {SOCKET_PATH_LIMIT} bytes)"
    if longest > SOCKET_PATH_LIMIT:
        fix = "Set JUPYTER_SERVING_RUNTIME_DIR to a shorter local path."
        return Check("runtime directory", "fail", found, fix)
    return Check("runtime directory", "ok", found)


def uv() -> Check:
    """The tool that makes environments."""
    path = shutil.which(
        "uv", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
    )
    if path is None:
        return Check("uv", "fail", "not found", f"{sys.executable} -m pip install uv")
    told = subprocess.run(
        [path, "--version"], capture_output=True, text=True, timeout=10, check=False
    )
    return Check("uv", "ok", f"{told.stdout.strip() or 'uv'} ({path})")


def extension() -> Check:
    """Server extension and labextension as Jupyter would find them from this environment."""
    from jupyter_core.paths import jupyter_config_path, jupyter_path

    name = Path("jupyter_server_config.d") / "jupyter_serving.json"
    server = [d for d in jupyter_config_path() if (Path(d) / name).is_file()]
    lab = [d for d in jupyter_path("labextensions", "jupyter-serving") if Path(d).is_dir()]
    if server and lab:
        return Check(
            "Jupyter extension",
            "ok",
            f"server extension and labextension in {Path(lab[0]).parents[3]}",
        )
    missing = " and ".join(
        text for text, there in (("server extension", server), ("labextension", lab)) if not there
    )
    return Check("Jupyter extension", "warn", f"{missing} not found from {sys.prefix}", ENABLE_HINT)


def lifetime(environ: Mapping[str, str]) -> Check:
    """What would end the services together with it."""
    if environ.get("SLURM_JOB_ID"):
        found = f"inside Slurm job {environ['SLURM_JOB_ID']}: endpoints end with it"
        return Check(
            "lifetime",
            "warn",
            found,
            "Run the services where they may stay, outside of a batch job.",
        )
    if Path("/.dockerenv").exists() or environ.get("KUBERNETES_SERVICE_HOST"):
        spawner = " that JupyterHub spawned" if environ.get("JUPYTERHUB_USER") else ""
        found = f"inside a container{spawner}: endpoints end with it"
        return Check(
            "lifetime",
            "warn",
            found,
            f"Put {DATA_DIR_VARIABLE} on a volume: they come back with it.",
        )
    return _login(environ)


def _login(environ: Mapping[str, str]) -> Check:
    if not environ.get("XDG_SESSION_ID") or not shutil.which("loginctl"):
        return Check("lifetime", "ok", "endpoints stay until they are stopped or the machine is")
    user = environ.get("USER", str(os.getuid()))
    told = subprocess.run(
        ["loginctl", "show-user", user, "--property=Linger,KillUserProcesses"],
        capture_output=True,
        text=True,
        timeout=5,
        check=False,
    )
    # systemd's default keeps processes of a session that ended; only KillUserProcesses=yes ends them.
    place = ("org.freedesktop.login1", "/org/freedesktop/login1", "org.freedesktop.login1.Manager")
    kill = subprocess.run(
        ["busctl", "get-property", *place, "KillUserProcesses"],
        capture_output=True,
        text=True,
        timeout=5,
        check=False,
    )
    if "true" in kill.stdout and "Linger=yes" not in told.stdout:
        found = "systemd ends your processes when you log out"
        return Check("lifetime", "warn", found, f"loginctl enable-linger {user}")
    return Check("lifetime", "ok", "endpoints stay when you log out")


def services(places: Places) -> list[Check]:
    """Controller, gateway and its port; nothing is started."""
    if not answers(places.controller_socket):
        stale = places.controller_socket.exists()
        found = "does not run" + (
            " (its socket was left behind, which does no harm)" if stale else ""
        )
        return [
            Check("controller", "ok", found, "It starts on demand."),
            _guarded(lambda: port(places)),
        ]
    from .client import Client

    try:
        facts = Client(server=local(start=False)).status()
    except ServingError as error:
        fix = f"Its log: {places.logs / 'controller.log'}"
        return [Check("controller", "fail", error.message, fix)]
    return [_controller(facts), _gateway(facts)] + [
        Check("services", "warn", str(problem)) for problem in facts.get("problems") or []
    ]


def _controller(facts: Mapping[str, Any]) -> Check:
    found = f"pid {facts.get('pid')}, version {facts.get('version')}, {facts.get('endpoints', 0)} endpoints"
    if facts.get("version") != version():
        fix = "jupyter serving stop --keep-replicas && jupyter serving start"
        return Check("controller", "warn", f"{found}; this is version {version()}", fix)
    return Check("controller", "ok", found)


def _gateway(facts: Mapping[str, Any]) -> Check:
    gateway = facts.get("gateway") or {}
    found = f"pid {gateway.get('pid')}, {gateway.get('url')}"
    if not gateway.get("alive"):
        return Check(
            "gateway", "fail", f"{found}: down", "Wait a second: the controller restarts it."
        )
    number = gateway.get("port")
    if isinstance(number, int) and not _accepts(str(gateway.get("host") or "127.0.0.1"), number):
        fix = "A firewall may forbid it; predictions through Jupyter go on."
        return Check("gateway", "warn", f"{found}: the port does not accept connections", fix)
    return Check("gateway", "ok", found)


def _accepts(host: str, number: int) -> bool:
    try:
        socket.create_connection((host, number), 2).close()
        return True
    except OSError:
        return False


def port(places: Places) -> Check:
    """Whether the gateway's port is free while the services are down."""
    settings = Settings.load()
    number = settings.gateway_port
    if not number:
        return Check("gateway port", "ok", "chosen at the first start and kept")
    with closing(socket.socket()) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((settings.gateway_host, number))
        except OSError as error:
            found = f"{settings.gateway_host}:{number}: {error.strerror}"
            return Check(
                "gateway port", "fail", found, "Set JUPYTER_SERVING_GATEWAY_PORT to a free one."
            )
    return Check("gateway port", "ok", f"{number} is free")
