"""Services that the gates share, so that every gate does not pay for a start of its own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from services import Services
from zoo import Zoo

from .stage import Pace, Stage

BRISK = {
    "STABLE_WINDOW_SECONDS": "6",
    "PANIC_WINDOW_SECONDS": "1",
    "SCALE_DOWN_WINDOW_SECONDS": "2",
}


@pytest.fixture(scope="session")
def pace(full: bool) -> Pace:
    """Durations of this run."""
    return Pace(full)


@pytest.fixture(scope="package")
def stage(zoo: Zoo, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """Services with default settings; gates delete their endpoints."""
    folder = tmp_path_factory.mktemp("stage")
    services = Services(folder / "data")
    try:
        services.client_started()
        yield Stage(services, zoo, folder)
    finally:
        services.end()


@pytest.fixture(scope="package")
def strict(zoo: Zoo, pace: Pace, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """Services with a short queue and, unless ``--full``, a short deadline."""
    folder: Path = tmp_path_factory.mktemp("strict")
    services = Services(folder / "data")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("JUPYTER_SERVING_QUEUE_LIMIT", str(Pace.queue_limit))
        patch.setenv("JUPYTER_SERVING_REQUEST_DEADLINE_SECONDS", str(pace.deadline))
        services.client_started()
    try:
        yield Stage(services, zoo, folder)
    finally:
        services.end()


@pytest.fixture(scope="package")
def brisk(zoo: Zoo, pace: Pace, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """Services that scale down within seconds and give a start ``pace.patience``."""
    folder: Path = tmp_path_factory.mktemp("brisk")
    services = Services(folder / "data")
    with pytest.MonkeyPatch.context() as patch:
        for name, value in BRISK.items():
            patch.setenv(f"JUPYTER_SERVING_{name}", value)
        patch.setenv("JUPYTER_SERVING_START_DEADLINE_SECONDS", str(pace.patience))
        services.client_started()
    try:
        yield Stage(services, zoo, folder)
    finally:
        services.end()
