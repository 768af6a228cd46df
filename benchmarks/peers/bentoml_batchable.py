"""BentoML with adaptive batching."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from typing import Any

from .base import Launch, Recipe, Rows
from .handwritten import APPS


def _command(launch: Launch) -> list[str]:
    # MLflow refuses a symbolic link that leads out of the directory.
    shutil.copytree(launch.subject.directory, launch.folder / "model")
    (launch.folder / "columns.json").write_text(json.dumps(launch.subject.columns))
    (launch.folder / "service.py").write_text((APPS / "bento_service.py").read_text())
    return [
        *(str(launch.python.parent / "bentoml"), "serve", "service:Pyfunc"),
        *("--host", "127.0.0.1", "--port", str(launch.port)),
    ]


def _encode(columns: Sequence[str], rows: Rows) -> bytes:
    return json.dumps({"rows": rows}).encode()


def _decode(answer: Any) -> Any:
    return answer


BENTOML = Recipe(
    "bentoml",
    "BentoML, batchable",
    ("bentoml==1.4.39",),
    _command,
    encode=_encode,
    decode=_decode,
    environ={"BENTOML_DO_NOT_TRACK": "True"},
)
