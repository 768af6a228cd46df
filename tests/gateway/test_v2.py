"""The Open Inference Protocol's paths: predictions through the same queue, everything else from the table."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from .replicas import HealthyReplica, running
from .world import KEY, TOKEN, World, endpoint, entity, scenario, until, world_in

SCHEMA = {
    "platform": "mlflow_sklearn",
    "inputs": [{"name": "a", "datatype": "FP64", "shape": [-1], "parameters": {"x": 1}}],
    "outputs": [{"name": "output-1", "datatype": "INT64", "shape": [-1]}],
}
ROOT = "/serving-endpoints/iris/v2"


async def started(world: World, *replicas: HealthyReplica) -> Any:
    """Endpoint ``iris`` with two served entities: ``a`` is version 3 and gets all, ``b`` is version 7 and gets none."""
    await world.start()
    controller = await world.controller()
    both = endpoint(
        entity("a", *(r.wire() for r in replicas[:1]), model="3", v2=SCHEMA),
        entity("b", *(r.wire() for r in replicas[1:]), model="7"),
        routes=[{"entity": "a", "percent": 100}, {"entity": "b", "percent": 0}],
    )
    for served in both["entities"]:
        served["version"] = served.pop("model")
    await controller.sync(both)
    return controller


PREDICTIONS = [
    ("/v2/models/iris/infer", "a", "3"),
    ("/v2/models/iris/versions/7/infer", "b", "7"),
    (f"{ROOT}/models/iris/infer", "a", "3"),
    (f"{ROOT}/models/b/infer", "b", "7"),
    (f"{ROOT}/models/a/versions/3/infer", "a", "3"),
    (f"{ROOT}/models/iris/versions/3/infer/", "a", "3"),
]


@scenario
async def test_a_prediction_goes_to_the_model_that_is_named(tmp_path: Path) -> None:
    more = {
        "x-serving-model": "forged",
        "x-serving-model-version": "9",
        "x-serving-anything": "1",
        "inference-header-content-length": "12",
    }
    async with world_in(tmp_path / "d") as world:
        a, b = (HealthyReplica(world.places.runtime, name) for name in ("r1", "r2"))
        await started(world, a, b)
        async with running(a, b):
            for path, served, version in PREDICTIONS:
                answer = await world.unix().post(path, json={"inputs": []}, headers=more)
                assert (answer.status_code, answer.headers["served-model-name"]) == (200, served)
                head = (a.heads if served == "a" else b.heads)[-1]
                assert head[":line"] == "POST /v2/infer HTTP/1.1"
                model = path.split("/models/")[1].split("/")[0]
                told = (head["x-serving-model"], head["x-serving-model-version"])
                assert told == (model, version), path
                assert "x-serving-anything" not in head
                assert head["inference-header-content-length"] == "12"


ERRORS = [
    ("/v2/models/nobody/infer", 404, "'nobody'"),
    ("/v2/models/iris/versions/4/infer", 404, "3, 7"),
    (f"{ROOT}/models/a/versions/7/infer", 404, "'7'"),
    (f"{ROOT}/models/c/infer", 404, "'c'"),
    (f"{ROOT}/models/iris/versions//infer", 404, "''"),
    ("/v2/models/iris/explain", 404, "Nothing is at"),
    ("/v2/repository/models/iris/load", 404, "Nothing is at"),
    ("/v2", 405, "Use GET, HEAD"),
    (f"{ROOT}/models/iris/ready", 405, "Use GET, HEAD"),
]


@scenario
async def test_errors_have_the_protocols_key_and_ours(tmp_path: Path) -> None:
    async with world_in(tmp_path / "d") as world:
        await started(world)
        for path, status, words in ERRORS:
            answer = await world.unix().post(path, json={})
            body = answer.json()
            assert answer.status_code == status, path
            assert set(body) == {"error", "error_code", "message"}
            assert words in body["error"] == body["message"]


@scenario
async def test_a_prediction_waits_and_is_bounded_like_any_other(tmp_path: Path) -> None:
    async with world_in(tmp_path / "d") as world:
        await world.start()
        controller = await world.controller()
        await controller.sync(endpoint(entity("m"), deadline=0.3, max_body_bytes=10))
        late = await world.unix().post("/v2/models/iris/infer", json=1)
        assert late.status_code == 504 and late.json()["error"]
        assert (await controller.heard("wake"))["key"] == KEY
        large = await world.unix().post("/v2/models/iris/infer", json="x" * 20)
        assert large.status_code == 400 and "10 bytes" in large.json()["error"]


@scenario
async def test_a_question_tells_the_schema_and_readiness_and_wakes_nothing(tmp_path: Path) -> None:
    async with world_in(tmp_path / "d") as world:
        replica = HealthyReplica(world.places.runtime)
        controller = await started(world, replica)
        client = world.unix()

        async def told(path: str) -> Any:
            answer = await client.get(path)
            assert answer.status_code == 200, answer.text
            return answer.json()

        for root in ("/v2", ROOT):
            assert (await told(root))["name"] == "jupyter-serving"
            assert await told(f"{root}/health/live") == {"live": True}
            assert await told(f"{root}/health/ready") == {"ready": True}
        assert await told("/v2/models") == {"models": ["iris"]}
        assert await told(f"{ROOT}/models") == {"models": ["iris", "a", "b"]}
        assert await told("/v2/models/iris") == {"name": "iris", "versions": ["3"]} | SCHEMA
        seventh = await told("/v2/models/iris/versions/7")
        assert (seventh["versions"], seventh["inputs"]) == (["7"], [])
        ready = {"name": "iris", "ready": True}
        assert await told("/v2/models/iris/ready") == ready
        assert await told(f"{ROOT}/models/iris/versions/3/ready") == ready
        cold = await client.get(f"{ROOT}/models/b/ready")
        assert cold.status_code == 503
        assert (cold.json()["name"], cold.json()["ready"]) == ("b", False)
        assert "No replica" in cold.json()["error"]
        head = await client.head("/v2/models/iris/ready")
        assert (head.status_code, head.content) == (200, b"")
        assert replica.connections == 0 and controller.all("wake") == []


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"state": "STOPPED"}, "stopped"),
        ({"entities": [entity("a", unavailable="no memory")]}, "no memory"),
    ],
)
@scenario
async def test_what_cannot_answer_is_not_ready_and_says_why(
    tmp_path: Path, change: dict[str, Any], words: str
) -> None:
    async with world_in(tmp_path / "d") as world:
        await world.start()
        controller = await world.controller()
        await controller.sync(endpoint(entity("a")) | change)
        answer = await world.unix().get("/v2/models/iris/ready")
        assert answer.status_code == 503 and words in answer.json()["error"]


@scenario
async def test_on_tcp_models_need_a_token_and_liveness_does_not(tmp_path: Path) -> None:
    async with world_in(tmp_path / "d") as world:
        await world.start()
        controller = await world.controller()
        await controller.sync(endpoint(entity("m")), endpoint(name="other", tokens=["ab" * 32]))
        stranger, known = await world.tcp(None), await world.tcp(TOKEN)
        for path in ("/v2", "/v2/health/live", "/v2/health/ready"):
            assert (await stranger.get(path)).status_code == 200
        for path in (
            "/v2/models",
            "/v2/models/iris",
            "/v2/models/iris/ready",
            f"{ROOT}/health/live",
        ):
            refused = await stranger.get(path)
            assert refused.status_code == 401 and refused.json()["error"]
        assert (await known.get("/v2/models")).json() == {"models": ["iris"]}
        assert (await known.get("/v2/models/iris")).status_code == 200
        assert (await known.get("/v2/models/other")).status_code == 403
        refusals = await controller.heard("stats", lambda m: m.get("refused"))
        await until(
            lambda: (
                sum(
                    m.get("refused", {}).get("other", {}).get("token", 0)
                    for m in controller.all("stats")
                )
                == 1
            ),
            "the refused token in the stats",
        )
        assert set(refusals["refused"]) <= {"iris", "other"}


@scenario
async def test_a_config_switch_asks_the_version_anew(tmp_path: Path) -> None:
    async with world_in(tmp_path / "d") as world:
        await world.start()
        controller = await world.controller()
        first = endpoint(entity("m"))
        first["entities"][0]["version"] = "1"
        await controller.sync(first)
        path = "/v2/models/iris/versions/1/infer"
        held = asyncio.create_task(world.unix().post(path, json=1))
        await controller.heard("wake")
        second = endpoint(entity("m", version=2), version=2)
        second["entities"][0]["version"] = "2"
        await controller.put(second)
        assert (await held).status_code == 404
