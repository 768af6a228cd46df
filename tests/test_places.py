"""Paths: short sockets for long data directories, network file systems, ownership."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from jupyter_serving import places
from jupyter_serving.errors import StoreFault
from jupyter_serving.places import Places

MOUNTS = """\
proc /proc proc rw 0 0
/dev/sda1 / ext4 rw 0 0
server:/home /home nfs4 rw,vers=4.2 0 0
//nas/share /mnt/my\\040share cifs rw 0 0
/dev/sdb1 /home/me/scratch xfs rw 0 0
sshfs#box: /home/me/box fuse.sshfs rw 0 0
"""


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/var/lib", "ext4"),
        ("/home/me/.local", "nfs4"),
        ("/home/me/scratch/data", "xfs"),
        ("/home/me/scratchpad", "nfs4"),
        ("/mnt/my share/x", "cifs"),
        ("/home/me/box", "fuse.sshfs"),
        ("/", "ext4"),
    ],
)
def test_the_file_system_of_a_path(path: str, kind: str) -> None:
    assert places.file_system_of(Path(path), MOUNTS) == kind


def test_a_data_directory_on_a_network_file_system_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(places, "_mounts", lambda: f"server:/x {tmp_path} nfs4 rw 0 0\n")
    with pytest.raises(StoreFault, match=r"network file system.*JUPYTER_SERVING_DATA_DIR"):
        Places(tmp_path / "data", tmp_path / "run").prepare()
    assert not (tmp_path / "data").exists()


def test_a_runtime_base_on_a_network_file_system_is_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    base = tmp_path / "xdg"
    base.mkdir()
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(base))
    monkeypatch.setattr(
        places, "_mounts", lambda: f"server:/x {base} nfs rw 0 0\n/ / ext4 rw 0 0\n"
    )
    assert not str(Places.of(tmp_path / "data").runtime).startswith(str(base))


def test_sockets_of_a_data_directory_of_200_characters_can_be_bound(tmp_path: Path) -> None:
    long = tmp_path / ("d" * 100) / ("e" * (200 - 102 - len(str(tmp_path)) + 100))
    assert len(str(long)) >= 200
    here = Places.of(long)
    here.prepare()
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(here.replica_socket("0123456789abcdef")))
    here.replica_socket("0123456789abcdef").unlink()


def test_two_data_directories_share_no_socket(tmp_path: Path) -> None:
    one, two = Places.of(tmp_path / "one"), Places.of(tmp_path / "two")
    assert one.controller_socket != two.controller_socket


def test_the_recorded_runtime_directory_wins_over_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = Places.of(tmp_path / "data")
    first.prepare()
    other = tmp_path / "xdg"
    other.mkdir()
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(other))
    assert Places.of(tmp_path / "data") == first


def test_both_directories_are_private(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir(mode=0o755)
    here = Places.of(tmp_path / "data")
    here.prepare()
    for path in (here.data, here.runtime):
        assert path.stat().st_mode & 0o777 == 0o700


def test_a_data_directory_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreFault, match="cannot be prepared"):
        Places.of(tmp_path / "file" / "data").prepare()


def test_a_foreign_directory_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here = Places.of(tmp_path / "data")
    here.prepare()
    monkeypatch.setattr(os, "getuid", lambda: 12345)
    with pytest.raises(StoreFault, match="another user"):
        here.prepare()
