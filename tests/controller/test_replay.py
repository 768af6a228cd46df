from __future__ import annotations

import asyncio
import base64
import http.server
import json
import socketserver
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from jupyter_serving.controller.differences import Rule
from jupyter_serving.controller.replay import Replay, send, sent, target_of, unusable


def capture(value: float, answer: Any, **changes: Any) -> dict[str, Any]:
    def body(content: Any, kind: str = "application/json") -> dict[str, Any]:
        text = json.dumps(content)
        return {
            "content_type": kind, "size": len(text), "cut": False, "encoding": "utf-8", "body": text,
        }  # fmt: skip

    return {
        "id": f"id-{value}",
        "at": 0.0,
        "seconds": 0.01,
        "served_entity": "m-1",
        "path": "/serving-endpoints/e/invocations",
        "status": 200,
        "content_encoding": "",
        "request": body({"inputs": [value]}),
        "response": body({"predictions": answer}),
    } | changes


class Doubling(http.server.BaseHTTPRequestHandler):
    """Answers twice each input; -1 is an error, and it counts how many are asked at a time."""

    together: list[int]
    now = 0
    seen: list[tuple[str, dict[str, str]]]

    def do_POST(self) -> None:
        kind = type(self)
        kind.now += 1
        kind.together.append(kind.now)
        kind.seen.append((self.path, {k.lower(): v for k, v in self.headers.items()}))
        values = json.loads(self.rfile.read(int(self.headers["content-length"])))["inputs"]
        bad = -1 in values
        content = {"error_code": "BAD_REQUEST"} if bad else {"predictions": [2 * v for v in values]}
        told = json.dumps(content).encode()
        kind.now -= 1
        self.send_response(400 if bad else 200)
        self.send_header("content-length", str(len(told)))
        self.end_headers()
        self.wfile.write(told)

    def log_message(self, *_: Any) -> None:
        pass

    def address_string(self) -> str:
        return "unix"


class Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True


@pytest.fixture
def replica(tmp_path: Path) -> Iterator[tuple[str, type[Doubling]]]:
    class Own(Doubling):
        together: list[int] = []  # noqa: RUF012
        seen: list[tuple[str, dict[str, str]]] = []  # noqa: RUF012

    path = str(tmp_path / "r.sock")
    with Server(path, Own) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"unix:{path}", Own
        server.shutdown()
        thread.join()


def run(rule: Rule, captures: list[dict[str, Any]], targets: dict[str, str]) -> Any:
    replay = Replay(None, Path("unused"), lambda _: "", 10.0)  # type: ignore[arg-type]
    return asyncio.run(replay.run(rule, captures, targets))


def test_the_same_answers_pass_one_at_a_time(replica: tuple[str, type[Doubling]]) -> None:
    address, asked = replica
    verdict = run(Rule(), [capture(n, [2 * n]) for n in range(20)], {"m-2": address})
    assert verdict.passed
    assert verdict.details["requests"] == 20
    assert set(asked.together) == {1}
    path, headers = asked.seen[0]
    assert path == "/invocations"
    assert headers["x-request-id"].startswith("replay-id-")


def test_other_answers_and_errors_are_named(replica: tuple[str, type[Doubling]]) -> None:
    captures = [capture(1, [2]), capture(2, [5]), capture(-1, [-2])]
    verdict = run(Rule(), captures, {"m-2": replica[0]})
    assert not verdict.passed
    kinds = {row["request_id"]: row["kind"] for row in verdict.details["rows"]}
    assert kinds == {"id-2": "number", "id--1": "error"}
    assert [row["input"] for row in verdict.details["rows"]] == ["2", "-1"]


def test_a_replica_that_is_gone_changes_everything(tmp_path: Path) -> None:
    verdict = run(Rule(), [capture(1, [2])], {"m-2": f"unix:{tmp_path / 'none.sock'}"})
    assert not verdict.passed
    assert "no answer" in verdict.details["rows"][0]["after"]


def test_only_the_newest_within_the_limit_are_sent(replica: tuple[str, type[Doubling]]) -> None:
    verdict = run(Rule(limit=3), [capture(n, [2 * n]) for n in range(9)], {"m": replica[0]})
    assert verdict.details["requests"] == 3
    sent_ids = {headers["x-request-id"] for _, headers in replica[1].seen}
    assert sent_ids == {"replay-id-6", "replay-id-7", "replay-id-8"}


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"status": 429}, "not answered by the model"),
        ({"status": 502}, "not answered by the model"),
        ({"request": capture(1, [])["request"] | {"cut": True}}, "too large"),
        ({"response": capture(1, [])["response"] | {"cut": True}}, "too large"),
        ({"response": capture(1, [])["response"] | {"content_type": "text/event-stream"}}, "stream"),
    ],
)  # fmt: skip
def test_what_cannot_be_compared_is_left_out(changes: dict[str, Any], why: str) -> None:
    assert why in unusable(capture(1, [2], **changes))
    assert unusable(capture(1, [2])) == ""


def test_nothing_captured_is_refused_unless_the_rule_says_otherwise() -> None:
    assert not run(Rule(), [], {"m": "unix:/nowhere"}).passed
    assert run(Rule(too_few="pass"), [], {"m": "unix:/nowhere"}).passed


def test_a_request_goes_to_its_namesake_or_to_the_only_one() -> None:
    one, two = {"m-2": "a"}, {"m-1": "a", "m-2": "b"}
    assert target_of(capture(1, []), one) == "a"
    assert target_of(capture(1, []), two) == "a"
    assert target_of(capture(1, [], served_entity="m-9"), two) is None


def test_requests_of_the_other_protocol_and_of_any_encoding() -> None:
    packed = base64.b64encode(b"\x1f\x8b\xff").decode()
    request = {"content_type": "application/json", "encoding": "base64", "body": packed}
    told = capture(
        1, [], path="/v2/models/a%20b/versions/3/infer", content_encoding="gzip", request=request
    )
    made = sent(told)
    assert (made.path, made.body) == ("/v2/infer", b"\x1f\x8b\xff")
    assert made.headers["x-serving-model"] == "a b"
    assert made.headers["content-encoding"] == "gzip"


def test_an_answer_that_is_no_json_is_its_text(replica: tuple[str, type[Doubling]]) -> None:
    said = send(replica[0], sent(capture(-1, [])), 10.0)
    assert (said.status, said.good) == (400, False)
    assert said.seconds > 0
