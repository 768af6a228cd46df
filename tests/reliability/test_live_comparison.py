"""A model that is declared row-wise and is not: found out while it serves, told, and then answered one by one."""

from __future__ import annotations

import json
from typing import Any

from load import ClosedLoop
from services import until

from .stage import Played, Stage

LARGE = {"dataframe_split": {"columns": ["x"], "data": [[1000.0]]}}


def notices(played: Played) -> list[dict[str, Any]]:
    events = played.stage.client.events(played.name)
    return [event for event in events if event["type"] == "REPLICA_NOTICE"]


def test_a_wrong_declaration_is_found_out_and_told(stage: Stage) -> None:
    with stage.endpoint(stage.zoo.misdeclared()) as played:
        (replica,) = stage.leaders()
        assert stage.status(replica)["capacity"] > 1
        with ClosedLoop(played.url, played.authorization, LARGE, clients=8) as load:
            (notice,) = until(lambda: notices(played), what="the notice of it")
            load.mark("told")
            load.flows(50)
        assert "switched off" in notice["message"]
        assert notice["message"].endswith("000.0 and 1000.0")
        assert stage.status(replica)["capacity"] == 1
        assert load.failures() == []
        after = [json.loads(answer.body) for answer in load.between("told")]
        assert after
        assert all(answer == {"predictions": [{"x": 1000.0}]} for answer in after)
