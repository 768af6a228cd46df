"""NVIDIA GPUs of this machine: how many, and the memory of each.

Asked from the driver's library (NVML) where it is there, else from ``nvidia-smi``, else only counted by their device
files. Written from NVIDIA's documentation of both and tested on answers in their format, not on a GPU.
"""

from __future__ import annotations

import ctypes
import re
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

LIBRARY = "libnvidia-ml.so.1"
QUERY = ("nvidia-smi", "--query-gpu=memory.total,memory.free", "--format=csv,noheader,nounits")
REMEMBERED = 15.0
_MIB = 1024 * 1024
_PATIENCE = 5.0
_DONE = 0


@dataclass(frozen=True, slots=True)
class Gpu:
    """Memory of one device in bytes; zeros where it is not known."""

    memory_bytes: int = 0
    memory_free: int = 0


class _Memory(ctypes.Structure):
    """``nvmlMemory_t``: bytes."""

    _fields_ = (
        ("total", ctypes.c_ulonglong),
        ("free", ctypes.c_ulonglong),
        ("used", ctypes.c_ulonglong),
    )


def found(devices: Path = Path("/dev")) -> tuple[Gpu, ...]:
    """All devices. Blocks for some milliseconds where there are any; without a device file nobody is asked."""
    files = [p for p in devices.glob("nvidia*") if re.fullmatch(r"nvidia\d+", p.name)]
    if not files:
        return ()
    return _of_library() or _of_command() or tuple(Gpu() for _ in files)


class Devices:
    """The same, asked at most every ``REMEMBERED`` seconds: it may take longer than all else that is sampled."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._at, self._found = -REMEMBERED, tuple[Gpu, ...]()

    def known(self) -> tuple[Gpu, ...]:
        """Devices as they were a moment ago."""
        if self._clock() - self._at >= REMEMBERED:
            self._at, self._found = self._clock(), found()
        return self._found


def parsed(text: str) -> tuple[Gpu, ...]:
    """Devices of the answer to ``QUERY``: a line each, total and free memory in MiB, ``[N/A]`` where not known."""
    lines = [line.split(",") for line in text.splitlines() if line.count(",") == 1]
    return tuple(Gpu(_bytes(total), _bytes(free)) for total, free in lines)


def _bytes(text: str) -> int:
    return int(text) * _MIB if text.strip().isdigit() else 0


def asked(library: Any) -> tuple[Gpu, ...]:
    """Devices as the loaded library tells them; none where it refuses."""
    if library.nvmlInit_v2() != _DONE:
        return ()
    try:
        count = ctypes.c_uint()
        if library.nvmlDeviceGetCount_v2(ctypes.byref(count)) != _DONE:
            return ()
        return tuple(_device(library, number) for number in range(count.value))
    finally:
        library.nvmlShutdown()


def _device(library: Any, number: int) -> Gpu:
    device, memory = ctypes.c_void_p(), _Memory()
    if library.nvmlDeviceGetHandleByIndex_v2(number, ctypes.byref(device)) != _DONE:
        return Gpu()
    if library.nvmlDeviceGetMemoryInfo(device, ctypes.byref(memory)) != _DONE:
        return Gpu()
    return Gpu(memory.total, memory.free)


def _of_library() -> tuple[Gpu, ...]:
    try:
        return asked(ctypes.CDLL(LIBRARY))
    except (OSError, AttributeError):
        return ()


def _of_command() -> tuple[Gpu, ...]:
    try:
        answer = subprocess.run(
            QUERY, capture_output=True, text=True, timeout=_PATIENCE, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return ()
    return parsed(answer.stdout)
