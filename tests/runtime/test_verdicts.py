from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression

from jupyter_serving.runtime.batching import Batching, TooSlow, Unfit
from jupyter_serving.runtime.scoring import Scorer
from jupyter_serving.runtime.verdicts import TRIES, Verdicts

from .harness import eventually
from .inline import ArrayPath, PathScorer
from .test_batching import DECLARED, Metadata, double, flood, save
from .test_fastpath import FEATURES, TARGET, estimator, pyfunc

ASKED = {"mode": "auto", "max_size": 32, "nan": "null"}
FAST = {"kind": "frame", "reason": "answers are equal", "named": {}, "formats": ["inputs"]}
BATCH = {"max_size": 16, "reason": "quick", "timed": False}


def kept(path: Path, **asked: Any) -> Verdicts:
    return Verdicts(str(path), {**ASKED, **asked})


def test_what_is_written_is_read_by_its_owner_alone(tmp_path: Path):
    path = tmp_path / "v.json"
    kept(path).write(FAST, BATCH)
    found = kept(path).read()
    assert found is not None
    assert (found["fast_path"], found["batch"]) == (FAST, BATCH)
    assert path.stat().st_mode & 0o777 == 0o600
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("asked", [{"mode": "on"}, {"max_size": 8}, {"nan": "bare"}])
def test_what_was_found_when_something_else_was_asked_is_not_used(tmp_path: Path, asked: Any):
    kept(tmp_path / "v.json").write(FAST, BATCH)
    assert kept(tmp_path / "v.json", **asked).read() is None


def test_the_spawn_spec_says_what_is_asked(tmp_path: Path):
    spec = {"verdicts": str(tmp_path / "v.json"), "nan": "null", "batching": {"mode": "auto"}}
    Verdicts.of(spec).write(FAST, BATCH)
    assert Verdicts.of(dict(spec)).read() is not None
    assert Verdicts.of({**spec, "batching": {"mode": "off"}}).read() is None
    assert Verdicts.of({**spec, "verdicts": None}).read() is None


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"{",
        b"[]",
        b"\xff\xfe",
        b'{"format": 1}',
        b'{"format": 2, "asked": {}, "fast_path": {}, "batch": {}, "tries": 1}',
        json.dumps(
            {"format": 1, "asked": ASKED, "fast_path": FAST, "batch": 3, "tries": 1}
        ).encode(),
        json.dumps(
            {"format": 1, "asked": ASKED, "fast_path": FAST, "batch": BATCH, "tries": "1"}
        ).encode(),
    ],
)
def test_a_damaged_file_is_as_none_and_is_replaced(tmp_path: Path, text: bytes):
    path = tmp_path / "v.json"
    path.write_bytes(text)
    assert kept(path).read() is None
    kept(path).write(FAST, BATCH)
    assert kept(path).read() is not None


def test_what_cannot_be_written_is_logged_and_harms_nothing(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
):
    kept(tmp_path / "missing" / "v.json").write(FAST, BATCH)
    assert "what the checks found is not kept: FileNotFoundError" in capfd.readouterr().err


def test_checks_that_were_not_completed_are_not_kept(tmp_path: Path):
    kept(tmp_path / "v.json").write(None, BATCH)
    kept(tmp_path / "v.json").write(FAST, None)
    assert not (tmp_path / "v.json").exists()


def test_what_hung_on_time_is_believed_after_several_starts(tmp_path: Path):
    for _ in range(TRIES):
        own = kept(tmp_path / "v.json")
        assert own.read() is None
        own.write(FAST, {**BATCH, "timed": True})
    assert kept(tmp_path / "v.json").read() is not None


def test_a_check_elsewhere_does_not_undo_what_requests_have_shown(tmp_path: Path):
    path = tmp_path / "v.json"
    serving, starting = kept(path), kept(path)
    serving.write(FAST, {**BATCH, "timed": True})
    assert starting.read() is None
    serving.stop_batching("a lie")
    starting.write(FAST, BATCH)
    found = kept(path).read()
    assert found is not None
    assert found["batch"]["max_size"] == 1
    assert found["batch"]["reason"] == "in service: a lie"


# Batching alone


def test_the_memo_of_a_check_makes_the_same_batching():
    scorer = PathScorer(double)
    scorer.fast = ArrayPath(double)
    checked = Batching.check(scorer, {}, Metadata())
    assert checked.memo is not None
    again = Batching.recall(scorer, json.loads(json.dumps(checked.memo)))
    assert again.max_size == checked.max_size > 1
    assert again.reason == f"{checked.reason}; checked at an earlier start"


def test_a_memo_that_does_not_fit_is_refused():
    scorer = PathScorer(double)
    scorer.fast = None
    with pytest.raises(Unfit):
        Batching.recall(scorer, BATCH)
    with pytest.raises(KeyError):
        Batching.recall(scorer, {})


def test_only_completed_checks_have_a_memo():
    class Broken(ArrayPath):
        def parse(self, body: bytes) -> Any:
            raise RuntimeError("no parser")

    scorer = PathScorer(double)
    scorer.fast = Broken(double)
    assert Batching.check(scorer, {}, Metadata()).memo is None
    scorer.fast = ArrayPath(double, row_wise=False)
    refused = Batching.check(scorer, {}, Metadata()).memo
    assert refused is not None
    assert refused["timed"] is False
    assert issubclass(TooSlow, Unfit)


# Real replicas


def facts(replica: Any) -> Any:
    found = replica.ready().json
    return found["fast_path"], found["batch"]


def test_a_second_start_has_the_same_without_checking(spawn: Any, short: Path, models: Path):
    path = short / "v.json"
    example = (models / "iris" / "serving_input_example.json").read_bytes()
    first = spawn("iris", verdicts=str(path))
    (fast, batch), answer = facts(first), first.invoke(example).json
    assert "fast path: array (answers are equal)" in first.log()
    # whatever the machine was busy with, it is believed
    record = json.loads(path.read_text())
    path.write_text(json.dumps({**record, "tries": TRIES}))
    second = spawn("iris", verdicts=str(path))
    assert "fast path: array (remembered)" in second.log()
    again, batched = facts(second)
    assert again == {"kind": "array", "reason": f"{fast['reason']}; checked at an earlier start"}
    assert batched["max_size"] == batch["max_size"]
    assert "checked at an earlier start" in batched["reason"]
    assert second.invoke(example).json == answer


def test_what_does_not_hold_any_more_is_checked_anew(spawn: Any, short: Path):
    path = short / "v.json"
    spawn("iris", verdicts=str(path))
    record = json.loads(path.read_text())
    for harm in ({"kind": "warp"}, {"kind": "array", "formats": []}, {"kind": "frame"}, {}):
        fast = {"reason": "made up", "named": {}, **harm}
        path.write_text(json.dumps({**record, "fast_path": fast, "tries": TRIES}))
        replica = spawn("iris", verdicts=str(path))
        assert "worker: what an earlier start found does not hold: " in replica.log()
        assert "fast path: array (answers are equal)" in replica.log()
        assert json.loads(path.read_text())["fast_path"] == record["fast_path"]


def test_batching_that_was_switched_off_in_service_stays_off(spawn: Any, short: Path):
    lie = "if len(values) > 1 and (values > 1000).any(): values = values + 1"
    model, path = save(short, "sly", lie, DECLARED), short / "v.json"
    replica = spawn(model, verdicts=str(path))
    assert replica.ready().json["batch"]["max_size"] > 1

    def caught() -> bool:
        flood(replica, 8, 2000.0)
        return "batching: off (a request had another answer" in replica.log()

    eventually(caught, "the lie is noticed")
    again = spawn(model, verdicts=str(path))
    assert again.ready().json["batch"]["max_size"] == 1
    assert "worker: batching: off (in service: a request had another answer" in again.log()
    assert "fast path: frame (remembered)" in again.log()


# Fast paths alone

LEARNT = {
    "array": lambda: (estimator(LogisticRegression().fit(FEATURES, TARGET)), FEATURES.iloc[:3]),
    "frame": lambda: (pyfunc(lambda data: (data["x"] * 2).to_numpy())[0], {"x": [1.5, 2.0]}),
    "parameters": lambda: (
        pyfunc(lambda data: (data["x"] * 3).to_numpy(), params={"a": 1})[0],
        {"x": [1.5, 2.0]},
    ),
    "optional columns": lambda: (
        pyfunc(lambda data: [1] * len(data), (("t", "datetime"),))[0],
        {"t": ["2020-01-01"]},
    ),
}


@pytest.mark.parametrize("make", LEARNT.values(), ids=LEARNT)
def test_a_remembered_fast_path_is_the_learned_one(make: Any):
    model, example = make()
    rows = pd.DataFrame(example).to_dict(orient="split", index=False)
    request = json.dumps({"dataframe_split": rows}).encode()
    first, second = Scorer(model), Scorer(model)
    first.learn(request)
    second.recall(json.loads(json.dumps(first.memo)))
    ours, theirs = second.describe()["fast_path"], first.describe()["fast_path"]
    assert ours["kind"] == theirs["kind"]
    assert ours["reason"] == f"{theirs['reason']}; checked at an earlier start"
    assert second.answer(request, None) == first.answer(request, None)
    if first.fast is not None:
        assert second.fast is not None
        assert second.fast.reader.formats == first.fast.reader.formats
        assert second.fast.row_wise is first.fast.row_wise
        assert second.fast.parse(request) is not None


def test_a_format_that_was_left_to_mlflow_stays_so():
    model, example = LEARNT["array"]()
    scorer = Scorer(model)
    scorer.learn(None)
    assert scorer.memo is not None
    scorer.recall({**scorer.memo, "formats": ["dataframe_split"]})
    assert scorer.fast is not None
    records = json.dumps({"dataframe_records": example.to_dict(orient="records")}).encode()
    assert scorer.fast.parse(records) is None
    assert scorer.answer(records, None).status == 200
