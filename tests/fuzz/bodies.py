"""Bodies that MLflow's scoring protocol does not allow, for a model with one required column ``x`` of doubles."""

from __future__ import annotations

import gzip
import json
import random
from typing import Any

from .cases import FAULT, SOUND, Case, Maker, Target, mutated, noise

FORMATS = ("dataframe_split", "dataframe_records", "instances", "inputs")
TYPES = (
    *("text/html", "application/xml", "multipart/form-data", "application/octet-stream", "json"),
    *("application/jso", "image/png", "application/x-www-form-urlencoded", "*/*", ";", "a/b;c=d"),
)
NOT_DOUBLES: tuple[Any, ...] = (
    *("text", "", [], [1.0, [2.0]], {}, {"a": 1}, "\ud800", "1e5x", [[]], ["a"], "NaN?"),
)
HUGE = ("1e999", "-1e999", "1" * 400, "1" * 5000, "0." + "1" * 5000, "1e-999", "-0", "1E+308")


def faulty(name: str, target: Target, body: bytes, media: str | None = None, *more: str) -> Case:
    """A request whose body or media type is at fault: exactly 400."""
    return Case(name, target.request(body, *more, media=media), FAULT)


def not_json(rng: random.Random, target: Target) -> Case:
    good = target.body
    body = rng.choice(
        (
            *(b"", b"x", b"nul", b"{", b"}", b"'a'", b"{'inputs': [1]}", b"\xef\xbb\xbf{", b"\0"),
            *(good[:-1], good + b"}", good + b"{}", good.replace(b":", b"", 1), b"[1,]", b"NaN,"),
            *(good.replace(b'"', b"'"), b"// c\n" + good, b'{"a": 01}', b'"\\x"', b'"\t"', b"\\"),
        )
    )
    return faulty("not JSON", target, body)


def not_utf8(rng: random.Random, target: Target) -> Case:
    at = target.body.index(b'"') + 1
    bad = rng.choice((b"\xff", b"\xc0\xaf", b"\xed\xa0\x80", b"\x80", b"\xf8\x88\x80\x80\x80"))
    return faulty("not UTF-8", target, target.body[:at] + bad + target.body[at:])


def wrong_top(rng: random.Random, target: Target) -> Case:
    value = rng.choice(([], [1], [[1.0]], 1, 1.5, "x", "inputs", True, False, None, {}, [{"x": 1}]))
    return faulty("top level", target, json.dumps(value).encode())


def wrong_keys(rng: random.Random, target: Target) -> Case:
    rows = [{"x": 1.0}]
    value = rng.choice(
        (
            {"dataframe": rows},
            {"dataframe_records": rows, "inputs": rows},
            {"instances": rows, "inputs": rows},
            {"Inputs": rows},
            {"": rows},
            {"predictions": [1]},
            {"params": {}},
            {"inputs ": rows},
            {"\ud800": rows},
            {str(n): n for n in range(1000)},
        )
    )
    return faulty("keys", target, json.dumps(value).encode())


def wrong_shape(rng: random.Random, target: Target) -> Case:
    split = {"columns": ["x"], "data": [[1.0]]}
    value = rng.choice(
        (
            {"dataframe_split": rng.choice((None, 1, "x", [], [1], True, {}))},
            {
                "dataframe_split": split
                | {"data": rng.choice((1, "x", None, [[1, 2]], [[[1], [2]]], {}))}
            },
            {
                "dataframe_split": split
                | {"columns": rng.choice((1, None, ["y"], ["x", "y"], [[]], [{}]))}
            },
            {"dataframe_split": split | {"junk": 1}},
            {"dataframe_split": split | {"index": rng.choice((1, [1, 2, 3], "x", {}))}},
            {"dataframe_records": rng.choice((None, 1, "x", True, [1], ["x"], [None], [[1.0]]))},
            {"dataframe_records": [{"y": 1.0}]},
            {"dataframe_records": [{"x": 1.0}, 5]},
            {"instances": rng.choice((None, 1, True, "x", {}, {"y": [1]}, [{"y": 1}]))},
            {"inputs": rng.choice((None, True, {}, {"y": [1.0]}))},
        )
    )
    # What pandas and MLflow make of a strange shape is theirs to say; a server error it never is.
    return Case("shape", target.request(json.dumps(value).encode()), SOUND)


def wrong_type(rng: random.Random, target: Target) -> Case:
    value = rng.choice(NOT_DOUBLES)
    body = rng.choice(
        (
            {"dataframe_records": [{"x": value}]},
            {"dataframe_split": {"columns": ["x"], "data": [[value]]}},
            {"dataframe_records": [{"x": 1.0}, {"x": value}]},
        )
    )
    return faulty("type", target, json.dumps(body).encode())


def huge_number(rng: random.Random, target: Target) -> Case:
    number = rng.choice(HUGE)
    body = f'{{"{rng.choice(FORMATS[1:])}": [{{"x": {number}}}]}}'.encode()
    return Case("huge number", target.request(body), SOUND)


def nested(rng: random.Random, target: Target) -> Case:
    """Deeper than any parser recurses; closed or not, a list or an object."""
    depth = rng.choice((100, 1000, 5000, 100_000))
    opening, closing = rng.choice((("[", "]"), ('{"a":', "}")))
    inner = opening * depth + ("1" + closing * depth if rng.random() < 0.7 else "")
    kind = rng.choice(FORMATS)
    body = rng.choice((inner, f'{{"{kind}": {inner}}}', f'{{"{kind}": [{{"x": {inner}}}]}}'))
    return faulty(f"nested {depth}", target, body.encode())


def surrogates(rng: random.Random, target: Target) -> Case:
    text = rng.choice(("\\ud800", "\\udfff\\ud800", "\\u0000", "\\ud83d", "\\uffff"))
    body = rng.choice(
        (
            f'{{"{text}": 1}}',
            f'{{"dataframe_records": [{{"x": "{text}"}}]}}',
            f'{{"dataframe_records": [{{"{text}": 1.0}}]}}',
            f'{{"dataframe_split": {{"columns": ["{text}"], "data": [[1.0]]}}}}',
        )
    )
    return faulty("surrogate", target, body.encode())


def wrong_params(rng: random.Random, target: Target) -> Case:
    params = rng.choice((1, "x", [], [1], {"a": 1}, {"": None}, True, {"x": {"y": []}}))
    body = {"dataframe_records": [{"x": 1.0}], "params": params}
    return Case("params", target.request(json.dumps(body).encode()), SOUND)


def wrong_media(rng: random.Random, target: Target) -> Case:
    return faulty("media", target, target.body, rng.choice(TYPES))


def odd_media(rng: random.Random, target: Target) -> Case:
    kind = rng.choice(
        (
            *("application/json; charset=utf-16", "application/json; charset=nope", "text/csv"),
            *(
                "application/json;",
                "APPLICATION/JSON",
                "application/json; charset",
                "",
                "text/csv;x",
            ),
            *(
                "application/vnd.apache.parquet",
                "application/json;" + "a" * 3000,
                "application/json\t",
            ),
        )
    )
    body = rng.choice((target.body, noise(rng), b"", b"x\n1.0\n"))
    return Case("odd media", target.request(body, media=kind), SOUND)


def csv(rng: random.Random, target: Target) -> Case:
    body = rng.choice(
        (
            *(
                b"",
                b"y\n1\n",
                b'x\n"1',
                b"x\nabc\n",
                b"x,x\n1,2\n",
                b"\0",
                b"x\n1,2,3\n",
                b"\xff\n1\n",
            ),
            *(b"," * 5000, b"\n" * 5000, b"x\n" + b"1\n" * 50 + b"z\n", noise(rng, 2000)),
        )
    )
    return Case("CSV", target.request(body, media="text/csv"), SOUND)


def doubled_keys(rng: random.Random, target: Target) -> Case:
    body = b'{"dataframe_records": [{"x": 1}], "dataframe_records": %b}' % rng.choice(
        (b"1", b"[]", b"null", b'[{"x": "a"}]')
    )
    return Case("doubled key", target.request(body), SOUND)


def extras(rng: random.Random, target: Target) -> Case:
    value = rng.choice((None, 1, [], {"a": [1]}, "x" * 5000, "\ud800"))
    body = {
        "dataframe_records": [{"x": 1.0}],
        rng.choice(("client_request_id", "usage_context")): value,
    }
    return Case("extras", target.request(json.dumps(body).encode()), SOUND)


def changed(rng: random.Random, target: Target) -> Case:
    return Case("mutated body", target.request(mutated(rng, target.body)), SOUND)


def zipped(rng: random.Random, target: Target) -> Case:
    """Bodies that say they are gzip, and are not, not wholly, or hold far more than is allowed."""
    good = gzip.compress(target.body, 1, mtime=0)
    body = rng.choice(
        (
            *(noise(rng), good[:-4], good[: len(good) // 2], good[:3], b"\x1f\x8b", target.body),
            *(good[:20] + noise(rng, 4) + good[20:], BOMB),
        )
    )
    return faulty("gzip", target, body, None, "content-encoding: gzip")


def wrong_coding(rng: random.Random, target: Target) -> Case:
    coding = rng.choice(("br", "zstd", "deflate", "gzip, gzip", "x", "compress", "identity, br"))
    return faulty("content coding", target, target.body, None, f"content-encoding: {coding}")


# 64 MB of blanks in 64 kB.
BOMB = gzip.compress(b" " * 2**26, 9, mtime=0)
MAKERS: tuple[Maker, ...] = (
    *(not_json, not_json, not_utf8, wrong_top, wrong_keys, wrong_shape, wrong_shape, wrong_type),
    *(wrong_type, huge_number, nested, surrogates, wrong_params, wrong_media, odd_media, csv),
    *(doubled_keys, extras, changed, changed, zipped, wrong_coding),
)
