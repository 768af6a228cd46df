"""G5, where requests are computed in groups: a request that kills its worker fails alone, its mates are answered."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Sequence
from typing import Any

import pytest

from .clients import Later, Reply
from .stage import Played, Stage

BUSY = 1000.0
"""The model takes half a second for it: what comes meanwhile forms the next group."""


def rows(x: float) -> dict[str, Any]:
    return {"dataframe_split": {"columns": ["x"], "data": [[x]]}}


def while_busy(played: Played, values: Sequence[float]) -> list[Reply]:
    """Answers to one request per value, all sent while the only worker is busy."""
    to = (played.url, played.authorization)
    with contextlib.ExitStack() as stack:
        first = stack.enter_context(Later(*to, rows(BUSY)))
        others = [stack.enter_context(Later(*to, rows(x))) for x in values]
        assert first.reply().status == 200
        return [other.reply() for other in others]


def group_size(reply: Reply) -> int:
    """With how many others it was computed, itself included."""
    said = re.search(r"batch;desc=\"?(\d+)", reply.headers.get("server-timing", ""))
    return int(said.group(1)) if said else 1


@pytest.mark.parametrize("poison", [(), (3,), (1, 6)], ids=["none dies", "one dies", "two die"])
def test_only_the_poisonous_of_a_group_fail(stage: Stage, poison: tuple[int, ...]) -> None:
    values = [-1.0 if i in poison else float(i) for i in range(8)]
    with stage.endpoint(stage.zoo.fragile()) as played:
        replicas = stage.leaders()
        replies = while_busy(played, values)
        assert [i for i, r in enumerate(replies) if r.status == 502] == list(poison), replies
        for value, reply in zip(values, replies, strict=True):
            if value >= 0:
                assert reply.json == {"predictions": [{"x": 2 * value}]}
        if not poison:
            assert max(map(group_size, replies)) > 1, "they were computed in groups"
        assert stage.leaders() == replicas
        played.quiet()
