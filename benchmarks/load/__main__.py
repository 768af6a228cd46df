"""``python -m benchmarks.load``: carries out the orders on standard input until it ends."""

from __future__ import annotations

import gc
import sys

from . import loops
from .orders import Order


def main() -> None:
    """Read an order, carry it out, write the result."""
    gc.disable()  # a collection would show as a latency of the server
    for line in sys.stdin.buffer:
        sys.stdout.buffer.write(loops.run(Order.from_line(line)).to_line())
        sys.stdout.buffer.flush()
        gc.collect()


if __name__ == "__main__":
    main()
