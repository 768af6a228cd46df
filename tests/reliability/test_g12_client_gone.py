"""G12 (Triton cancel, Cog): a client leaves while its request waits (removed) or runs (its slot is still counted)."""

from __future__ import annotations

from services import until

from .clients import Later, Leaver
from .stage import Stage


def test_a_request_whose_client_left_the_queue_never_runs(stage: Stage) -> None:
    with stage.endpoint(stage.zoo.puppet()) as played:
        to = (played.url, played.authorization)
        with Later(*to, played.act("hold", 1.0)) as first:
            until(played.folder.begun, what="the slot taken")
            leavers = [Leaver(*to, played.act("answer", 100.0 + n)) for n in range(5)]
            with Later(*to, played.act("answer", 2.0)) as stays:
                until(lambda: played.live["queued"] == 6, what="six that wait")
                for leaver in leavers:
                    leaver.leave()
                until(lambda: played.live["queued"] == 1, what="the one whose client is there")
                assert not first.answered and not stays.answered
                played.folder.release()
                assert (first.reply().status, stays.reply().status) == (200, 200)
        assert played.folder.begun() == [1.0, 2.0], "those that left were not run"
        played.quiet()


def test_a_request_whose_client_left_keeps_its_slot_while_it_runs(stage: Stage) -> None:
    with stage.endpoint(stage.zoo.puppet()) as played:
        to = (played.url, played.authorization)
        leaver = Leaver(*to, played.act("hold", 1.0))
        until(played.folder.begun, what="it runs")
        leaver.leave()
        with Later(*to, played.act("answer", 2.0)) as after:
            until(lambda: played.live["queued"] == 1, what="the next one waits")
            assert played.live["in_flight"] == 1
            assert played.folder.begun() == [1.0], "the slot is not given away before it is free"
            played.folder.release()
            assert after.reply().status == 200
        assert set(played.folder.most_at_once().values()) == {1}
        played.quiet()
