"""Lines of the replica's log: a UTC timestamp, who speaks, what happened."""

from __future__ import annotations

import os
import sys
import time
import traceback


def say(who: str, text: str) -> None:
    """Append ``<time> <who>: <text>`` to standard error in one write, so that lines of several processes never mix."""
    stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    line = f"{stamp} {who}: {text}\n".encode("utf-8", "backslashreplace")
    try:
        os.write(2, line)
    except OSError:
        # A full disk or a closed log must never stop a prediction.
        return


def say_traceback(who: str, text: str) -> None:
    """Like ``say``, followed by the traceback of the exception that is being handled."""
    say(who, f"{text}\n{traceback.format_exc().rstrip()}")


def last_line(error: BaseException, limit: int = 4000) -> str:
    """The useful end of a traceback, e.g. ``ValueError: could not convert string to float: 'x'``."""
    text = "".join(traceback.format_exception_only(type(error), error)).strip()
    return text if len(text) <= limit else text[:limit] + " …"


def line_buffered() -> None:
    """Make ``print`` reach the log at each line end, whatever encoding the process inherited."""
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(encoding="utf-8", errors="backslashreplace", line_buffering=True)


def flush() -> None:
    """Write out what ``print`` left in buffers; needed before a fork and before ``os._exit``."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError, AttributeError):
            # closed by the model's code, or the disk is full
            continue
