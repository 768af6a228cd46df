from __future__ import annotations

import re
from typing import Any

from jupyter_serving.waterfall import Starts, rows, steps

WAKE: dict[str, Any] = {
    "replica": "r1",
    "served_entity": "iris-1",
    "reason": "wake",
    "total_seconds": 0.4,
    "phases": {"spawn": 0.1, "model_load": 0.2, "first_byte": 0.05},
}


def test_phases_follow_each_other_and_add_up_to_the_total() -> None:
    found = list(steps(WAKE))
    assert [label for label, _, _ in found] == ["process", "model load", "other", "first answer"]
    ends = [begun + seconds for _, begun, seconds in found]
    assert [begun for _, begun, _ in found] == [0.0, *ends[:-1]]
    assert abs(ends[-1] - 0.4) < 1e-9


def test_what_rounding_leaves_is_no_phase() -> None:
    start = WAKE | {"total_seconds": 0.3505}
    assert "other" not in [label for label, _, _ in steps(start)]


def test_the_text_shows_a_bar_for_each_phase() -> None:
    lines = repr(Starts([WAKE])).splitlines()
    assert lines[0] == "iris-1: cold start in 0.40 s"
    load = next(line for line in lines if "model load" in line)
    assert "200.0 ms" in load
    assert load.count("█") == 20
    assert load.index("█") > lines[1].index("█")


def test_the_html_has_bars_in_place() -> None:
    html = Starts([WAKE])._repr_mimebundle_()["text/html"]
    assert "cold start in 0.40 s" in html
    assert re.search(r"margin-left: 25\.00%; width: 50\.00%", html)


def test_names_are_escaped() -> None:
    html = Starts([WAKE | {"served_entity": "<b>", "reason": "<i>"}])._repr_mimebundle_()
    assert "<b>" not in html["text/html"]
    assert "<i>" not in html["text/html"]


def test_only_the_last_starts_are_shown_but_all_are_there() -> None:
    many = Starts([WAKE | {"served_entity": f"iris-{n}"} for n in range(9)])
    assert len(many) == 9
    assert "iris-8" in repr(many)
    assert "iris-0" not in repr(many)


def test_without_starts_it_says_so() -> None:
    shown = Starts()._repr_mimebundle_()
    assert "No replica" in shown["text/plain"]
    assert "No replica" in shown["text/html"]


def test_a_start_that_still_runs_is_shown_as_far_as_it_is_known() -> None:
    running = {"served_entity": "iris-1", "reason": "deploy", "phases": {"spawn": 0.1}}
    assert "deployed in 0.10 s" in repr(Starts([running]))
    assert "0.00 s" in repr(Starts([{"reason": "deploy"}]))


SLOW: dict[str, Any] = WAKE | {
    "phases": {"spawn": 0.05, "imports": 0.2, "model_load": 0.1, "first_byte": 0.05},
    "imports": [["torch", 0.15], ["<b>", 0.04], ["json", 0.0001]],
    "zygote": "started",
    "memory_bytes": 512_000_000,
    "remedy": "Do without torch & more: saves about 0.15 s of 0.4 s.",
}


def test_the_slowest_imports_stand_below_theirs_one_after_the_other() -> None:
    parts = [row for row in rows(SLOW) if row.part]
    assert [(row.label, row.begun) for row in parts] == [("torch", 0.05), ("<b>", 0.2)]
    labels = [row.label for row in rows(SLOW)]
    assert labels == ["process", "imports", "torch", "<b>", "model load", "first answer"]
    lines = repr(Starts([SLOW])).splitlines()
    assert "░" in next(line for line in lines if "torch " in line)
    assert lines[-1].strip() == SLOW["remedy"]
    assert "a zygote was started for it, a replica holds 512 MB" in lines[-2]


def test_imports_and_remedy_are_in_the_html_escaped() -> None:
    html = Starts([SLOW])._repr_mimebundle_()["text/html"]
    assert "torch" in html
    assert "torch &amp; more" in html
    assert "<b>" not in html


def test_a_start_that_failed_says_where_and_why() -> None:
    failed = WAKE | {"failed": "model_load", "error": "no module named xgboost"}
    assert repr(Starts([failed])).startswith(
        "iris-1: cold start, failed after 0.40 s in model load: no module named xgboost"
    )


def test_as_many_are_shown_as_are_wanted() -> None:
    many = [WAKE | {"served_entity": f"iris-{n}"} for n in range(9)]
    assert "iris-0" in repr(Starts(many, 9))
    assert "iris-7" not in repr(Starts(many, 1))
    assert repr(Starts(many, 0)) == "No replica has been started yet."
