"""Plans, subjects, verdicts: what is decided before and after the measuring."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from benchmarks import gateway_cost, pages, serving, subjects, verdict
from benchmarks.campaign import Findings
from benchmarks.gateway_cost import Cost, Pair, Way
from benchmarks.peers import RECIPES, environments
from benchmarks.peers.base import Launch
from benchmarks.rounds import Cell
from benchmarks.slots import Slots
from benchmarks.trial import Footprint

MIB = 1 << 20
CELL = Cell("rf", 1, 1, 0, "ours", 500.0, 2.0, 4.0, 1.0, 300 * MIB, 0.0, 0, 12.0)
WAY = Way(p50=1.0, p95=2.0, rate=200.0, tree=500.0, gateway=0.0, faults=0)


def findings() -> Findings:
    told = Findings(titles={"ours": "Ours", "mlflow": "MLflow"}, starts={"rf": {"ours": 2.5}})
    for c, rate in ((1, 500.0), (32, 900.0)):
        told.cells += [
            replace(CELL, connections=c, rate=rate),
            replace(CELL, connections=c, rate=100.0, peer="mlflow", p99=3.0, memory=400 * MIB),
        ]
    return told


def test_a_quick_plan_needs_no_environments() -> None:
    plan = serving.plan_of(serving.options(["--quick"]))
    assert plan.home is not None
    assert plan.peers == ("ours", "mlflow", "fastapi", "estimator")
    assert all(RECIPES[p].at_home for p in plan.peers if p != "ours")
    assert plan.rounds == {1: 1}
    assert plan.connections == (1, 32)


def test_a_full_plan_has_every_peer_and_model() -> None:
    plan = serving.plan_of(serving.options([]))
    assert plan.peers == ("ours", *RECIPES)
    assert plan.models == ("rf", "lr", "dbl")
    assert plan.rounds == {1: 5, 100: 2}
    assert plan.connections == (1, 8, 32)


def test_options_narrow_the_plan() -> None:
    given = ["--peers", "mlflow,fastapi", "--models", "lr", "--rounds", "2", "--connections", "4"]
    plan = serving.plan_of(serving.options(given))
    assert plan.peers == ("ours", "mlflow", "fastapi")
    assert plan.models == ("lr",)
    assert plan.rounds == {1: 2, 100: 1}
    assert plan.connections == (4,)


@pytest.mark.parametrize("given", [["--peers", "nobody"], ["--models", "nothing"]])
def test_a_name_that_does_not_exist_is_refused(given: list[str]) -> None:
    with pytest.raises(SystemExit, match="unknown: 'no"):
        serving.plan_of(serving.options(given))


def test_bars_of_what_was_measured() -> None:
    bars = {bar.name: bar for bar in verdict.bars(findings(), ["rf"], [1, 32])}
    one = bars["rf, 1 row, c=1: RPS over mlflow"]
    assert (one.value, one.bound, one.holds) == (5.0, 2.5, True)
    many = bars["rf, 1 row, c=32: RPS over mlflow"]
    assert (many.value, many.bound, many.holds) == (9.0, 20.0, False)
    behind = [bar for name, bar in bars.items() if "ahead" in name]
    assert [bar.value for bar in behind] == [2]  # p99 at both
    assert not any("mlflow-tuned" in name or "estimator" in name for name in bars)


def test_wrong_answers_and_missing_peers_are_bars() -> None:
    told = findings()
    told.cells.append(replace(CELL, faults=3))
    told.missing["bentoml"] = "no network"
    bars = {bar.name: bar.holds for bar in verdict.bars(told, ["rf"], [1, 32])}
    assert not bars["wrong or missing answers"]
    assert not bars["peers that could not be measured"]


def test_the_cost_of_the_gateway_is_a_median_of_differences() -> None:
    pairs = [
        Pair(paced, WAY, replace(WAY, p95=2.0 + n, tree=600.0, gateway=50.0 + n))
        for paced in (True, False)
        for n in (0.5, 1.0, 9.0)
    ]
    cost = Cost(tuple(pairs), pss=20.0, rss=30.0)
    assert cost.added_p95() == 1.0
    assert cost.own_cpu(False) == 51.0
    assert cost.added_cpu(True) == 100.0
    assert [bar.holds for bar in cost.bars()] == [True, True, False, True]


def test_slots_are_bound_by_mlflow_too() -> None:
    one = Footprint({"controller": 90 * MIB, "gateway": 20 * MIB, "zygote and replica": 280 * MIB})
    four = Footprint({"gateway": 20 * MIB, "zygote and replica": 340 * MIB})
    endpoint, each = Slots({1: one, 4: four}, mlflow=290.0).bars()
    assert (endpoint.value, endpoint.bound, endpoint.holds) == (300.0, 290.0, False)
    assert (each.value, each.holds) == (20.0, True)
    assert len(Slots({1: one}, mlflow=float("nan")).bars()) == 1


def test_the_page_shows_every_part() -> None:
    told = findings()
    told.cost = Cost((Pair(True, WAY, WAY), Pair(False, WAY, WAY)), 20.0, 30.0)
    told.slots = Slots({1: Footprint({"gateway": 20 * MIB})}, 290.0)
    told.missing["bentoml"] = "no network"
    plan = serving.plan_of(serving.options(["--models", "rf"]))
    text = pages.page(told, plan)
    assert "| Ours | 500 | 5.00 (5.00-5.00) | 2.00 | 4.00 | 1.00 |" in text
    assert "c=1: mlflow p99 1.33x" in text
    assert "- bentoml: no network" in text
    assert pages.details(told, plan)["behind"] == {
        "rf, 1 rows": ["c=1: mlflow p99 1.33x", "c=32: mlflow p99 1.33x"]
    }


def test_predictions_of_every_shape_are_compared_as_one() -> None:
    frame = pd.DataFrame({"a": [1.0, 2.0], "b": [3.0, 4.0]})
    rows = [[1.0, 3.0], [2.0, 4.0]]
    assert subjects.plain(frame) == rows
    assert subjects.plain(frame.to_dict(orient="records")) == rows
    assert subjects.plain(frame.to_numpy()) == rows
    assert subjects.plain(pd.Series([1, 2])) == [1, 2]


def test_subjects_know_the_models_own_answers(tmp_path: Path) -> None:
    (subject,) = subjects.make(["lr"], tmp_path)
    assert {n: len(samples) for n, samples in subject.samples.items()} == subjects.VARIANTS
    for n, samples in subject.samples.items():
        assert all(len(s.rows) == len(s.expected) == n for s in samples)
    # An answer meant for another request is seen only where the answers differ.
    assert len({tuple(s.expected) for s in subject.samples[1]}) > 1


def test_a_replica_is_asked_without_token_on_its_own_path() -> None:
    request = (
        b"POST /serving-endpoints/x/invocations HTTP/1.1\r\nHost: h\r\n"
        b"Authorization: Bearer t\r\nContent-Length: 2\r\n\r\n{}"
    )
    assert gateway_cost._to_replica(request) == (
        b"POST /invocations HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\n{}"
    )


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_has_pinned_packages_and_a_command(name: str, tmp_path: Path) -> None:
    recipe = RECIPES[name]
    assert all("==" in wanted for wanted in environments.requirements(recipe))
    (tmp_path / "model").mkdir()
    folder = tmp_path / "folder"
    folder.mkdir()
    subject = subjects.Subject("rf", "", tmp_path / "model", ["a"], {})
    python = tmp_path / "bin" / "python"
    command = recipe.command(Launch(python, subject, folder, 1234, (1235, 1236)))
    assert command[0].startswith(str(tmp_path / "bin"))
    told = " ".join(command) + "".join(p.read_text() for p in folder.glob("*.json"))
    assert "1234" in told


def test_environments_can_be_kept_elsewhere(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv(environments.CACHE_VARIABLE, str(tmp_path))
    assert environments.cache() == tmp_path
    monkeypatch.delenv(environments.CACHE_VARIABLE)
    monkeypatch.setenv("XDG_CACHE_HOME", "/somewhere")
    assert environments.cache() == Path("/somewhere/jupyter-serving/benchmarks")
