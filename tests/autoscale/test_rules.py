"""Rules of an endpoint: its own, else the settings."""

from __future__ import annotations

import math

import pytest

from jupyter_serving.api import Autoscaling
from jupyter_serving.autoscale.rules import LIMITS, Rules, rules_of
from jupyter_serving.errors import InvalidParameter
from jupyter_serving.settings import Settings


def test_defaults_of_the_settings_and_of_the_rules_are_the_same() -> None:
    assert rules_of(None, Settings()) == Rules()


def test_own_rules_go_before_the_settings() -> None:
    settings = Settings()
    settings.target_utilisation, settings.scale_down_window_seconds = 0.5, 60.0
    rules = rules_of(Autoscaling(target_utilisation=0.9), settings)
    assert (rules.target_utilisation, rules.scale_down_window_seconds) == (0.9, 60.0)


def test_a_short_stable_window_brings_a_short_panic_window() -> None:
    assert rules_of(Autoscaling(stable_window_seconds=20), Rules()).panic_window_seconds == 2.0
    assert rules_of(Autoscaling(stable_window_seconds=600), Rules()).panic_window_seconds == 6.0
    wide = rules_of(Autoscaling(panic_window_seconds=90), Rules())
    assert wide.panic_window_seconds == 60.0, "stored rules stay good whatever the settings become"


@pytest.mark.parametrize("name", LIMITS)
@pytest.mark.parametrize("value", [-1.0, math.nan, math.inf])
def test_a_rule_out_of_its_range_is_refused_by_name(name: str, value: float) -> None:
    with pytest.raises(InvalidParameter, match=name):
        rules_of(Autoscaling(**{name: value}), Rules())


def test_a_panic_window_longer_than_the_stable_one_is_refused() -> None:
    own = Autoscaling(stable_window_seconds=10, panic_window_seconds=11)
    with pytest.raises(InvalidParameter, match=r"must not exceed stable_window_seconds \(10\)"):
        rules_of(own, Rules())
