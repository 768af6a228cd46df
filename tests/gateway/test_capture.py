import asyncio
import base64
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from jupyter_serving.gateway.capture import BODY_BYTES, RECORD_BYTES, Ring
from jupyter_serving.gateway.endpoint import Capture
from jupyter_serving.gateway.request import Request

from .replicas import HealthyReplica, ReplicaThatStreams, running
from .world import TOKEN, endpoint, entity, post, scenario, until, world_in

PATH = "/serving-endpoints/iris/captures"


def request(body: bytes) -> Request:
    asked = Request(0.0, trusted=True)
    asked.url, asked.body = b"/x?token=secret", body
    asked.noted = {b"content-type": b"application/json", b"authorization": b"Bearer secret"}
    return asked


def fill(ring: Ring, count: int, body: bytes = b"{}", answer: bytes = b"[]") -> None:
    for number in range(count):
        record = ring.sample(request(body), b"%d" % number, "m", 1.0)
        if record is not None:
            record.begun(200, [(b"content-type", b"a/b")])
            record.answered(answer)
            ring.add(record, 200, 0.5)


@given(st.integers(min_value=0, max_value=100), st.integers(min_value=0, max_value=300))
def test_exactly_the_wanted_share_is_kept(percent: int, count: int) -> None:
    ring = Ring(Capture(sample=percent / 100, max_requests=1000))
    fill(ring, count)
    assert len(ring.newest(1000)) == count * percent // 100


def test_the_newest_stay_within_the_number() -> None:
    ring = Ring(Capture(max_requests=3))
    fill(ring, 10)
    told = ring.to_wire(2)
    assert [record["id"] for record in told["captures"]] == ["8", "9"]
    assert (told["seen"], told["kept"]) == (10, 3)
    assert ring.to_wire(0)["captures"] == []


def test_the_newest_stay_within_the_bytes() -> None:
    ring = Ring(Capture(max_bytes=10 * (RECORD_BYTES + 1000), max_requests=1000))
    fill(ring, 50, b"x" * 500, b"y" * 500)
    assert len(ring.newest(100)) == 10
    ring.change(Capture(max_bytes=3 * (RECORD_BYTES + 1000)))
    assert [record.rid for record in ring.newest(100)] == [b"47", b"48", b"49"]


def test_a_long_body_is_cut_and_says_so() -> None:
    ring = Ring(Capture(max_bytes=64 * 2**20))
    fill(ring, 1, b"x" * (BODY_BYTES + 1), b"y" * BODY_BYTES)
    (record,) = ring.to_wire(1)["captures"]
    assert record["request"]["cut"] and record["request"]["size"] == BODY_BYTES + 1
    assert record["request"]["body"] == "x" * BODY_BYTES
    assert not record["response"]["cut"]


def test_text_is_told_as_text_also_where_a_character_is_cut_in_two() -> None:
    ring = Ring(Capture(max_bytes=4 * 5))
    ring.change(Capture(max_bytes=2**20))
    wide = "é".encode()
    fill(ring, 1, wide * (BODY_BYTES // 2 + 1), b"\xff\xfe")
    (record,) = ring.to_wire(1)["captures"]
    assert record["request"]["encoding"] == "utf-8" and set(record["request"]["body"]) == {"é"}
    assert record["response"]["encoding"] == "base64"
    assert base64.b64decode(record["response"]["body"]) == b"\xff\xfe"


def test_no_credential_is_kept() -> None:
    ring = Ring(Capture())
    fill(ring, 1)
    assert "secret" not in str(ring.to_wire(1))


def test_what_the_client_was_told_counts_not_what_came_later() -> None:
    ring = Ring(Capture())
    record = ring.sample(request(b"1"), b"id", "m", 1.0)
    assert record is not None
    record.told(504, b"too late")
    record.begun(200, [])
    record.answered(b"late answer")
    ring.add(record, 200, 1.0)
    (told,) = ring.to_wire(1)["captures"]
    assert (told["status"], told["response"]["body"]) == (504, "too late")


@scenario
async def test_requests_and_answers_are_captured_where_the_endpoint_asks(tmp_path: Path) -> None:
    async with world_in(tmp_path / "d") as world:
        await world.start()
        controller, replica = await world.controller(), HealthyReplica(world.places.runtime)
        async with running(replica):
            held = endpoint(entity("m", replica.wire()))
            await controller.sync(held)
            client = world.unix()
            off = await client.get(PATH)
            assert off.status_code == 400 and "not captured" in off.json()["message"]
            await controller.put(held | {"capture": {"sample": 0.5, "max_requests": 2}})
            for number in range(8):
                await post(client, json=number, headers={"x-request-id": f"id-{number}"})
            told = (await client.get(f"{PATH}?limit=5")).json()
            assert [c["id"] for c in told["captures"]] == ["id-5", "id-7"] and told["seen"] == 8
            newest = told["captures"][-1]
            assert (newest["status"], newest["served_entity"]) == (200, "m")
            assert newest["request"]["body"] == "7"
            assert newest["response"]["body"] == '{"predictions": "r1"}'
            assert newest["seconds"] > 0 and newest["at"] > 1e9
            assert (await client.get(f"{PATH}?limit=x")).status_code == 400
            over_tcp = await (await world.tcp(TOKEN)).get(PATH)
            assert over_tcp.status_code == 403
            await controller.put(held)
            assert (await client.get(PATH)).status_code == 400


@scenario
async def test_a_refused_request_is_captured_with_its_refusal(tmp_path: Path) -> None:
    async with world_in(tmp_path / "d") as world:
        await world.start()
        controller = await world.controller()
        await controller.sync(endpoint(entity("m"), deadline=0.2, capture={}))
        client = world.unix()
        assert (await post(client)).status_code == 504
        (told,) = (await client.get(PATH)).json()["captures"]
        assert told["status"] == 504 and "DEADLINE_EXCEEDED" in told["response"]["body"]


@scenario
async def test_a_streamed_answer_is_captured_whole(tmp_path: Path) -> None:
    async with world_in(tmp_path / "d") as world:
        await world.start()
        controller, replica = await world.controller(), ReplicaThatStreams(world.places.runtime)
        async with running(replica):
            await controller.sync(endpoint(entity("m", replica.wire()), capture={"sample": 1}))
            asked = asyncio.create_task(post(world.unix()))
            await until(lambda: replica.held == 1)
            replica.may_end.set()
            assert (await asked).text == "first last"
            (told,) = (await world.unix().get(PATH)).json()["captures"]
            assert told["response"]["body"] == "first last"
            assert told["response"]["content_type"] == "text/event-stream"
