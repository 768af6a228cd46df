"""G18 (Triton, memory growth): versions come and go, an endpoint goes to zero and back; nothing is left of any."""

from __future__ import annotations

import time

from load import OpenLoop
from services import until

from .clients import post
from .footprint import Footprint, footprint
from .stage import Pace, Played, Stage

ROWS = {"dataframe_records": [{"x": 21.0}]}
TO_ZERO = {
    "min_provisioned_concurrency": 0,
    "scale_to_zero_enabled": True,
    "scale_to_zero_seconds": 0.5,
}
WARM_UP = 4
# A leak of one per cycle, or of a model of 1 MB, is beyond these after twice ``LEAST`` cycles.
LEAST = 6
COUNTS = 3
MB = 1_000_000
# Bytes that may come with every cycle: kept configs and events in the store, fragments in the heaps.
FIRST = {"store": 6 * MB, "pss": 8 * MB}
EACH = {"store": 20_000, "pss": 100_000}


def cycle(steady: Played, sleepy: Played, number: int) -> None:
    """The one gets the other version, the other wakes up and goes to zero again."""
    stage = steady.stage
    uri = stage.zoo.puppet() if number % 2 else stage.zoo.puppet_again()
    steady.update(stage.entity(uri))
    reply = post(sleepy.url, sleepy.authorization, ROWS)
    assert reply.status == 200, reply
    until(lambda: sleepy.live["phase"] == "SCALED_TO_ZERO", what="zero replicas")


def at_rest(stage: Stage) -> Footprint:
    """What is held once only the replica of the steady endpoint is up."""
    until(lambda: len(stage.leaders()) == 1 and not stage.orphans(), what="one replica alone")
    until(lambda: len(stage.workers()) == 1, what="its worker")
    # Connections and helpers of what has just ended close within moments: the least of some looks is what stays.
    looks = []
    for _ in range(5):
        looks.append(footprint(stage.services))
        time.sleep(0.2)
    return Footprint(
        {name: min(x.counts.get(name, 0) for x in looks) for name in looks[0].counts},
        {name: min(x.bytes_.get(name, 0) for x in looks) for name in looks[0].bytes_},
    )


def test_nothing_grows_while_versions_come_and_go(brisk: Stage, pace: Pace) -> None:
    zoo = brisk.zoo
    with (
        brisk.endpoint(zoo.puppet()) as steady,
        brisk.endpoint(zoo.doubles(), **TO_ZERO) as sleepy,
    ):
        for number in range(WARM_UP):
            cycle(steady, sleepy, number)
        before = at_rest(brisk)
        probe = {"dataframe_records": [{"act": "answer", "x": 1.0, "folder": ""}]}
        with OpenLoop(steady.url, steady.authorization, probe, rate=20) as load:
            cycles, end = 0, time.monotonic() + pace.soak
            while cycles < 2 * LEAST or time.monotonic() < end:
                cycle(steady, sleepy, cycles)
                cycles += 1
        after = at_rest(brisk)
    print(cycles, "cycles; counts:", after.counts, "bytes:", after.bytes_)
    print("grown:", after.grown(before), after.grown_bytes(before))
    assert load.failures() == [], load.sorts()
    assert not excess(before, after, cycles), f"grown in {cycles} cycles"


def excess(before: Footprint, after: Footprint, cycles: int) -> dict[str, int]:
    """What has grown by more than chance explains."""
    counts = {name: n for name, n in after.grown(before).items() if n > COUNTS}
    bytes_ = {
        name: n
        for name, n in after.grown_bytes(before).items()
        if n > FIRST[name.split()[-1]] + EACH[name.split()[-1]] * cycles
    }
    return counts | bytes_


def test_a_leak_of_one_per_cycle_is_seen() -> None:
    model = 1 * MB
    before = Footprint({"zombies": 0, "gateway sockets": 7}, {"gateway pss": 20 * MB})
    for name in before.counts:
        counts = {**before.counts, name: before.counts[name] + 2 * LEAST}
        assert set(excess(before, Footprint(counts, before.bytes_), 2 * LEAST)) == {name}
    bytes_ = {"gateway pss": 20 * MB + 2 * LEAST * model}
    assert set(excess(before, Footprint(before.counts, bytes_), 2 * LEAST)) == {"gateway pss"}
    assert excess(before, before, 2 * LEAST) == {}
