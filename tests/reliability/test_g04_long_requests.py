"""G4 (Knative, destroy pod): a long request outlives the drain of its replica, and the delete of its endpoint."""

from __future__ import annotations

import time

from services import until

from .clients import Later
from .stage import Pace, Stage


def test_a_long_request_outlives_the_drain_of_its_replica(stage: Stage, pace: Pace) -> None:
    with stage.endpoint(stage.zoo.puppet()) as played:
        (before,) = stage.leaders()
        with Later(played.url, played.authorization, played.act("sleep", pace.long_request)) as it:
            until(played.folder.begun, what="it in flight")
            other = stage.zoo.entity(stage.zoo.puppet(), environment_vars={"ROUND": "2"})
            stage.client.update(played.name, {"served_entities": [other]})
            assert stage.client.wait(played.name).detail["config"]["config_version"] == 2
            assert not it.answered, "the update does not wait for it"
            assert len(stage.leaders()) == 2, "the drained replica is there until it is answered"
            reply = it.reply()
        assert (reply.status, reply.json) == (200, {"predictions": [pace.long_request]})
        until(lambda: len(stage.leaders()) == 1, what="the end of the drained replica")
        assert before not in stage.leaders()


def test_a_long_request_outlives_the_delete_of_its_endpoint(stage: Stage, pace: Pace) -> None:
    with stage.endpoint(stage.zoo.puppet()) as played:
        with Later(played.url, played.authorization, played.act("hold", 7.0)) as it:
            until(played.folder.begun, what="it in flight")
            begun = time.monotonic()
            stage.client.delete(played.name)
            with Later(played.url, played.authorization, played.act("answer")) as other:
                assert other.reply().status in (401, 404), "it and its token are gone"
            time.sleep(max(0.0, begun + pace.long_request - time.monotonic()))
            assert not it.answered
            assert len(stage.leaders()) == 1, "its replica is there until it is answered"
            played.folder.release()
            reply = it.reply()
        assert (reply.status, reply.json) == (200, {"predictions": [7.0]})
        until(lambda: not stage.leaders(), what="the end of its replica")
        until(lambda: not stage.orphans(), what="no orphaned process")
