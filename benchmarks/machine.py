"""Facts of the machine and the versions that a measurement was made with."""

from __future__ import annotations

import os
import platform
import sys
from importlib import metadata
from typing import Any

PACKAGES = (
    "jupyter-serving",
    "jupyter_server",
    "mlflow",
    "scikit-learn",
    "numpy",
    "pandas",
    "tornado",
    "uvloop",
    "httptools",
)


def machine() -> dict[str, Any]:
    """Processor, memory and system."""
    return {
        "system": platform.platform(),
        "processor": _processor(),
        "cpus": os.cpu_count(),
        "cpus_usable": len(os.sched_getaffinity(0))
        if hasattr(os, "sched_getaffinity")
        else os.cpu_count(),
        "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "load_average": list(os.getloadavg()),
    }


def versions() -> dict[str, str]:
    """Python and the packages that matter, where they are installed."""
    found = {"python": sys.version.split()[0]}
    for name in PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            pass  # from a bare checkout our own is not installed
    return found


def _processor() -> str:
    try:
        with open("/proc/cpuinfo") as stream:
            names = (
                line.partition(":")[2].strip() for line in stream if line.startswith("model name")
            )
            return next(names, platform.processor())
    except OSError:
        return platform.processor()
