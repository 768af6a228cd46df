"""What the generator is told and what it tells: plain data, JSON on the wire."""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Target:
    """Where to send what.

    ``address`` is the path of a unix socket, or ``host:port``. ``requests`` are whole HTTP requests, sent in turn;
    ``answers`` holds the body that each of them must get.
    """

    address: str
    requests: tuple[bytes, ...]
    answers: tuple[bytes, ...]

    def to_json(self) -> dict[str, Any]:
        """Bytes become base64."""
        return {
            "address": self.address,
            "requests": [base64.b64encode(r).decode() for r in self.requests],
            "answers": [base64.b64encode(a).decode() for a in self.answers],
        }

    @classmethod
    def from_json(cls, fields: dict[str, Any]) -> Target:
        """The inverse of ``to_json``."""
        return cls(
            fields["address"],
            tuple(base64.b64decode(r) for r in fields["requests"]),
            tuple(base64.b64decode(a) for a in fields["answers"]),
        )


@dataclass(frozen=True, slots=True)
class Order:
    """One piece of load.

    ``rate`` 0 is a closed loop over ``connections``; else requests per second, sent when they are due whatever the
    answers do (open loop). ``warm`` seconds go before the ``seconds`` that count.
    """

    target: Target
    connections: int
    seconds: float
    warm: float = 0.3
    rate: float = 0.0

    def to_line(self) -> bytes:
        """One line of JSON."""
        fields = {
            "target": self.target.to_json(),
            "connections": self.connections,
            "seconds": self.seconds,
            "warm": self.warm,
            "rate": self.rate,
        }
        return json.dumps(fields).encode() + b"\n"

    @classmethod
    def from_line(cls, line: bytes | str) -> Order:
        """The inverse of ``to_line``."""
        fields = json.loads(line)
        return cls(**fields | {"target": Target.from_json(fields["target"])})


@dataclass(slots=True)
class Result:
    """What came back.

    Attributes:
        latencies: seconds of each answer that came within the seconds that count.
        seconds: how long these were.
        answered: all answers, those of the warm-up and of the end included (for CPU per request).
        wrong: answers with another status than 200 or another content than expected.
        broken: connections that ended or were refused while an answer was due.
        sample: the first wrong answer or error, shortened; "" where there was none.
        own_cpu: user and system seconds of the generator itself.
    """

    latencies: list[float] = field(default_factory=list)
    seconds: float = 0.0
    answered: int = 0
    wrong: int = 0
    broken: int = 0
    sample: str = ""
    own_cpu: float = 0.0

    @property
    def rate(self) -> float:
        """Answers per second."""
        return len(self.latencies) / self.seconds if self.seconds else 0.0

    @property
    def faults(self) -> int:
        """Wrong answers and broken connections."""
        return self.wrong + self.broken

    def fault(self, what: str) -> None:
        """Keep the first description of what went wrong."""
        self.sample = self.sample or what[:400]

    def percentile(self, share: float) -> float:
        """Latency in milliseconds that the ``share`` (0..1) of the answers did not exceed; nan without answers."""
        return percentile(self.latencies, share) * 1000

    def to_line(self) -> bytes:
        """One line of JSON."""
        return json.dumps(asdict(self)).encode() + b"\n"

    @classmethod
    def from_line(cls, line: bytes | str) -> Result:
        """The inverse of ``to_line``."""
        return cls(**json.loads(line))


def percentile(values: Sequence[float], share: float) -> float:
    """Nearest-rank percentile: the smallest value with at least ``share`` (0..1) of all at or below it."""
    if not values:
        return float("nan")
    ranked = sorted(values)
    rank = -(-len(ranked) * share // 1)
    return ranked[min(max(int(rank), 1), len(ranked)) - 1]
