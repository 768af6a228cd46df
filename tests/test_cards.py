from __future__ import annotations

import re
from typing import Any

import pytest

from jupyter_serving import cards
from jupyter_serving.api import Phase


def detail(**changes: Any) -> dict[str, Any]:
    entity = {
        "name": "iris-3",
        "entity_name": "iris",
        "entity_version": "3",
        "scale_to_zero_enabled": True,
        "state": {"deployment": "DEPLOYMENT_READY", "deployment_state_message": ""},
    }
    live = {
        "phase": "READY",
        "replicas": {"ready": 1, "starting": 1, "draining": 0, "wanted": 2},
        "requests_per_second": 2.5,
        "in_flight": 3,
        "queued": 0,
        "last_cold_start_seconds": 0.25,
    }
    return {
        "name": "iris",
        "live": live,
        "config": {"served_entities": [entity | changes]},
        "invocations_url": "http://127.0.0.1:1/serving-endpoints/iris/invocations",
    }


def test_the_text_says_state_model_capacity_url_and_life() -> None:
    text = cards.endpoint_text(detail(), "", ["types are assumed"])
    assert text.splitlines()[0] == "Endpoint iris: ready"
    assert "iris version 3" in text
    assert (
        "1 of 2 replicas ready · 1 starting · 2.5 requests/s · 3 in flight · last cold start 0.25 s"
        in text
    )
    assert (
        "Keeps running when the kernel stops; scales to zero when idle (after 30 min by default)"
        in text
    )
    assert "delete with %serve delete iris" in text
    assert text.endswith("Note: types are assumed")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"scale_to_zero_seconds": 600}, "scales to zero after 10 min idle"),
        ({"scale_to_zero_seconds": 2.0}, "scales to zero after 2 s idle"),
        ({"scale_to_zero_seconds": 7200}, "scales to zero after 2 h idle"),
        ({"scale_to_zero_enabled": False}, "never scales to zero"),
    ],
)
def test_life_is_said_as_it_is(changes: dict[str, Any], words: str) -> None:
    assert words in cards.life(detail(**changes))


def test_an_item_of_the_list_does_not_guess_its_life() -> None:
    item = detail()
    del item["config"]["served_entities"][0]["state"]
    assert "zero" not in cards.life(item)


def test_everything_is_escaped() -> None:
    evil = "<script>alert(1)</script>"
    whole = detail(entity_name=evil)
    whole["name"] = whole["invocations_url"] = whole["live"]["phase"] = evil
    html = cards.endpoint_html(whole, evil, [evil])
    assert "<script" not in html
    assert "<script" not in cards.table_html([evil], [[evil], [evil]], marked=0)


def test_colours_come_from_the_front_end() -> None:
    html = cards.endpoint_html(detail(), "") + cards.table_html(["a"], [["READY"]], marked=0)
    assert not re.search(r"(?<!-)(background|color): *(white|black|#)", html)
    assert "var(--jp-" in html


@pytest.mark.parametrize("phase", list(Phase))
def test_every_phase_has_words_and_a_tone(phase: Phase) -> None:
    assert cards.tone(phase) in cards.COLOURS
    assert cards.phase_words(phase) in cards.endpoint_html(
        detail() | {"live": {"phase": phase}}, ""
    )


def test_a_text_table_is_aligned_and_has_no_trailing_blanks() -> None:
    table = cards.table_text(("A", "B"), [("long", ""), ("x", "y")])
    assert table == "A     B\nlong\nx     y"


def test_only_the_last_column_of_a_table_breaks_inside_words() -> None:
    html = cards.table_html(("Endpoint", "State", ""), [("iris-tour", "READY", "x" * 300)], 1)
    cells = re.findall(r"<t[hd] [^>]*>", html)
    assert ["anywhere" in cell for cell in cells] == [False, False, False, False, False, True]
