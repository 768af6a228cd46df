from __future__ import annotations

import json
from dataclasses import fields

import pytest
from services import Services

from jupyter_serving import cli, quickstart

KEYS = [
    "endpoint",
    "model",
    "version",
    "deploy_seconds",
    "warm_p50_ms",
    "warm_p99_ms",
    "cold_start_seconds",
    "cold_start_phases",
    "predictions_equal",
]


def test_the_whole_tour_prints_its_figures_and_cleans_up(
    services: Services, capfd: pytest.CaptureFixture[str]
) -> None:
    status = cli.main(["quickstart", "--json"])
    told = capfd.readouterr()
    assert status == 0, told.err
    result = json.loads(told.out)
    assert list(result) == KEYS
    assert result["predictions_equal"] is True
    assert 0 < result["warm_p50_ms"] <= result["warm_p99_ms"]
    assert {"spawn", "imports", "model_load"} <= set(result["cold_start_phases"])
    assert sum(result["cold_start_phases"].values()) <= result["cold_start_seconds"] * 1.5
    assert result["endpoint"] not in {e.name for e in services.client.list()}
    for words in ("training", "logging it", "querying", "waiting for scale to zero", "waking"):
        assert words in told.err


def test_the_keys_are_the_contract() -> None:
    assert [field.name for field in fields(quickstart.Result)] == KEYS


@pytest.mark.parametrize("keep", [True, False])
def test_the_report_has_a_table_and_three_things_to_try(keep: bool) -> None:
    result = quickstart.Result("quickstart-1", "m", "1", 1.0, 2.0, 3.0, 0.4, {"spawn": 0.1}, keep)
    text = quickstart.report(result, keep)
    assert "p50 2.00 ms, p99 3.00 ms" in text
    assert "spawn 0.100" in text
    assert ("DIFFER" in text) is not keep
    assert ("jupyter serving delete quickstart-1" in text) is keep
    assert [line.split()[0] for line in text.splitlines()[-3:]] == ["1.", "2.", "3."]
