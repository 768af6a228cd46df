"""A host that is too small: what does not fit waits and says so until there is room; what never fits is refused."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from services import Services, until
from zoo import Zoo

from jupyter_serving.client import Client
from jupyter_serving.errors import InvalidParameter, Unavailable
from jupyter_serving.places import DATA_DIR_VARIABLE

ROWS = {"dataframe_records": [{"x": 1.0}]}
# One replica is guessed to take 150 MB before any was measured: one fits, two do not.
BUDGET = 250_000_000
SHORT = "CAPACITY_SHORT"


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Services]:
    """Services whose replicas may take ``BUDGET`` bytes together."""
    data = tmp_path_factory.mktemp("small") / "data"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(DATA_DIR_VARIABLE, str(data))
        patch.setenv("JUPYTER_SERVING_MEMORY_BUDGET_BYTES", str(BUDGET))
        own = Services(data)
        own.client_started()
        yield own
    own.end()


def told(client: Client, name: str) -> list[dict[str, Any]]:
    """Events of an endpoint that waited for room."""
    return [e for e in client.events(name, limit=1000) if e["type"] == SHORT]


def deploy(client: Client, name: str, entity: dict[str, Any]) -> None:
    client.create(name, {"served_entities": [entity]})


def test_a_replica_without_room_waits_says_why_and_starts_when_there_is_some(
    small: Services, zoo: Zoo
) -> None:
    client = small.client
    entity = zoo.entity(zoo.doubles())
    deploy(client, "first", entity)
    client.wait("first")
    deploy(client, "second", entity)
    until(lambda: told(client, "second"), what="the event of a shortage")
    live = client.get("second").live
    assert "of memory needed" in live["message"]
    assert "Tried again" in live["message"]
    assert any("of memory needed" in text for text in client.status()["problems"])
    client.delete("first")
    client.wait("second")
    assert client.query("second", ROWS).predictions
    assert len(told(client, "second")) == 1
    assert client.status()["problems"] == []
    client.delete("second")


def test_held_requests_are_told_and_the_endpoint_recovers(small: Services, zoo: Zoo) -> None:
    client = small.client
    sleeper = zoo.entity(zoo.doubles(), scale_to_zero_enabled=True, scale_to_zero_seconds=1.0)
    deploy(client, "sleeper", sleeper)
    client.wait("sleeper")
    until(lambda: client.status()["replicas"] == 0, what="scale to zero")
    deploy(client, "awake", zoo.entity(zoo.doubles()))
    client.wait("awake")
    with pytest.raises(Unavailable, match="of memory needed"):
        client.query("sleeper", ROWS)
    client.delete("awake")

    def answers() -> Any:
        try:
            return client.query("sleeper", ROWS).predictions
        except Unavailable:
            return None

    assert until(answers, what="an answer of the endpoint that had no room")
    client.delete("sleeper")


def test_what_replicas_took_is_known_after_a_restart(small: Services, zoo: Zoo) -> None:
    client = small.client
    deploy(client, "measured", zoo.entity(zoo.doubles()))
    client.wait("measured")
    reserved = until(
        lambda: (
            client.status()["host"]["reserved_bytes"] not in (0, 150_000_000)
            and client.status()["host"]["reserved_bytes"]
        ),
        what="a measurement",
    )
    client.shutdown(keep_replicas=True)
    until(lambda: not small.places.controller_socket.exists(), what="the controller's end")
    small.client_started()
    until(
        lambda: client.status()["host"]["reserved_bytes"] >= reserved * 0.9,
        what="the reservation by measured use",
    )
    with pytest.raises(InvalidParameter, match=r"3 x .* \(measured\) = .* of memory needed"):
        deploy(
            client,
            "greedy",
            zoo.entity(zoo.doubles(), min_provisioned_concurrency=3, max_provisioned_concurrency=3)
            | {
                "model_digest": client.get("measured").detail["config"]["served_entities"][0][
                    "model_digest"
                ]
            },
        )
    client.delete("measured")


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"workload_type": "GPU_SMALL"}, "needs 1 GPU.*has 0"),
        (
            {"min_provisioned_concurrency": 2, "max_provisioned_concurrency": 2},
            r"2 x 150 MB \(guessed\) = 300 MB of memory needed; replicas may take 250 MB here",
        ),
    ],
)
def test_what_never_fits_is_refused_with_what_there_is(
    small: Services, zoo: Zoo, fields: dict[str, Any], said: str
) -> None:
    with pytest.raises(InvalidParameter, match=said):
        deploy(small.client, "never", zoo.entity(zoo.forest(), **fields))
    assert [e.name for e in small.client.list()] == []


def test_a_full_disk_is_waited_for(
    tmp_path: Path, zoo: Zoo, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file system of 100 MB of which nearly all is taken: the deploy waits, and goes on once that is gone."""
    disk = tmp_path / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=100m", "tmpfs", str(disk)], check=True)
    monkeypatch.setenv(DATA_DIR_VARIABLE, str(disk / "data"))
    own = Services(disk / "data")
    try:
        client = own.client_started()
        filler = disk / "filler"
        free = os.statvfs(disk).f_bavail * os.statvfs(disk).f_frsize
        with filler.open("wb") as file:
            os.posix_fallocate(file.fileno(), 0, free - 3_000_000)
        deploy(client, "patient", zoo.entity(zoo.doubles()))
        until(lambda: told(client, "patient"), what="the event of a shortage")
        assert "disk of the data directory" in client.get("patient").live["message"]
        assert any("disk of the data directory" in text for text in client.status()["problems"])
        filler.unlink()
        client.wait("patient")
        assert len(told(client, "patient")) == 1
    finally:
        own.end()
        subprocess.run(["umount", "-l", str(disk)], check=True)
