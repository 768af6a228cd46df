"""G3 (Knative, activator overload): 100 concurrent requests on limit 1, at most 10 replicas, from zero."""

from __future__ import annotations

import asyncio
import json

from keepalive import Connection, Reply
from services import until

from .stage import Played, Stage

CLIENTS = 100
LIMIT_ONE = {
    "min_provisioned_concurrency": 0,
    "max_provisioned_concurrency": 10,
    "scale_to_zero_enabled": True,
    "scale_to_zero_seconds": 0.5,
}


async def burst(played: Played) -> list[Reply]:
    """One request of each client, all at once."""
    headers = {"Authorization": played.authorization, "Content-Type": "application/json"}
    bodies = [json.dumps(played.act("sleep", 0.05 + i / 1e6)).encode() for i in range(CLIENTS)]
    return await asyncio.gather(*(Connection(played.url).post(body, headers) for body in bodies))


def test_every_request_of_a_burst_from_zero_is_answered_one_at_a_time(stage: Stage) -> None:
    with stage.endpoint(stage.zoo.puppet(), **LIMIT_ONE) as played:
        until(lambda: played.live["phase"] == "SCALED_TO_ZERO", what="zero replicas")
        replies = asyncio.run(burst(played))
        assert {r.status for r in replies} == {200}, [r.body for r in replies if r.status != 200]
        most = played.folder.most_at_once()
        assert set(most.values()) == {1}, "a replica saw two at once"
        assert 1 < len(most) <= 10, "more than one replica took part, and no more than allowed"
        assert len(played.folder.begun()) == len(set(played.folder.begun())) == CLIENTS
