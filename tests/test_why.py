"""Why so many replicas, as text and as a card."""

from __future__ import annotations

from typing import Any

from jupyter_serving.autoscale.rules import Rules
from jupyter_serving.why import Why

LAST = {
    "at": 1_700_000_000_000,
    "wanted": 2,
    "ready": 1,
    "inputs": {"stable": 7.6, "panic": 9.25, "busy": 8.0, "waiting": 3.0, "held": 0.0},
    "reason": "Up from 1 to 2 replicas: because <of> load.",
}
ENTITY = {
    "served_entity": "iris-1",
    "config_version": 3,
    "rules": Rules().json(),
    "bounds": {
        "min_replicas": 0,
        "max_replicas": 4,
        "slots_per_replica": 4,
        "scale_to_zero_seconds": 1800.0,
        "room": 5.0,
        "host_pressure": False,
    },
    "last": LAST,
}
CHANGE = {
    "served_entity": "iris-1",
    "config_version": 3,
    "at": 1_700_000_000_000,
    "wanted_before": 0,
    "wanted": 1,
    "inputs": {},
    "reason": "Up from 0 to 1 replica: it was asked.",
}


def why(*entities: dict[str, Any], decisions: list[dict[str, Any]] | None = None) -> Why:
    return Why("iris", {"served_entities": list(entities), "decisions": decisions or []})


def test_the_text_has_the_sentence_the_load_the_bounds_the_rules_and_the_changes() -> None:
    lines = repr(why(ENTITY, decisions=[CHANGE])).splitlines()
    assert lines[0] == "iris-1 (version 3): Up from 1 to 2 replicas: because <of> load."
    assert lines[1].strip() == (
        "Now: 1 of 2 replicas ready; mean load 7.6 slots over 60 s and 9.25 over 6 s; 8 busy, 3 waiting."
    )
    assert lines[2].strip() == (
        "Bounds: 0 to 4 replicas of 4 slots, to zero after 1800 s without a request; the host has room for 5."
    )
    assert "70% of the slots busy; windows 60 s and 6 s" in lines[3]
    assert lines[4] == "Last changes:"
    assert lines[5].endswith("Up from 0 to 1 replica: it was asked.")
    assert lines[5].strip()[:4] == "2023"


def test_the_card_escapes_what_it_shows_and_says_the_same() -> None:
    shown = why(ENTITY, decisions=[CHANGE])._repr_mimebundle_()
    assert "because &lt;of&gt; load." in shown["text/html"]
    assert "Up from 0 to 1 replica" in shown["text/html"]
    assert shown["text/plain"] == repr(why(ENTITY, decisions=[CHANGE]))


def test_an_endpoint_that_never_goes_to_zero_or_is_held_back_by_the_host_says_so() -> None:
    bounds = ENTITY["bounds"] | {"scale_to_zero_seconds": None, "room": None, "host_pressure": True}
    text = repr(why(ENTITY | {"bounds": bounds}))
    assert "never to zero; the host is contended." in text
    assert "No change has been recorded yet." in text


def test_changes_of_several_entities_name_whose_they_are() -> None:
    other = CHANGE | {"served_entity": "iris-2"}
    moments = list(why(ENTITY, decisions=[CHANGE, other]).changes())
    assert [reason.split(":")[0] for _, reason in moments] == ["iris-1", "iris-2"]


def test_where_nothing_is_known_yet_only_that_is_said() -> None:
    bare = {"served_entity": "m", "config_version": 1, "last": {"reason": "Nothing yet."}}
    assert repr(why(bare)).splitlines()[0] == "m (version 1): Nothing yet."
    assert "nothing is scaled" in repr(why())
    assert "nothing is scaled" in why()._repr_mimebundle_()["text/html"]
