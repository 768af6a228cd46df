from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from services import until

from jupyter_serving.environments.installed import inspect
from jupyter_serving.environments.kernel import environment_of
from jupyter_serving.places import Places

from .harness import World
from .models import LOADS, save


@pytest.fixture(scope="session")
def shared_world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """One runtime directory for all tests that leave its zygote alone."""
    folder = tmp_path_factory.mktemp("backend")
    places = Places.of(folder / "data")
    places.prepare()
    for name in LOADS:
        save(folder, name)
    python = Path(sys.executable)
    environment = environment_of(python, asyncio.run(inspect(python, places.environments)))
    world = World(places, environment, folder)
    yield world
    world.end()


@pytest.fixture
def world(shared_world: World) -> Iterator[World]:
    """The shared one; whoever leaves a replica behind fails."""
    yield shared_world
    left = shared_world.replicas
    until(lambda: not left(), what=f"the end of {left()}")


@pytest.fixture
def own_world(shared_world: World, tmp_path: Path) -> Iterator[World]:
    """A runtime directory of the test's own, for tests that harm or count zygotes."""
    places = Places.of(tmp_path / "data")
    places.prepare()
    world = World(places, shared_world.environment, shared_world.models)
    yield world
    world.end()
