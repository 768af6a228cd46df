"""Bodies that the Open Inference Protocol V2 does not allow, for a model with one required column ``x`` of doubles."""

from __future__ import annotations

import json
import random
from collections.abc import Mapping
from typing import Any

from .bodies import not_json, not_utf8
from .cases import FAULT, SOUND, Case, Maker, Target, mutated, noise

LENGTH = "inference-header-content-length"
TENSOR: Mapping[str, Any] = {"name": "x", "datatype": "FP64", "shape": [2], "data": [1.0, 2.0]}
GOOD = json.dumps({"inputs": [TENSOR]}).encode()


def _asked(name: str, target: Target, fields: Any, *more: str, sound: bool = False) -> Case:
    body = fields if isinstance(fields, bytes) else json.dumps(fields).encode()
    return Case(name, target.request(body, *more), SOUND if sound else FAULT)


def no_inputs(rng: random.Random, target: Target) -> Case:
    fields = rng.choice(
        (
            *(
                {},
                [],
                1,
                None,
                "x",
                {"inputs": []},
                {"inputs": {}},
                {"inputs": None},
                {"inputs": 1},
            ),
            *(
                {"inputs": [1]},
                {"inputs": [[]]},
                {"inputs": [None]},
                {"inputs": "x"},
                {"input": [TENSOR]},
            ),
            {"instances": [1]},
        )
    )
    return _asked("V2 inputs", target, fields)


def lacking(rng: random.Random, target: Target) -> Case:
    tensor = dict(TENSOR)
    del tensor[rng.choice(("name", "datatype", "shape", "data"))]
    return _asked("V2 lacks", target, {"inputs": [tensor]})


def bad_field(rng: random.Random, target: Target) -> Case:
    name, value = rng.choice(
        (
            *(("name", v) for v in (None, 1, [], {}, True)),
            *(("datatype", v) for v in (None, 1, "fp64", "FP65", "", "STRING", [], {}, "BF16")),
            *(
                ("shape", v)
                for v in (None, 2, "2", [3], [-2], [2, 2], [0], ["2"], [2.5], [None], {})
            ),
            *(
                ("shape", v)
                for v in ([10**18], [2**63], [2**64, 0], [1] * 40, [10**400], [True, 2])
            ),
            *(
                ("data", v)
                for v in (None, 1, "x", [1], [1, "a"], [1, None, 2], [[1, 2, 3]], {}, [{}, {}])
            ),
            *(("data", v) for v in ([[1], [2, 3]], ["1", "2"], [10**400, 1], [[[[1]]]])),
        )
    )
    return _asked(f"V2 {name}", target, {"inputs": [{**TENSOR, name: value}]})


def other_names(rng: random.Random, target: Target) -> Case:
    other = {**TENSOR, "name": rng.choice(("", "y", "\ud800", "X", "x "))}
    inputs = rng.choice(([other], [TENSOR, TENSOR], [other, other]))
    return _asked("V2 names", target, {"inputs": inputs})


def odd_rest(rng: random.Random, target: Target) -> Case:
    value = rng.choice(
        (None, 1, "x", [], {}, [1], [{"name": "nope"}], {"a": {}}, [{"name": 1}], True)
    )
    key = rng.choice(("id", "outputs", "parameters", "junk", "model_name"))
    return _asked("V2 rest", target, {"inputs": [TENSOR], key: value}, sound=True)


def types(rng: random.Random, target: Target) -> Case:
    """Values that the datatype cannot hold, or that are not numbers."""
    datatype = rng.choice(("INT8", "UINT8", "INT64", "BOOL", "BYTES", "FP16", "UINT64"))
    data = rng.choice(
        ([300, -1], [2**63, 2**64], ["a", "b"], [1.5, 2], [True, False], ["\ud800", ""])
    )
    return _asked(
        "V2 values",
        target,
        {"inputs": [{**TENSOR, "datatype": datatype, "data": data}]},
        sound=True,
    )


def binary(rng: random.Random, target: Target) -> Case:
    """Binary parts whose sizes contradict the body, the shape, or each other."""
    size = rng.choice((-1, 0, 8, 15, 17, 10**12, "16", None, 2.5, [16]))
    tensor = {k: v for k, v in TENSOR.items() if k != "data"}
    text = json.dumps({"inputs": [{**tensor, "parameters": {"binary_data_size": size}}]}).encode()
    tail = rng.randbytes(rng.choice((0, 8, 15, 16, 100)))
    length = rng.choice(
        (str(len(text)), str(len(text) - 1), "0", "-1", "x", "9" * 19, str(10**6), " ")
    )
    return _asked("V2 binary", target, text + tail, f"{LENGTH}: {length}", sound=True)


def nested(rng: random.Random, target: Target) -> Case:
    depth = rng.choice((1000, 5000, 100_000))
    inner = "[" * depth + ("]" * depth if rng.random() < 0.7 else "")
    where = rng.choice(("data", "shape", "parameters", "name"))
    tensor = json.dumps({**TENSOR, where: "HERE"}).replace('"HERE"', inner)
    return _asked(f"V2 nested {depth}", target, f'{{"inputs": [{tensor}]}}'.encode())


def changed(rng: random.Random, target: Target) -> Case:
    return _asked("V2 mutated", target, mutated(rng, GOOD), sound=True)


def junk(rng: random.Random, target: Target) -> Case:
    return _asked("V2 junk", target, noise(rng, 1000))


MAKERS: tuple[Maker, ...] = (
    *(no_inputs, lacking, bad_field, bad_field, other_names, odd_rest, types, binary, nested),
    *(changed, changed, junk, not_json, not_utf8),
)
