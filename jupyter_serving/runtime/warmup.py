"""The first prediction of a worker, with the model's own input example, before anyone waits for one."""

from __future__ import annotations

import json
import os
from typing import Any, Dict, Optional


def example_request(model_dir: str, metadata: Any) -> Optional[bytes]:
    """A JSON request made from the example that was logged with the model; None when there is none to be had.

    MLflow from 2.14 stores the request itself (``serving_input_example.json``); before, only the example, as
    ``MLmodel``'s ``saved_input_example_info`` tells.
    """
    info: Dict[str, Any] = getattr(metadata, "saved_input_example_info", None) or {}
    serving = _read(model_dir, info.get("serving_input_path") or "serving_input_example.json")
    if serving is not None:
        return serving
    example = _read(model_dir, info.get("artifact_path") or "input_example.json")
    if example is None:
        return None
    try:
        return _as_request(json.loads(example), str(info.get("type", "")))
    except ValueError:
        return None


def _read(folder: str, name: str) -> Optional[bytes]:
    try:
        with open(os.path.join(folder, name), "rb") as file:
            return file.read()
    except OSError:
        return None


def _as_request(example: Any, kind: str) -> Optional[bytes]:
    if kind == "dataframe" and isinstance(example, dict) and "data" in example:
        return json.dumps({"dataframe_split": example}).encode()
    if isinstance(example, dict) and ("inputs" in example or "instances" in example):
        return json.dumps(example).encode()
    return None
