"""Malformed HTTP: smuggling, chunking, heads, junk. Each function makes one case."""

from __future__ import annotations

import random

from .cases import REFUSED, SOUND, Case, End, Maker, Target, mutated, noise

LENGTHS = (
    "-1",
    "+5",
    "5 5",
    "0x5",
    "5,5",
    "5, 6",
    "5;",
    "1e3",
    "a",
    "",
    "5\x0b",
    "9" * 20,
    "9" * 40,
)
CODINGS = (
    *(
        "xchunked",
        "chunked, chunked",
        "chunked, identity",
        "identity",
        "gzip, chunked",
        "chunked;q=1",
    ),
    *("\x0bchunked", "chunked\x00", "c hunked", "chunke", "deflate", "gzip", "cow", "chunked,"),
)
SIZES = (
    *(b"xyz", b"-1", b"0x5", b"", b"5 5", b"g", b"f" * 17, b"5\n", b"\n5", b"\x005", b"5\x00"),
    *(b"+5", b" 5", b"1" * 300, b"5;" + b"a" * 300 + b"\x00"),
)
NAMES = ("a b", "a\x00b", "a(b", "a@b", "", "ä", "a\tb", 'a"b', "a/b", "a[b]", "{a}")
VALUES = ("a\x00b", "a\rb", "a\x01b", "\x7f", "a\x0bb")
FIRST_LINES = (
    *("{m} {p}", "{m} {p} HTTP/1.1 x", "{m} {p} HTTP/9.9", "{m} {p} HTTQ/1.1"),
    *("{p} HTTP/1.1", "{m}", " {m} {p} HTTP/1.1", "{m}\t{p}\tHTTP/1.1", "{m} {p} http/1.1"),
    *("{m} {p} HTTP/1.", "{m} {p} HTTP/1.1.1", "{m} {p} HTTP/-1", "{m} {p}\x00 HTTP/1.1"),
    *("po\x00st {p} HTTP/1.1", "\x00 {p} HTTP/1.1", "{m}:{p} HTTP/1.1", "{m} {p} x HTTP/1.1"),
)
GREETINGS = (
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    b"SSH-2.0-OpenSSH_9.6\r\n",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    b"EHLO x\r\n",
    b"*1\r\n$4\r\nPING\r\n",
    b"\x00\x00\x00\x00",
    b"{}\n",
    b"<?xml version='1.0'?>\r\n\r\n",
)


def smuggled(target: Target) -> bytes:
    """A request that hides where another one's body should be."""
    return target.request()


def length_that_is_none(rng: random.Random, target: Target) -> Case:
    line = f"POST {target.path} HTTP/1.1"
    head = target.raw(line, f"Content-Length: {rng.choice(LENGTHS)}")
    return Case("length", head + smuggled(target), REFUSED, End.CLOSE)


def two_lengths(rng: random.Random, target: Target) -> Case:
    lines = [f"Content-Length: {n}" for n in rng.sample(range(100), rng.randint(2, 3))]
    head = target.raw(f"POST {target.path} HTTP/1.1", *lines)
    return Case("two lengths", head + smuggled(target), REFUSED, End.CLOSE)


def length_and_coding(rng: random.Random, target: Target) -> Case:
    name = rng.choice(("Transfer-Encoding", "transfer-encoding", "TRANSFER-ENCODING"))
    lines = [f"{name}: {rng.choice(('chunked', 'Chunked', 'CHUNKED', *CODINGS))}"]
    lines.append(f"Content-Length: {rng.choice((0, 4, 5, 6, 1000))}")
    rng.shuffle(lines)
    head = target.raw(f"POST {target.path} HTTP/1.1", *lines)
    return Case("length and coding", head + b"0\r\n\r\n" + smuggled(target), REFUSED, End.CLOSE)


def coding_that_is_none(rng: random.Random, target: Target) -> Case:
    lines = [f"Transfer-Encoding: {rng.choice(CODINGS)}"]
    if rng.random() < 0.3:
        lines.insert(rng.randrange(2), "Transfer-Encoding: chunked")
    head = target.raw(f"POST {target.path} HTTP/1.1", *lines)
    return Case("coding", head + b"0\r\n\r\n" + smuggled(target), REFUSED, End.CLOSE)


def hidden_coding(rng: random.Random, target: Target) -> Case:
    """Names that one parser trims and another does not."""
    line = rng.choice(
        (
            "Transfer-Encoding : chunked",
            "Transfer-Encoding\t: chunked",
            "Transfer-Encoding\x0b: chunked",
            "X: y\r\n Transfer-Encoding: chunked",
            "X: y\r\n\tTransfer-Encoding: chunked",
            "Transfer-Encoding:\r\n chunked",
            "X: y\rTransfer-Encoding: chunked",
            "\x00Transfer-Encoding: chunked",
        )
    )
    head = target.raw(f"POST {target.path} HTTP/1.1", line, "Content-Length: 5")
    return Case("hidden coding", head + b"0\r\n\r\n" + smuggled(target), REFUSED, End.CLOSE)


def bad_chunks(rng: random.Random, target: Target) -> Case:
    head = target.raw(f"POST {target.path} HTTP/1.1", "Transfer-Encoding: chunked")
    good = b"%x\r\n%b\r\n" % (3, b"abc") * rng.randint(0, 3)
    bad = rng.choice(SIZES) + b"\r\nhello\r\n"
    if rng.random() < 0.3:
        bad = b"3\r\nabcdef\r\n0\r\n\r\n"  # longer than its size
    return Case("chunks", head + good + bad + smuggled(target), REFUSED, End.CLOSE)


def bad_name(rng: random.Random, target: Target) -> Case:
    line = f"{rng.choice(NAMES)}: 1"
    return Case("header name", target.request(None, line), REFUSED, End.CLOSE)


def bad_value(rng: random.Random, target: Target) -> Case:
    return Case(
        "header value", target.request(None, f"a: {rng.choice(VALUES)}"), REFUSED, End.CLOSE
    )


def no_colon(rng: random.Random, target: Target) -> Case:
    line = rng.choice(("nonsense", "\x00", "a b c", "=", "x" * 500))
    return Case("no colon", target.request(None, line), REFUSED, End.CLOSE)


def bad_first_line(rng: random.Random, target: Target) -> Case:
    line = rng.choice(FIRST_LINES).format(m="POST", p=target.path)
    return Case("first line", target.raw(line, "Content-Length: 0"), REFUSED, End.CLOSE)


def huge_head(rng: random.Random, target: Target) -> Case:
    more = "b" * (target.head_bytes + rng.randint(1, 5000))
    match rng.randrange(3):
        case 0:
            data = target.request(None, f"a: {more}")
        case 1:
            data = target.request(path=f"{target.path}?{more}")
        case _:
            data = target.request(None, *(f"{n}: {'c' * 900}" for n in range(len(more) // 900 + 1)))
    return Case("huge head", data, REFUSED, End.CLOSE)


def many_headers(rng: random.Random, target: Target) -> Case:
    count = rng.randint(101, 400)
    data = target.request(None, *(f"h{n}: 1" for n in range(count)))
    if count > target.head_count:
        return Case("many headers", data, REFUSED, End.CLOSE)
    return Case("many headers", data, SOUND)


def huge_declared_body(rng: random.Random, target: Target) -> Case:
    size = rng.choice((target.max_body + 1, 2**31, 2**32 + 5, 2**40, 10**14))
    head = target.raw(f"POST {target.path} HTTP/1.1", f"Content-Length: {size}")
    return Case("huge body", head, REFUSED, End.CLOSE)


def truncated(rng: random.Random, target: Target) -> Case:
    data = rng.choice((target.request(), chunked(target)))
    return Case("truncated", data[: rng.randrange(len(data))], REFUSED, End.CUT)


def changed(rng: random.Random, target: Target) -> Case:
    data = rng.choice(
        (target.request(), chunked(target), target.request(None, "expect: 100-continue"))
    )
    return Case("mutated", mutated(rng, data), SOUND, End.CUT)


def junk(rng: random.Random, target: Target) -> Case:
    data = rng.choice((noise(rng), noise(rng, 4000), rng.choice(GREETINGS)))
    return Case("junk", data, REFUSED, End.CUT)


def pipelined_junk(rng: random.Random, target: Target) -> Case:
    after = rng.choice((noise(rng), rng.choice(GREETINGS), b"\r\n" * rng.randint(1, 50)))
    return Case("pipelined junk", target.request() * rng.randint(1, 3) + after, SOUND, End.CUT)


def odd_target(rng: random.Random, target: Target) -> Case:
    path = rng.choice(
        (
            *(
                "*",
                "//",
                "/../../etc/passwd",
                "/%zz",
                "/%00",
                "/%ff%fe",
                f"http://x{target.path}",
                "x",
            ),
            *(f"{target.path}/", f"{target.path}?a=b", f"/{target.path}", f"{target.path}#f", "/?"),
            *(f"{target.path}%2e", "/a" * 1000, "/;/", "/\x7f", "/é", f"http://[::1{target.path}"),
            *target.others,
        )
    )
    method = rng.choice(("POST", "GET", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE", "CONNECT"))
    gap = rng.choice(("", "", "", " "))  # RFC 9112, 3: more than one blank may be taken for one
    return Case("target", target.request(path=gap + path, method=method), SOUND, End.CUT)


def odd_but_whole(rng: random.Random, target: Target) -> Case:
    """Well-formed requests that few clients send: they are answered, whatever with."""
    line = rng.choice(
        (
            *(
                "expect: 100-continue",
                "expect: 200-ok",
                "upgrade: h2c",
                "te: trailers",
                "a:",
                "a: é",
            ),
            *(
                "connection: upgrade",
                "accept: image/png",
                "host: y",
                "x-request-id: \xff",
                "range: x",
            ),
            *("connection: keep-alive, close", "cookie: " + "a" * 4000, "date: x", "via: 1.1 x"),
        )
    )
    return Case("odd header", target.request(None, line), SOUND)


def head_request(rng: random.Random, target: Target) -> Case:
    data = target.request(b"", method="HEAD", path=rng.choice((target.path, *target.others, "/x")))
    return Case("HEAD", data, SOUND | {405}, End.ANSWER, bodiless=True)


def chunked(target: Target) -> bytes:
    """A well-formed chunked request."""
    typed = f"content-type: {target.media}"
    head = target.raw(f"POST {target.path} HTTP/1.1", typed, "transfer-encoding: chunked")
    return head + b"%x\r\n%b\r\n0\r\n\r\n" % (len(target.body), target.body)


MAKERS: tuple[Maker, ...] = (
    *(length_that_is_none, two_lengths, length_and_coding, coding_that_is_none, hidden_coding),
    *(bad_chunks, bad_chunks, bad_name, bad_value, no_colon, bad_first_line, huge_head),
    *(many_headers, huge_declared_body, truncated, changed, changed, junk, pipelined_junk),
    *(odd_target, odd_target, odd_but_whole, head_request),
)
