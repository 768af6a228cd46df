"""The generator's process, seen from the benchmark."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from types import TracebackType

from .orders import Order, Result

ROOT = Path(__file__).parent.parent.parent


class Generator:
    """Context manager: the process runs from enter to exit."""

    def __enter__(self) -> Generator:
        environ = {**os.environ, "PYTHONPATH": str(ROOT)}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.load"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=environ,
            cwd=ROOT,
        )
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._process.kill()
        self._process.communicate()

    @property
    def pid(self) -> int:
        """Pid of the process."""
        return self._process.pid

    def run(self, order: Order) -> Result:
        """Carry out an order and wait for its result."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(order.to_line())
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(
                f"the load generator ended with status {self._process.wait()}; its reason is printed above"
            )
        return Result.from_line(line)
