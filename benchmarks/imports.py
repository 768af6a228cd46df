"""What ``import jupyter_serving`` costs in a kernel: ``python -m benchmarks.imports [--json]``."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys

from .report import Bar, publish, wants_json

RUNS = 15
BOUND_MS = 150.0
HEAVY = ("tornado", "docker", "mlflow", "pandas", "numpy", "httpx")
TIMED = "import time; t = time.perf_counter(); {}; print((time.perf_counter() - t) * 1000)"
# What a first `%serve` or js.deploy loads on top of a kernel that has IPython already.
USED = "import jupyter_serving; jupyter_serving.Client; jupyter_serving.deploy"


def milliseconds(statement: str, prepare: str = "pass") -> float:
    """Median time of a statement, each in a fresh interpreter with compiled bytecode."""
    code = f"{prepare}\n{TIMED.format(statement)}"
    environ = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    times = []
    for _ in range(RUNS + 1):
        told = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environ
        )
        times.append(float(told.stdout))
    return statistics.median(times[1:])  # the first one compiled


def heavy_modules() -> list[str]:
    """Heavy packages that the bare import loads; there should be none."""
    code = f"import sys, jupyter_serving; print(*[m for m in {HEAVY!r} if m in sys.modules])"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return told.stdout.split()


def main() -> int:
    """Measure and report."""
    as_json = wants_json("What importing jupyter_serving costs.")
    bars = [
        Bar("import jupyter_serving", milliseconds("import jupyter_serving"), BOUND_MS, "ms"),
        Bar(
            "first use of the client in a kernel",
            milliseconds(USED, "import IPython"),
            BOUND_MS,
            "ms",
        ),
        Bar("heavy packages loaded by the import", len(heavy_modules()), 0, "packages"),
    ]
    return publish(bars, as_json)


if __name__ == "__main__":
    sys.exit(main())
