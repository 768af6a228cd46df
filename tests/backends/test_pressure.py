"""How contended the host is, from recorded files of the kernel and recorded answers of the GPU driver."""

from __future__ import annotations

import ctypes
from pathlib import Path
from typing import Any

import pytest

from jupyter_serving.backends import gpus, host, pressure, usage
from jupyter_serving.backends.gpus import Gpu

CALM = "some avg10=0.00 avg60=0.02 avg300=0.33 total=4844767458\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=0\n"
BUSY = "some avg10=87.41 avg60=40.10 avg300=9.00 total=51\nfull avg10=12.00 avg60=1.00 avg300=0.10 total=12\n"
MIB = 1024 * 1024


@pytest.mark.parametrize(
    ("text", "share"),
    [
        (CALM, 0.0),
        (BUSY, 0.8741),
        ("some avg10=250.00 avg60=1\n", 1.0),
        ("", None),
        ("some x\n", None),
    ],
)
def test_share_of_waiting(text: str, share: float | None) -> None:
    assert pressure.share(text) == share


def test_the_own_group_counts_before_the_machine(tmp_path: Path) -> None:
    machine, group = tmp_path / "pressure", tmp_path / "group"
    machine.mkdir()
    group.mkdir()
    (machine / "cpu").write_text(BUSY)
    assert pressure.waited("cpu", [group], tmp_path) == 0.8741
    (group / "cpu.pressure").write_text(CALM)
    assert pressure.waited("cpu", [group], tmp_path) == 0.0
    assert pressure.waited("memory", [group], tmp_path) == 0.0


def test_answers_of_nvidia_smi() -> None:
    # In the format of its ``csv,noheader,nounits``: two devices, one in an error state, and no driver.
    assert gpus.parsed("81920, 81049\n81920, 502\n") == (
        Gpu(81920 * MIB, 81049 * MIB),
        Gpu(81920 * MIB, 502 * MIB),
    )
    assert gpus.parsed("[N/A], [N/A]\n") == (Gpu(),)
    failed = "NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver.\n"
    assert gpus.parsed(failed) == ()


class Library:
    """A driver's library with devices of so many bytes; one without memory is lost."""

    def __init__(self, *devices: tuple[int, int] | None, starts: int = 0) -> None:
        self.devices, self.starts, self.ended = devices, starts, 0

    def nvmlInit_v2(self) -> int:
        return self.starts

    def nvmlShutdown(self) -> int:
        self.ended += 1
        return 0

    def nvmlDeviceGetCount_v2(self, count: Any) -> int:
        count._obj.value = len(self.devices)
        return 0

    def nvmlDeviceGetHandleByIndex_v2(self, index: int, device: Any) -> int:
        device._obj.value = index + 1
        return 0 if self.devices[index] else 15  # NVML_ERROR_GPU_IS_LOST

    def nvmlDeviceGetMemoryInfo(self, device: ctypes.c_void_p, memory: Any) -> int:
        known = self.devices[(device.value or 0) - 1]
        assert known is not None
        memory._obj.total, memory._obj.free = known
        return 0


def test_the_library_of_the_driver() -> None:
    library = Library((16 * 10**9, 10**9), None)
    assert gpus.asked(library) == (Gpu(16 * 10**9, 10**9), Gpu())
    assert library.ended == 1
    assert gpus.asked(Library((1, 1), starts=9)) == ()  # NVML_ERROR_DRIVER_NOT_LOADED


def test_devices_are_counted_where_nobody_answers(tmp_path: Path) -> None:
    for name in ("nvidia0", "nvidia1", "nvidiactl", "nvidia-uvm"):
        (tmp_path / name).touch()
    assert len(gpus.found(tmp_path)) == 2
    assert gpus.found(tmp_path / "none") == ()


def test_this_machine(tmp_path: Path) -> None:
    found = host.capacity(data=tmp_path)
    assert 0 < found.disk_free <= found.disk_bytes
    assert 0 <= found.cpu_pressure <= 1
    assert 0 <= found.memory_pressure <= 1
    assert host.disk(tmp_path / "nowhere") == (0, 0)


def smaps(tmp_path: Path, pid: int, session: int, kb: int) -> None:
    folder = tmp_path / str(pid)
    folder.mkdir()
    (folder / "stat").write_text(f"{pid} (a) b c) S 1 {pid} {session} 0 -1 4194560 1 0\n")
    (folder / "smaps_rollup").write_text(
        f"0-1 ---p 0 0:0 0 [rollup]\nRss: {kb * 3} kB\nPss: {kb} kB\n"
    )


def test_memory_of_a_process(tmp_path: Path) -> None:
    smaps(tmp_path, 7, 7, 1000)
    assert usage.of_process(7, tmp_path) == 1000 * 1024
    assert usage.of_process(8, tmp_path) == 0


def test_memory_of_a_session_is_that_of_its_processes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for pid, session, kb in ((7, 7, 1000), (8, 7, 500), (9, 9, 100)):
        smaps(tmp_path, pid, session, kb)
    monkeypatch.setattr(usage, "own_processes", lambda: iter([7, 8, 9, 10]))
    assert usage.of_sessions({7, 10}, tmp_path) == {7: 1500 * 1024, 10: 0}
