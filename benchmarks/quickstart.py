"""Deploy and cold start of the first endpoint: ``python -m benchmarks.quickstart [--json]``.

The quickstart itself, in data directories of its own; the environment is the interpreter's, so nothing is staged.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
from typing import Any

from .report import Bar, publish, wants_json

RUNS = 3
DEPLOY_BOUND_S = 5.0
COLD_START_BOUND_S = 1.0


def run() -> dict[str, Any]:
    """One quickstart from nothing; the services are ended after it."""
    environ = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    with tempfile.TemporaryDirectory(prefix="quickstart-") as data:
        environ["JUPYTER_SERVING_DATA_DIR"] = data
        command = [sys.executable, "-m", "jupyter_serving.cli"]
        try:
            told = subprocess.run(
                [*command, "quickstart", "--json"], capture_output=True, text=True, env=environ
            )
            if told.returncode:
                raise SystemExit(f"the quickstart failed: {told.stderr[-2000:]}")
            return dict(json.loads(told.stdout))
        finally:
            subprocess.run([*command, "stop"], capture_output=True, env=environ, check=False)


def main() -> int:
    """Measure and report."""
    as_json = wants_json("Deploy and cold start of the first endpoint.")
    results = [run() for _ in range(RUNS)]

    def median(key: str) -> float:
        return float(statistics.median(r[key] for r in results))

    equal = sum(not r["predictions_equal"] for r in results)
    bars = [
        Bar("deploy, environment staged", median("deploy_seconds"), DEPLOY_BOUND_S, "s"),
        Bar("cold start", median("cold_start_seconds"), COLD_START_BOUND_S, "s"),
        Bar("runs with a prediction other than the model's own", equal, 0, "runs"),
    ]
    return publish(bars, as_json)


if __name__ == "__main__":
    sys.exit(main())
