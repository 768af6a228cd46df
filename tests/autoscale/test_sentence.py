"""A decision in words: one sentence, true to the numbers."""

from __future__ import annotations

import math
import re
from dataclasses import replace

import pytest
from hypothesis import given

from jupyter_serving.autoscale.policy import Cause, Inputs, decide
from jupyter_serving.autoscale.sentence import explain

from .strategies import inputs
from .test_policy import BASE


@given(inputs())
def test_every_decision_is_one_sentence_that_tells_the_change(i: Inputs) -> None:
    decision = decide(i)
    text = explain(i, decision)
    assert text.endswith(".") and ". " not in text and "\n" not in text
    assert not re.search(r"\b(inf|nan|None)\b|e[+-]\d|\.0\b", text), text
    change = text.partition(":")[0]
    counts = [int(word) for word in re.findall(r"\d+", change)]
    if decision.wanted > i.current:
        assert change.startswith("Up") and counts == [i.current, decision.wanted]
    elif decision.wanted < i.current:
        assert change.startswith("Down") and counts == [i.current, decision.wanted]
    elif i.current:
        assert change.endswith("kept") and counts == [decision.wanted]
    else:
        assert change == "No replica is wanted"


@given(inputs())
def test_what_the_load_asks_for_follows_from_the_figures_in_the_sentence(i: Inputs) -> None:
    decision = decide(i)
    text = explain(i, decision)
    told = re.search(r"was ([\d.]+) slots?, and one replica is to carry ([\d.]+)", text)
    if told and decision.cause in (Cause.LOAD, Cause.BURST, Cause.FITS):
        mean, share = map(float, told.groups())
        # Both are rounded to three digits.
        assert mean / share == pytest.approx(decision.wanted, abs=1 + decision.wanted * 0.02)


LOADED = replace(BASE, stable=25.0, panic=25.0, current=2.0, ready=2.0)


@pytest.mark.parametrize(
    ("given_inputs", "cause", "text"),
    [
        (
            replace(BASE, held=17.0, ready=0.0, current=0.0),
            Cause.HELD,
            "Up from 0 to 5 replicas: requests for 17 slots are held while no replica is ready, and one replica has "
            "4 slots.",
        ),
        (
            replace(BASE, busy=4.0, waiting=8.0),
            Cause.WAITING,
            "Up from 1 to 3 replicas: requests for 8 slots wait and for 4 slots run just now, and one replica has "
            "4 slots.",
        ),
        (
            replace(BASE, stable=7.6, panic=7.0, current=2.0, ready=2.0),
            Cause.LOAD,
            "Up from 2 to 3 replicas: the mean load of the last 60 s was 7.6 slots, and one replica is to carry 2.8 "
            "of its 4 slots (target 70%).",
        ),
        (
            replace(LOADED, current=9.0, ready=9.0),
            Cause.FITS,
            "9 replicas kept: that is what the load asks for (the mean load of the last 60 s was 25 slots, and one "
            "replica is to carry 2.8 of its 4 slots (target 70%)).",
        ),
        (
            replace(LOADED, max_replicas=3.0),
            Cause.MAXIMUM,
            "Up from 2 to 3 replicas: 3 is the most that is allowed, though the load asks for 9 (the mean load of the "
            "last 60 s was 25 slots, and one replica is to carry 2.8 of its 4 slots (target 70%)).",
        ),
        (
            replace(LOADED, room=4.0),
            Cause.ROOM,
            "Up from 2 to 4 replicas: the host has room for 4 (one is tried and what is ready stays), though the load "
            "asks for 9 (the mean load of the last 60 s was 25 slots, and one replica is to carry 2.8 of its 4 slots "
            "(target 70%)).",
        ),
        (
            replace(BASE, stable=1.0, panic=1.0, current=8.0, peak=5.0),
            Cause.LESS,
            "Down from 8 to 5 replicas: within the last 300 s the load asked for at most 5.",
        ),
        (
            replace(BASE, stable=1.0, panic=1.0, current=8.0, peak=8.0),
            Cause.PEAK,
            "8 replicas kept: within the last 300 s the load asked for 8, the load asks for 1 now.",
        ),
        (
            replace(BASE, idle=1800.0),
            Cause.IDLE,
            "Down from 1 to 0 replicas: no request for 1800 s, and after 1800 s without one the endpoint goes to zero.",
        ),
        (
            replace(BASE, idle=20.0),
            Cause.NOT_IDLE_YET,
            "1 replica kept: the last one goes after 1800 s without a request, and the last request was 20 s ago.",
        ),
        (
            replace(BASE, current=4.0, ready=4.0, age=12.0),
            Cause.RESTARTED,
            "4 replicas kept: the controller began to watch 12 s ago and gives nothing up for 60 s, the load asks for "
            "0 so far.",
        ),
        (
            replace(BASE, min_replicas=2.0, current=2.0, ready=2.0),
            Cause.MINIMUM,
            "2 replicas kept: at least 2 (the minimum, or what an update under way needs), the load asks for 0.",
        ),
        (
            replace(BASE, current=0.0, ready=0.0, idle=math.inf),
            Cause.AT_ZERO,
            "No replica is wanted: no request runs or waits, none has come yet.",
        ),
    ],
)
def test_sentences(given_inputs: Inputs, cause: Cause, text: str) -> None:
    decision = decide(given_inputs)
    assert decision.cause == cause
    assert explain(given_inputs, decision) == text
