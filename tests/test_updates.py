from __future__ import annotations

from typing import Any

from jupyter_serving.updates import EMPTY, Updates

REPLAY: dict[str, Any] = {
    "passed": False,
    "text": "Replay: 30 of 40 rows changed (75.00%) in 4 requests: 0.00% is allowed.",
    "changed": 30,
    "rows": [
        {"request_id": f"r{n}", "row": n, "kind": "number", "before": "1.0", "after": "<2.0>",
         "input": '{"x": 1}'}
        for n in range(25)
    ],
}  # fmt: skip
FAILED: dict[str, Any] = {
    "config_version": 2,
    "outcome": "FAILED",
    "started_at": 1_800_000_000_000,
    "complete": False,
    "failed": 3,
    "phases": {"prepare": 1.0, "gate": 0.25},
    "notes": ["The controller restarted."],
    "text": "Config 2 failed after 2.0 s, config 1 serves on: 10 requests, 3 failed.",
    "replay": REPLAY,
}


def test_an_update_tells_its_sentence_phases_gate_and_notes() -> None:
    (update,) = Updates([FAILED])
    text = repr(update)
    for part in (FAILED["text"], "prepare 1.00 s, gate 0.25 s", "Note: The controller", "follow"):
        assert part in text
    assert (update.outcome, update.failed, update.complete) == ("FAILED", 3, False)
    html = update._repr_mimebundle_()["text/html"]
    assert FAILED["text"] in html


def test_changed_rows_are_a_table_and_a_frame() -> None:
    replay = Updates([FAILED])[0].replay
    assert replay is not None
    assert not replay.passed
    lines = repr(replay).splitlines()
    assert lines[0] == REPLAY["text"]
    assert lines[1].split()[:3] == ["Request", "Row", "Difference"]
    assert lines[-1] == "... and 10 more rows"
    html = replay._repr_mimebundle_()["text/html"]
    assert "&lt;2.0&gt;" in html
    assert "<2.0>" not in html
    frame = replay.frame()
    assert list(frame["row"]) == list(range(25))


def test_an_update_without_a_gate_has_no_replay() -> None:
    (update,) = Updates([{"text": "Config 1 went live in 1.0 s: no request came."}])
    assert update.replay is None


def test_without_updates_it_says_so() -> None:
    shown = Updates()._repr_mimebundle_()
    assert EMPTY in shown["text/plain"]
    assert EMPTY in shown["text/html"]
