"""Fixtures of the whole suite."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from services import Services
from zoo import Zoo

from jupyter_serving.places import DATA_DIR_VARIABLE

# Time limits on examples are timing assertions; in CI the examples are the same in every run.
settings.register_profile(
    "project",
    deadline=None,
    derandomize=bool(os.environ.get("CI")),
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("project")

# Whether replicas are added must not depend on what else this machine does.
os.environ.setdefault("JUPYTER_SERVING_CPU_PRESSURE_LIMIT", "1.0")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Options of this suite."""
    parser.addoption(
        "--full",
        action="store_true",
        help="durations of the reliability gates as written (40 minutes), and ten times the fuzz cases",
    )
    parser.addoption("--seed", type=int, help="seed of the fuzz cases (printed where one fails)")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Full durations pass the time limit of a test."""
    if config.getoption("full"):
        for item in items:
            item.add_marker(pytest.mark.timeout(3600))


@pytest.fixture(scope="session")
def full(request: pytest.FixtureRequest) -> bool:
    """True with ``--full``: durations as the gates have them; else as CI has time for."""
    return bool(request.config.getoption("full"))


@pytest.fixture
def services(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Services]:
    """Services of the test's own, ended after it."""
    monkeypatch.setenv(DATA_DIR_VARIABLE, str(tmp_path / "data"))
    own = Services(tmp_path / "data")
    yield own
    own.end()


@pytest.fixture(scope="session")
def shared_services(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Services]:
    """Services that tests share which do no harm to them."""
    data = tmp_path_factory.mktemp("shared") / "data"
    before = os.environ.get(DATA_DIR_VARIABLE)
    os.environ[DATA_DIR_VARIABLE] = str(data)
    own = Services(data)
    yield own
    own.end()
    if before is None:
        del os.environ[DATA_DIR_VARIABLE]
    else:
        os.environ[DATA_DIR_VARIABLE] = before


@pytest.fixture(scope="session")
def zoo(tmp_path_factory: pytest.TempPathFactory) -> Zoo:
    """Models to serve."""
    return Zoo(tmp_path_factory.mktemp("zoo"))
