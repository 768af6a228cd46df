"""The wire: bytes in, bytes out, against the real process."""

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from .replicas import SlowReplica
from .wire import PATH, request, served, wire_to
from .world import TOKEN, scenario, until


@scenario
async def test_a_head_that_never_ends_is_refused(tmp_path: Path) -> None:
    async with served(tmp_path) as (_, wire, _replica):
        await wire.say(f"POST {PATH} HTTP/1.1\r\na: ".encode())
        with contextlib.suppress(ConnectionError):
            for _ in range(100):
                await wire.say(b"b" * 4096)
        assert (await wire.error())[0] == 400


@scenario
async def test_a_connection_serves_request_after_request(tmp_path: Path) -> None:
    async with served(tmp_path) as (_, wire, replica):
        for _ in range(3):
            await wire.say(request())
            assert (await wire.answer())[0] == 200
        assert replica.begun == 3


@scenario
async def test_pipelined_requests_are_answered_in_order(tmp_path: Path) -> None:
    async with served(tmp_path) as (_, wire, replica):
        many = [request(str(n).encode()) for n in range(20)]
        await wire.say(b"".join(many) + request(path="/nowhere") + b"GARBAGE\r\n\r\n")
        codes = [(await wire.answer())[0] for _ in range(22)]
        assert codes == [200] * 20 + [404, 400]
        assert replica.order == list(range(20)) and replica.most_held == 1
        assert await wire.at_end()


@scenario
async def test_a_request_may_come_byte_by_byte(tmp_path: Path) -> None:
    async with served(tmp_path) as (_, wire, replica):
        for byte in request(b'{"a": 1}'):
            await wire.say(bytes([byte]))
        assert (await wire.answer())[0] == 200
        assert replica.order == [{"a": 1}]


@scenario
async def test_a_chunked_body_reaches_the_replica_whole(tmp_path: Path) -> None:
    async with served(tmp_path) as (_, wire, replica):
        head = f"POST {PATH} HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n"
        await wire.say(head.encode() + b"2\r\n[1\r\n3\r\n,2]\r\n0\r\ntrailer: x\r\n\r\n")
        assert (await wire.answer())[0] == 200
        assert replica.order == [[1, 2]]
        assert "transfer-encoding" not in replica.heads[0]


@scenario
async def test_a_client_that_expects_100_continue_gets_it(tmp_path: Path) -> None:
    async with served(tmp_path) as (_, wire, _replica):
        await wire.say(request(b"", "expect: 100-continue\r\n").replace(b"length: 0", b"length: 1"))
        assert await wire.reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        await wire.say(b"1")
        assert (await wire.answer())[0] == 200


@scenario
async def test_a_refused_upload_is_not_asked_for(tmp_path: Path) -> None:
    async with served(tmp_path, max_body_bytes=10) as (_, wire, _replica):
        await wire.say(
            request(b"", "expect: 100-continue\r\n").replace(b"length: 0", b"length: 11")
        )
        status, message = await wire.error()
        assert status == 400 and "11 bytes" in message and "10 bytes" in message
        assert await wire.at_end()


@scenario
async def test_a_small_body_over_the_limit_keeps_the_connection(tmp_path: Path) -> None:
    async with served(tmp_path, max_body_bytes=10) as (_, wire, _replica):
        await wire.say(request(b"x" * 11))
        assert (await wire.error())[0] == 400
        await wire.say(request(b"1"))
        assert (await wire.answer())[0] == 200


@pytest.mark.parametrize("chunked", [False, True])
@scenario
async def test_a_body_over_16_mb_gets_a_readable_400(tmp_path: Path, chunked: bool) -> None:
    async with served(tmp_path) as (world, _, replica):
        client = await world.tcp()
        whole = b"x" * (40 * 2**20)

        async def parts() -> AsyncIterator[bytes]:
            for start in range(0, len(whole), 2**16):
                yield whole[start : start + 2**16]

        answer = await client.post(PATH, content=parts() if chunked else whole)
        assert (answer.status_code, answer.json()["error_code"]) == (400, "BAD_REQUEST")
        assert "16777216 bytes (16 MB)" in answer.json()["message"]
        assert chunked or str(len(whole)) in answer.json()["message"]
        assert replica.begun == 0


@scenario
async def test_a_body_of_exactly_16_mb_is_served(tmp_path: Path) -> None:
    async with served(tmp_path) as (world, _, replica):
        answer = await (await world.tcp()).post(PATH, content=b" " * (16 * 2**20 - 1) + b"7")
        assert answer.status_code == 200
        assert replica.order == [7]


PATHS = [
    ("POST", "/serving-endpoints/a%2Fb/invocations", 404, "'a/b'"),
    ("POST", "/serving-endpoints/a/b/invocations", 404, "Nothing is at"),
    ("POST", "/serving-endpoints/%69ris/invocations", 200, ""),
    ("POST", "/serving-endpoints/iris/invocations/?a=b", 200, ""),
    ("POST", "http://host:1/serving-endpoints/iris/invocations", 200, ""),
    ("POST", "/serving-endpoints/iris/served-models/m/invocations", 200, ""),
    ("POST", "/serving-endpoints//invocations", 404, "''"),
    ("POST", "//serving-endpoints/iris/invocations", 404, "Nothing is at"),
    ("POST", "/serving-endpoints/%ff/invocations", 404, "no endpoint"),
    ("GET", "/serving-endpoints/iris/invocations", 405, "Use POST"),
    ("POST", "/health", 405, "Use GET"),
    ("GET", "/", 404, "Nothing is at"),
    ("DELETE", "/x", 404, "Nothing is at"),
]


@scenario
async def test_paths(tmp_path: Path) -> None:
    async with served(tmp_path) as (_, wire, _replica):
        for method, path, status, words in PATHS:
            await wire.say(request(method=method, path=path))
            got, headers, body = await wire.answer()
            assert got == status and words in body.decode(), (method, path, got, body)
            assert ("allow" in headers) == (status == 405)
            await wire.say(request())
            assert (await wire.answer())[0] == 200, "the connection stays"


@scenario
async def test_health_answers_get_and_head(tmp_path: Path) -> None:
    async with served(tmp_path) as (_, wire, _replica):
        await wire.say(b"GET /health HTTP/1.1\r\nhost: x\r\n\r\n")
        assert (await wire.answer())[::2] == (200, b'{"status":"ok"}')
        await wire.say(b"HEAD /health HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
        head = await wire.reader.read()
        assert head.startswith(b"HTTP/1.1 200") and head.endswith(b"\r\n\r\n")


@scenario
async def test_http_1_0_closes_after_its_answer(tmp_path: Path) -> None:
    async with served(tmp_path) as (_, wire, _replica):
        await wire.say(request().replace(b"HTTP/1.1", b"HTTP/1.0"))
        status, headers, _ = await wire.answer()
        assert (status, headers["connection"]) == (200, "close")
        assert await wire.at_end()


@scenario
async def test_a_wish_for_http_2_is_answered_in_http_1_1(tmp_path: Path) -> None:
    async with served(tmp_path) as (_, wire, _replica):
        more = "connection: upgrade, http2-settings\r\nupgrade: h2c\r\nhttp2-settings: AAM\r\n"
        await wire.say(request(b"1", more))
        status, headers, _ = await wire.answer()
        assert (status, headers["connection"]) == (200, "close")


@scenario
async def test_credentials_and_hop_by_hop_headers_stay_here(tmp_path: Path) -> None:
    async with served(tmp_path) as (_, wire, replica):
        more = {
            "authorization": f"Bearer {TOKEN}",
            "cookie": "username-8888=secret",
            "connection": "keep-alive, x-private",
            "x-private": "1",
            "te": "trailers",
            "x-serving-deadline": "1",
            "x-custom": "passes",
            "x-jupyter-serving-user": "ada",
        }
        await wire.say(request(b"1", "".join(f"{n}: {v}\r\n" for n, v in more.items())))
        assert (await wire.answer())[0] == 200
        head = replica.heads[0]
        assert head["x-custom"] == "passes" and head["x-jupyter-serving-user"] == "ada"
        assert float(head["x-serving-deadline"]) > 1e9
        dropped = {"authorization", "cookie", "connection", "x-private", "te"}
        assert not dropped & set(head)


@scenario
async def test_a_compressed_body_passes_untouched(tmp_path: Path) -> None:
    async with served(tmp_path) as (_, wire, replica):
        await wire.say(request(b"\x1f\x8b\x08\xff", "content-encoding: gzip\r\n"))
        assert (await wire.answer())[0] == 200
        assert replica.heads[0]["content-encoding"] == "gzip"
        assert replica.heads[0]["content-length"] == "4"


@scenario
async def test_closing_a_half_sent_request_harms_nobody(tmp_path: Path) -> None:
    async with served(tmp_path) as (world, wire, replica):
        async with wire_to(world) as other:
            await other.say(request(b"12345")[:-2])
        await wire.say(request())
        assert (await wire.answer())[0] == 200
        assert replica.begun == 1


@scenario
async def test_a_pipelining_client_that_leaves_harms_nobody(tmp_path: Path) -> None:
    async with served(tmp_path, SlowReplica) as (world, wire, replica):
        async with wire_to(world) as other:
            await other.say(request() * 50)
            await until(lambda: replica.held == 1)
        await wire.say(request())
        assert isinstance(replica, SlowReplica)
        replica.may_end.set()
        assert (await wire.answer())[0] == 200


@scenario
async def test_random_bytes_never_bring_it_down(tmp_path: Path) -> None:
    import random

    choose = random.Random(7)
    async with served(tmp_path) as (world, wire, _replica):
        seed = request(b'{"inputs": [1]}', "a: b\r\n")
        for _ in range(150):
            data = bytearray(seed)
            for _ in range(choose.randint(1, 6)):
                data[choose.randrange(len(data))] = choose.randrange(256)
            async with wire_to(world) as other:
                await other.say(bytes(data))
                other.writer.write_eof()
                answer = await other.reader.read()
                assert not answer or int(answer.split()[1]) < 500, (bytes(data), answer)
        await wire.say(request())
        assert (await wire.answer())[0] == 200
