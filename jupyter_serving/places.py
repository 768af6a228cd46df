"""Where things lie: the data directory, the runtime directory, and every path in them.

The data directory keeps what must survive (store, environments, models, logs). The runtime directory keeps sockets and
locks: its path is short (a unix socket's path holds 107 bytes) and never on a network file system. The controller
records the runtime directory in the data directory, so that processes with other environments find the same one.
"""

from __future__ import annotations

import hashlib
import os
import stat
import tempfile
from dataclasses import dataclass
from pathlib import Path

from .errors import StoreFault

DATA_DIR_VARIABLE = "JUPYTER_SERVING_DATA_DIR"
RUNTIME_DIR_VARIABLE = "JUPYTER_SERVING_RUNTIME_DIR"
SOCKET_PATH_LIMIT = 107
# In the data directory: its runtime directory. In the runtime directory: whose it is.
_RECORD, _OWNER = "runtime-directory", "data-directory"
NETWORK_FILE_SYSTEMS = frozenset(
    {
        "nfs",
        "nfs4",
        "cifs",
        "smb3",
        "smbfs",
        "ncpfs",
        "afs",
        "lustre",
        "gpfs",
        "beegfs",
        "ceph",
        "glusterfs",
    }
    | {"fuse.sshfs", "fuse.glusterfs", "fuse.ceph", "fuse.s3fs", "fuse.rclone", "9p", "afpfs"}
)


def default_data_dir() -> Path:
    """``$JUPYTER_SERVING_DATA_DIR``, else ``serving`` under Jupyter's data directory."""
    named = os.environ.get(DATA_DIR_VARIABLE)
    if named:
        return Path(named).expanduser().absolute()
    from jupyter_core.paths import jupyter_data_dir

    return Path(jupyter_data_dir()) / "serving"


def file_system_of(path: Path, mounts: str) -> str:
    """Type of the file system that holds ``path``, from the text of ``/proc/self/mounts``.

    Returns "" where no mount covers the path. The longest mount point wins, the last one of equals (over-mounts).
    """
    best, kind = -1, ""
    for line in mounts.splitlines():
        fields = line.split(" ")
        if len(fields) < 3:
            continue
        point = fields[1].encode().decode("unicode_escape").rstrip("/") or "/"
        inside = str(path) == point or str(path).startswith(point if point == "/" else point + "/")
        if inside and len(point) >= best:
            best, kind = len(point), fields[2]
    return kind


def _mounts() -> str:
    try:
        return Path("/proc/self/mounts").read_text()
    except OSError:
        return ""


def is_network(path: Path, mounts: str | None = None) -> bool:
    """True where ``path`` lies on a network file system (locks and sockets do not work there reliably)."""
    return (
        file_system_of(path.resolve(), _mounts() if mounts is None else mounts)
        in NETWORK_FILE_SYSTEMS
    )


@dataclass(frozen=True, slots=True)
class Places:
    """Every path of one data directory."""

    data: Path
    runtime: Path

    @classmethod
    def of(cls, data_dir: str | Path | None = None) -> Places:
        """Paths for ``data_dir`` (default: ``default_data_dir()``); touches nothing on disk."""
        data = Path(data_dir).expanduser().absolute() if data_dir else default_data_dir()
        recorded = _recorded_runtime(data)
        return cls(data, recorded or _default_runtime(data))

    @property
    def store(self) -> Path:
        """SQLite file of the controller."""
        return self.data / "store.sqlite"

    @property
    def environments(self) -> Path:
        """Staged environments, one directory per lock hash."""
        return self.data / "environments"

    @property
    def models(self) -> Path:
        """Model directories by digest."""
        return self.data / "models"

    @property
    def logs(self) -> Path:
        """Log files of controller, gateway, zygotes, builds and replicas."""
        return self.data / "logs"

    @property
    def history(self) -> Path:
        """Metrics history, one directory per endpoint id."""
        return self.data / "history"

    @property
    def runtime_copy(self) -> Path:
        """Copies of the runtime package that replicas run, one directory per content hash."""
        return self.data / "runtime"

    @property
    def verdicts(self) -> Path:
        """What the checks at load found: a file per model, environment and code of ours; they can go at any time."""
        return self.data / "verdicts"

    @property
    def gateway_state(self) -> Path:
        """Port, last routes and hashed tokens of the gateway (0600)."""
        return self.data / "gateway.json"

    @property
    def controller_socket(self) -> Path:
        """Unix socket of the REST API."""
        return self.runtime / "controller.sock"

    @property
    def gateway_socket(self) -> Path:
        """Unix socket of the data plane for this user's own processes."""
        return self.runtime / "gateway.sock"

    @property
    def link_socket(self) -> Path:
        """Unix socket between controller and gateway."""
        return self.runtime / "link.sock"

    @property
    def handover_socket(self) -> Path:
        """Unix socket where a gateway hands over to its successor."""
        return self.runtime / "heir.sock"

    def zygote_socket(self, key: str) -> Path:
        """Control socket of the zygote of one environment; ``key`` is shortened to 16 characters."""
        return self.runtime / f"z-{key[:16]}.sock"

    def replica_socket(self, replica: str) -> Path:
        """Socket that a replica of the process backend answers on."""
        return self.runtime / f"r-{replica}.sock"

    def replica_lock(self, replica: str) -> Path:
        """Lock that a replica of the process backend holds for life."""
        return self.runtime / f"r-{replica}.lock"

    def foreign(self, path: Path) -> bool:
        """True where ``path`` lies in the runtime directory of another data directory, which this one is a copy of."""
        return path.parent != self.runtime and _taken(path.parent, self.data)

    def prepare(self) -> None:
        """Create both directories (0700) and record the runtime directory.

        Raises:
            StoreFault: a network file system, a path that cannot be written, a full disk, or a foreign owner.
        """
        if is_network(_existing_parent(self.data)):
            raise StoreFault(
                f"The data directory {self.data} is on a network file system, where locks cannot be trusted.",
                hint=f"Set {DATA_DIR_VARIABLE} to a directory on a local disk.",
            )
        try:
            for path in (self.data, self.runtime, self.logs, self.environments, self.models):
                path.mkdir(mode=0o700, parents=True, exist_ok=True)
            for path in (self.data, self.runtime):
                _own(path)
            _write_small(self.data / _RECORD, str(self.runtime))
            _write_small(self.runtime / _OWNER, str(self.data.resolve()))
        except OSError as error:
            raise StoreFault(
                f"The data directory {self.data} cannot be prepared: {error.strerror or error}.",
                hint=f"Free space or permissions there, or set {DATA_DIR_VARIABLE} to another directory.",
            ) from error


def _own(path: Path) -> None:
    facts = path.stat()
    if facts.st_uid != os.getuid():
        raise StoreFault(
            f"{path} belongs to another user (uid {facts.st_uid}).",
            hint=f"Set {DATA_DIR_VARIABLE} and {RUNTIME_DIR_VARIABLE} to directories of your own.",
        )
    if stat.S_IMODE(facts.st_mode) & 0o077:
        path.chmod(0o700)


def _write_small(path: Path, text: str) -> None:
    if path.exists() and path.read_text() == text:
        return
    fresh = path.with_name(path.name + ".new")
    fresh.write_text(text)
    fresh.replace(path)


def _existing_parent(path: Path) -> Path:
    while not path.exists():
        path = path.parent
    return path


def _recorded_runtime(data: Path) -> Path | None:
    """The recorded runtime directory; None where it is gone, another user's, or another data directory's."""
    try:
        recorded = Path((data / _RECORD).read_text().strip())
        usable = recorded.is_dir() and recorded.stat().st_uid == os.getuid()
    except OSError:
        return None
    return recorded if usable and not _taken(recorded, data) else None


def _taken(runtime: Path, data: Path) -> bool:
    """True where another data directory uses the runtime directory: this one is a copy of that, or has its old path.

    One that was moved, or given another runtime directory, leaves it free.
    """
    try:
        owner = Path((runtime / _OWNER).read_text().strip())
        return owner != data.resolve() and (owner / _RECORD).read_text().strip() == str(runtime)
    except OSError:
        return False


def _default_runtime(data: Path) -> Path:
    whole = hashlib.sha256(str(data.resolve()).encode()).hexdigest()
    marks = [whole[n : n + 10] for n in range(0, 50, 10)]
    mark = marks[0]
    longest = len("/jupyter-serving/") + len(mark) + len("/r-0123456789abcdef.sock")
    named = os.environ.get(RUNTIME_DIR_VARIABLE)
    session = os.environ.get("XDG_RUNTIME_DIR")
    for base in (named, session, tempfile.gettempdir(), "/tmp"):
        if not base or not Path(base).is_dir() or not os.access(base, os.W_OK):
            continue
        if len(base) + longest <= SOCKET_PATH_LIMIT and not is_network(Path(base)):
            folder = (
                "jupyter-serving" if base in (named, session) else f"jupyter-serving-{os.getuid()}"
            )
            places = [Path(base) / folder / mark for mark in marks]
            return next((place for place in places if not _taken(place, data)), places[0])
    raise StoreFault(
        "No directory is short and local enough for sockets.",
        hint=f"Set {RUNTIME_DIR_VARIABLE} to a local directory with a path under 50 characters.",
    )
