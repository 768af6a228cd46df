"""Updates from verb to end, moment by moment: cancel, hold, refuse, gate, rollback, deadline, certificates."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from jupyter_serving.api import Capture, ConfigState, ConfigUpdate, UpdatePolicy
from jupyter_serving.controller import versions
from jupyter_serving.controller.placement import Shortage
from jupyter_serving.controller.records import EndpointRecord
from jupyter_serving.errors import BadRequest, Conflict, NotFound

from .loops import Loop, loop_in

FIRST, SECOND = ["1:a"], ["2:a"]
REPLAY: dict[str, Any] = {"replay": {}}
HOLD = UpdatePolicy(when_no_room="hold")


def played(folder: Path, play: Callable[[Loop], Awaitable[None]]) -> None:
    """Run ``play`` on an endpoint that serves version 1."""

    async def run() -> None:
        async with loop_in(folder) as loop:
            await loop.create()
            assert loop.ready() == FIRST
            await play(loop)

    asyncio.run(run())


def room_for(loop: Loop, count: int) -> None:
    """From here on the host takes so many replicas."""

    def fits(wants: Sequence[tuple[Any, int]], freed: Any) -> Any:
        there = len([r for r in loop.replicas() if r.id not in freed])
        wanted = sum(n for _, n in wants)
        return (
            Shortage("memory", f"{wanted} needed, {count - there} free")
            if there + wanted > count
            else None
        )

    loop.survey.fits = fits


@pytest.mark.parametrize("phase", ["fetch", "stage", "place", "gate"])
def test_a_cancel_in_each_phase_removes_the_new_and_leaves_the_old(
    tmp_path: Path, phase: str
) -> None:
    async def play(loop: Loop) -> None:
        async def gate(*_: Any) -> dict[str, Any]:
            await loop.steps.until_free("gate")
            return {"passed": True}

        loop.updates.gate = gate
        loop.steps.stuck = {phase}
        await loop.update(update=UpdatePolicy(gate=REPLAY))
        await loop.until(lambda: phase in loop.steps.waiting)
        await loop.changes.cancel("iris", "ann")
        await loop.until(lambda: not loop.steps.waiting and len(loop.replicas()) == 1)
        assert loop.ready() == FIRST
        endpoint = loop.endpoint
        assert (endpoint.active, endpoint.pending) == (1, None)
        assert endpoint.update is ConfigUpdate.UPDATE_CANCELED
        assert endpoint.message == "ann canceled the update to config version 2."
        canceled = loop.store.configs[endpoint.id, 2]
        assert versions.state(endpoint, canceled) is ConfigState.CANCELED
        loop.steps.stuck = set()
        await loop.update()
        await loop.settled()
        assert loop.ready() == ["3:a"]

    played(tmp_path, play)


def test_a_cancel_while_requests_are_held_brings_the_old_back(tmp_path: Path) -> None:
    async def play(loop: Loop) -> None:
        room_for(loop, 1)
        loop.steps.stuck = {"stop"}
        await loop.update(update=HOLD)
        await loop.until(lambda: "stop" in loop.steps.waiting)
        assert loop.endpoint.swap_since
        await loop.changes.cancel("iris", "ann")
        loop.steps.stuck = set()
        await loop.until(lambda: loop.ready() == FIRST and len(loop.replicas()) == 1)
        assert loop.endpoint.swap_since == 0

    played(tmp_path, play)


def test_there_must_be_something_to_cancel(tmp_path: Path) -> None:
    async def play(loop: Loop) -> None:
        with pytest.raises(BadRequest, match=r"nothing to cancel.*config:rollback"):
            await loop.changes.cancel("iris", "me")

    played(tmp_path, play)


def test_the_creation_of_an_endpoint_can_be_canceled_and_started_again(tmp_path: Path) -> None:
    async def run() -> None:
        async with loop_in(tmp_path) as loop:
            loop.steps.stuck = {"stage"}
            creating = asyncio.create_task(loop.create())
            await loop.until(lambda: "stage" in loop.steps.waiting)
            await loop.changes.cancel("iris", "me")
            await creating
            assert (loop.endpoint.active, loop.replicas()) == (None, [])
            loop.steps.stuck = set()
            await loop.endpoints.start("iris", "me")
            await loop.settled()
            assert loop.ready() == SECOND

    asyncio.run(run())


def test_without_room_an_update_is_refused_at_the_request_and_nothing_changes(
    tmp_path: Path,
) -> None:
    async def play(loop: Loop) -> None:
        room_for(loop, 1)
        with pytest.raises(
            Conflict, match=r"beside the config that serves: 1 needed, 0 free.*hold"
        ):
            await loop.update()
        assert (loop.endpoint.last_version, loop.ready()) == (1, FIRST)

    played(tmp_path, play)


def test_room_that_is_gone_when_it_is_needed_fails_the_update(tmp_path: Path) -> None:
    async def play(loop: Loop) -> None:
        loop.steps.stuck = {"stage"}
        await loop.update()
        await loop.until(lambda: "stage" in loop.steps.waiting)
        room_for(loop, 1)
        loop.steps.stuck = set()
        await loop.settled()
        assert loop.endpoint.update is ConfigUpdate.UPDATE_FAILED
        assert "1 needed, 0 free" in loop.endpoint.message
        assert loop.ready() == FIRST

    played(tmp_path, play)


def test_a_swap_prepares_first_then_makes_room_and_tells_how_long_requests_waited(
    tmp_path: Path,
) -> None:
    async def play(loop: Loop) -> None:
        room_for(loop, 1)
        loop.steps.stuck = {"stage"}
        loop.steps.done.clear()
        await loop.update(update=HOLD)
        await loop.until(lambda: "stage" in loop.steps.waiting)
        assert loop.ready() == FIRST, "it serves while the new one is prepared"
        loop.steps.stuck = {"place"}
        await loop.until(lambda: "place" in loop.steps.waiting)
        assert [r.version for r in loop.replicas()] == [2], "never two at a time"
        loop.now += 3.0
        loop.steps.stuck = set()
        await loop.settled()
        assert loop.ready() == SECOND
        assert loop.steps.done == ["fetch", "stage", "stop", "place"]
        told = "For 3.0 s during the swap to config version 2 requests had to wait."
        assert loop.endpoint.message == told
        events = await loop.store.events(loop.endpoint.id)
        assert any(e.type == "UPDATE_HOLDS" and "1 needed, 0 free" in e.message for e in events)
        assert any(e.type == "CONFIG_READY" and told in e.message for e in events)

    played(tmp_path, play)


def test_a_swap_that_fails_brings_the_old_back(tmp_path: Path) -> None:
    async def play(loop: Loop) -> None:
        room_for(loop, 1)
        loop.steps.trouble = {2: "no xgboost"}
        await loop.update(update=HOLD)
        await loop.settled()
        await loop.until(lambda: loop.ready() == FIRST)
        assert loop.endpoint.update is ConfigUpdate.UPDATE_FAILED
        assert "no xgboost" in loop.endpoint.message
        assert "UPDATE_HOLDS" in await loop.kinds()

    played(tmp_path, play)


def test_a_swap_that_would_not_fit_either_is_refused(tmp_path: Path) -> None:
    async def play(loop: Loop) -> None:
        room_for(loop, 0)
        with pytest.raises(Conflict, match="1 needed, 0 free"):
            await loop.update(update=HOLD)

    played(tmp_path, play)


def test_a_gate_that_is_not_passed_fails_the_update(tmp_path: Path) -> None:
    async def play(loop: Loop) -> None:
        async def gate(endpoint: EndpointRecord, config: Any) -> dict[str, Any]:
            assert loop.ready() == [*FIRST, *SECOND], "tried when it is ready"
            return {"passed": False, "text": "3 of 20 answers differ."}

        loop.updates.gate = gate
        await loop.update(update=UpdatePolicy(gate=REPLAY))
        await loop.settled()
        assert loop.endpoint.message == "3 of 20 answers differ."
        assert (loop.ready(), loop.endpoint.update) == (FIRST, ConfigUpdate.UPDATE_FAILED)
        assert loop.store.configs[loop.endpoint.id, 2].verdict == {
            "passed": False,
            "text": "3 of 20 answers differ.",
        }

    played(tmp_path, play)


def test_a_config_that_keeps_its_entities_keeps_their_replicas(tmp_path: Path) -> None:
    async def play(loop: Loop) -> None:
        (before,) = loop.replicas()
        loop.steps.done.clear()
        await loop.update("1", capture=Capture(sample=0.5))
        await loop.settled()
        assert loop.replicas() == [before]
        assert loop.endpoint.active == 2
        assert loop.steps.done == []

    played(tmp_path, play)


def test_a_rollback_uses_what_is_here_and_names_its_version(tmp_path: Path) -> None:
    async def play(loop: Loop) -> None:
        await loop.update("2")
        await loop.settled()
        loop.steps.done.clear()
        await loop.changes.rollback("iris", None, "ann")
        await loop.settled()
        assert loop.ready() == ["3:a"]
        assert loop.steps.done == ["place", "stop"], "nothing is fetched or staged again"
        told = loop.changes.listed("iris")
        assert [(v.config_version, v.state, v.content_of) for v in told] == [
            (1, "SUPERSEDED", None),
            (2, "SUPERSEDED", None),
            (3, "ACTIVE", 1),
        ]
        assert told[2].creator == "ann"
        assert told[2].served_entities[0]["entity_version"] == "1"
        await loop.changes.rollback("iris", 2, "ann")
        await loop.settled()
        assert loop.store.configs[loop.endpoint.id, 4].entities[0].spec.entity_version == "2"

    played(tmp_path, play)


def test_what_a_rollback_cannot_go_back_to_is_told(tmp_path: Path) -> None:
    async def play(loop: Loop) -> None:
        with pytest.raises(BadRequest, match="no config version before"):
            await loop.changes.rollback("iris", None, "me")
        with pytest.raises(BadRequest, match="serves already"):
            await loop.changes.rollback("iris", 1, "me")
        with pytest.raises(NotFound, match="Kept are 1"):
            await loop.changes.rollback("iris", 7, "me")
        loop.steps.stuck = {"fetch"}
        await loop.update()
        with pytest.raises(Conflict, match="config:cancel"):
            await loop.changes.rollback("iris", 1, "me")
        with pytest.raises(Conflict, match="being updated"):
            await loop.update("3")
        with pytest.raises(Conflict, match="being updated"):
            await loop.changes.reload("iris", "me")

    played(tmp_path, play)


def test_a_deadline_of_its_own_ends_an_update(tmp_path: Path) -> None:
    async def play(loop: Loop) -> None:
        loop.steps.stuck = {"stage"}
        await loop.update(update=UpdatePolicy(deadline_seconds=60.0))
        await loop.until(lambda: "stage" in loop.steps.waiting)
        loop.now += 61.0
        loop.reconciler.queue.add(loop.endpoint.id)
        await loop.settled()
        assert loop.endpoint.update is ConfigUpdate.UPDATE_FAILED
        assert "within 60 s" in loop.endpoint.message

    played(tmp_path, play)


def test_only_fifty_versions_are_kept_and_what_serves_is_among_them(tmp_path: Path) -> None:
    async def play(loop: Loop) -> None:
        for number in range(55):
            await loop.update("1", capture=Capture(max_requests=number + 1))
            await loop.settled()
        kept = [v.config_version for v in loop.changes.listed("iris")]
        assert kept == [1, *range(7, 57)], (
            "version 1 first had the entity that all of them carry on"
        )
        assert loop.ready() == FIRST

    played(tmp_path, play)


def test_certificates_hear_of_each_beginning_and_end(tmp_path: Path) -> None:
    async def run() -> None:
        async with loop_in(tmp_path) as loop:
            certificates = loop.certificates
            await loop.create()
            await loop.update("2")
            await loop.until(lambda: len(certificates.told) == 4)
            loop.steps.stuck = {"stage"}
            await loop.update("3")
            await loop.until(lambda: "stage" in loop.steps.waiting)
            await loop.changes.cancel("iris", "me")
            await loop.until(lambda: len(certificates.told) == 6)
            loop.steps.stuck, loop.steps.trouble = set(), {4: "no xgboost"}
            await loop.update("4")
            await loop.until(lambda: len(certificates.told) == 8)
            outcomes = ["SUCCEEDED", "SUCCEEDED", "CANCELED", "FAILED"]
            assert certificates.told == [
                told
                for version, outcome in enumerate(outcomes, 1)
                for told in (("begin", version), ("end", version, outcome))
            ]

    asyncio.run(run())


# -- reload ------------------------------------------------------------------------------------------------


def test_a_reload_brings_a_fresh_replica_before_the_old_one_goes(tmp_path: Path) -> None:
    async def play(loop: Loop) -> None:
        (before,) = loop.replicas()
        loop.now += 1.0
        loop.steps.stuck = {"place"}
        loop.steps.done.clear()
        await loop.changes.reload("iris", "me")
        await loop.until(lambda: "place" in loop.steps.waiting)
        assert loop.ready() == FIRST
        with pytest.raises(Conflict, match="being reloaded"):
            await loop.changes.reload("iris", "me")
        loop.steps.stuck = set()
        await loop.until(lambda: not loop.endpoint.reload_asked and not loop.moving())
        (after,) = loop.replicas()
        assert after.id != before.id
        assert loop.steps.done == ["place", "stop"]
        assert (await loop.kinds())[-1] == "RELOADED"
        assert loop.endpoint.update is ConfigUpdate.NOT_UPDATING

    played(tmp_path, play)


def test_a_reload_that_fails_leaves_the_old_and_is_tried_again_only_after_a_period(
    tmp_path: Path,
) -> None:
    async def run() -> None:
        async with loop_in(tmp_path) as loop:
            await loop.create(reload_every_seconds=100.0)
            before = loop.replicas()
            loop.steps.trouble = {1: "the licence has expired"}
            loop.now += 101.0
            loop.reconciler.queue.add(loop.endpoint.id)
            await loop.until(lambda: loop.endpoint.update is ConfigUpdate.UPDATE_FAILED)
            assert "the licence has expired" in loop.endpoint.message
            loop.steps.trouble = {}
            loop.now += 99.0
            await loop.reconciler.reconcile(loop.endpoint.id)
            assert loop.replicas() == before
            loop.now += 2.0
            await loop.reconciler.reconcile(loop.endpoint.id)
            await loop.until(lambda: loop.endpoint.update is ConfigUpdate.NOT_UPDATING)
            await loop.until(lambda: before[0].id not in loop.store.replicas)
            assert (loop.endpoint.message, loop.ready()) == ("", FIRST)

    asyncio.run(run())


def test_without_room_a_reload_is_left_out_and_told(tmp_path: Path) -> None:
    async def play(loop: Loop) -> None:
        before = loop.replicas()
        room_for(loop, 1)
        loop.now += 1.0
        await loop.changes.reload("iris", "me")
        await loop.until(lambda: not loop.endpoint.reload_asked)
        assert "1 needed, 0 free" in loop.endpoint.message
        assert loop.endpoint.update is ConfigUpdate.NOT_UPDATING
        assert loop.replicas() == before

    played(tmp_path, play)


def test_a_stopped_endpoint_has_nothing_to_reload(tmp_path: Path) -> None:
    async def play(loop: Loop) -> None:
        await loop.endpoints.stop("iris", "me")
        with pytest.raises(BadRequest, match="nothing to reload"):
            await loop.changes.reload("iris", "me")

    played(tmp_path, play)
