"""Requests that MLflow's server and ours have to answer alike."""

from __future__ import annotations

import json
from typing import Any

Row = dict[str, Any]


def formats(rows: list[Row]) -> list[Any]:
    """The same rows in every format."""
    names = list(rows[0])
    data = [[row[name] for name in names] for row in rows]
    return [
        {"dataframe_split": {"columns": names, "data": data}},
        {"dataframe_split": {"columns": names, "data": data, "index": list(range(len(rows)))}},
        {"dataframe_records": rows},
        {"instances": rows},
        {"inputs": rows},
        {"inputs": {name: [row[name] for row in rows] for name in names}},
    ]


def odd(rows: list[Row]) -> list[Any]:
    """Good and bad variations of a good request."""
    row = rows[0]
    names, values = list(row), list(row.values())
    split = {"columns": names, "data": [values]}
    first = names[0]
    return [
        {"dataframe_split": {"columns": names[::-1], "data": [values[::-1]]}},
        {"dataframe_split": {**split, "index": [7]}},
        {"dataframe_split": {**split, "index": ["a"]}},
        {"dataframe_split": {**split, "index": [1, 2]}},
        {"dataframe_split": {**split, "more": 1}},
        {"dataframe_split": {"columns": [*names, "extra"], "data": [[*values, 1]]}},
        {"dataframe_split": {"columns": names[:-1], "data": [values[:-1]]}},
        {"dataframe_split": {"columns": names, "data": [values[:-1]]}},
        {"dataframe_split": {"columns": [first, *names], "data": [[values[0], *values]]}},
        {"dataframe_split": {"data": [values]}},
        {"dataframe_split": {"columns": names, "data": []}},
        {"dataframe_split": {"columns": names, "data": values}},
        {"dataframe_split": [split]},
        {"dataframe_split": None},
        {"dataframe_records": [{**row, "extra": 1}]},
        {"dataframe_records": [{name: row[name] for name in names[1:]}]},
        {"dataframe_records": [row, {name: row[name] for name in names[1:]}]},
        {"dataframe_records": [dict(reversed(row.items()))]},
        {"dataframe_records": row},
        {"dataframe_records": []},
        {"dataframe_records": [1]},
        {"dataframe_records": [row], "params": {"unknown": 1}},
        {"dataframe_records": [row], "params": None},
        {"dataframe_records": [row], "params": [1]},
        {"dataframe_records": [row], "other": 1},
        {"dataframe_records": [row], "instances": [row]},
        {"instances": [values]},
        {"instances": {name: [row[name]] for name in names}},
        {"instances": []},
        {"inputs": [values]},
        {"inputs": row},
        {"inputs": {**{name: [row[name]] for name in names}, first: [row[first]] * 2}},
        {"inputs": []},
        {"inputs": 1},
        *({"dataframe_records": [{**row, first: value}]} for value in WILD),
        *({"inputs": {name: [row[name]] for name in names} | {first: [v]}} for v in WILD),
        *({"instances": [{**row, first: value}]} for value in WILD),
        {"columns": names, "data": [values]},
        {},
        [],
        [row],
        7,
        "text",
        None,
    ]


WILD = (
    None,
    True,
    "5.1",
    "text",
    "",
    7,
    -0.0,
    2**53 + 1,
    2**70,
    -(2**63) - 1,
    1e300,
    [1.0],
    {"a": 1},
)

RAW = (
    b"",
    b" ",
    b"{",
    b"\xff",
    b'{"dataframe_records": [{"a": NaN}]}',
    b'{"inputs": 1e400}',
    b'{"inputs": [1,]}',
    b"\xef\xbb\xbf{}",
    '{"inputs": 1}'.encode("utf-16"),
    b'{"inputs": "\\ud800"}',
    b"[" * 3000,
)


def csv(rows: list[Row]) -> bytes:
    """Rows as pandas would write them."""
    lines = [",".join(json.dumps(name) for name in rows[0])]
    lines += [",".join("" if v is None else str(v) for v in row.values()) for row in rows]
    return "\n".join(lines).encode()
