import pytest

from jupyter_serving.gateway import heads


@pytest.mark.parametrize("given", [b"abc-1", b"a" * 128, b"4f/x+=:._"])
def test_a_sane_request_id_is_kept(given: bytes) -> None:
    assert heads.request_id(given) == given


@pytest.mark.parametrize("given", [None, b"", b"a" * 129, b"a b", b"\xff", b'"x"'])
def test_any_other_is_replaced_by_a_fresh_one(given: bytes | None) -> None:
    first, second = heads.request_id(given), heads.request_id(given)
    assert first != second and len(first) == 32


def test_server_timing_merges_ours_and_the_replicas() -> None:
    merged = heads.server_timing(
        [(b"queue", 0.0015), (b"replica", 2)], [b"predict;dur=1", b"", b"gc"]
    )
    assert merged == b"queue;dur=1.50, replica;dur=2000.00, predict;dur=1, gc"


def test_the_replicas_own_identity_and_our_words_are_not_passed_on() -> None:
    given = [
        (b"x-request-id", b"theirs"),
        (b"content-type", b"a/b"),
        (b"connection", b"x-hop, close"),
        (b"x-hop", b"1"),
        (b"x-serving-notice", b"{}"),
        (b"x-serving-anything", b"1"),
        (b"server-timing", b"predict;dur=1"),
    ]
    passed = heads.passed(given)
    assert passed.lines == [b"content-type: a/b\r\n"]
    assert (passed.timings, passed.sized, passed.notice) == ([b"predict;dur=1"], False, b"{}")
    assert heads.passed([(b"content-length", b"1")]).sized


def test_a_head_is_status_headers_and_ending() -> None:
    head = heads.response_head(200, heads.written([(b"a", b"b"), (b"c", b"d")]), heads.CLOSES)
    assert head == b"HTTP/1.1 200 OK\r\na: b\r\nc: d\r\nconnection: close\r\n\r\n"


@pytest.mark.parametrize("model", [[], [(b"x-serving-model", b"iris")]])
def test_a_client_cannot_speak_for_the_gateway(model: heads.Headers) -> None:
    given = [(b"x-serving-model", b"other"), (b"x-serving-deadline", b"9"), (b"a", b"b")]
    head = heads.request_head(given, 3, b"id", 1.5, model, trusted=True)
    assert head.startswith(b"POST /v2/infer HTTP/1.1" if model else b"POST /invocations HTTP/1.1")
    assert b"other" not in head and b"a: b\r\n" in head
    assert head.count(b"x-serving-deadline") == 1 and b"x-serving-deadline: 1.500\r\n" in head
    assert (b"x-serving-model: iris\r\n" in head) == bool(model)


def test_an_unusual_status_is_passed_on() -> None:
    assert heads.status_line(599) == b"HTTP/1.1 599 Unknown\r\n"
