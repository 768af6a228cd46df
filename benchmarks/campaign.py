"""One run over models and peers: who is up, whose turn it is, what was measured."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from . import gateway_cost, rounds, slots, trial
from .accounting import MIB
from .gateway_cost import Cost
from .load.generator import Generator
from .peers import OURS, RECIPES, environments
from .peers.base import Peer, PeerFailed
from .peers.ours import OurPeer
from .peers.process import ProcessPeer
from .rounds import Cell
from .slots import Slots
from .subjects import Subject
from .trial import Started


@dataclass(frozen=True)
class Plan:
    """What to run: names of peers (``OURS`` among them or not) and models, loads, and how long.

    ``rounds`` maps the number of rows to the rounds with it; ``home`` is the interpreter of peers that need no
    environment of their own (None: each gets one); ``slots`` are the numbers of slots to weigh.
    """

    peers: tuple[str, ...]
    models: tuple[str, ...]
    rounds: dict[int, int]
    connections: tuple[int, ...]
    seconds: float
    cost_rounds: int
    slots: tuple[int, ...]
    home: Path | None = None


@dataclass
class Findings:
    """Everything measured. ``starts`` are seconds by model and peer, ``missing`` says why a peer is not in it."""

    cells: list[Cell] = field(default_factory=list)
    starts: dict[str, dict[str, float]] = field(default_factory=dict)
    titles: dict[str, str] = field(default_factory=dict)
    versions: dict[str, dict[str, str]] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)
    parts: dict[str, dict[str, int]] = field(default_factory=dict)
    cost: Cost | None = None
    slots: Slots | None = None

    def memory(self, model: str, peer: str) -> float:
        """Highest proportional bytes of a peer's tree (our controller left out) after any cell; nan without cells."""
        sizes = [c.memory for c in self.cells if (c.model, c.peer) == (model, peer)]
        return float(max(sizes)) if sizes else float("nan")


@dataclass
class Campaign:
    """Carries a plan out; ``say`` is told what happens, ``folder`` is its own."""

    plan: Plan
    folder: Path
    generator: Generator
    say: Callable[[str], None]
    findings: Findings = field(default_factory=Findings)

    def run(self, subjects: Sequence[Subject]) -> Findings:
        """All models, one after the other; then the memory of slots."""
        pythons = self._environments()
        for subject in subjects:
            with ExitStack() as stack:
                self._model(subject, pythons, stack, subject is subjects[-1])
        if self.plan.slots:
            self._weigh(subjects[0])
        return self.findings

    def _environments(self) -> dict[str, Path]:
        found = {}
        for name in self.plan.peers:
            if name == OURS:
                continue
            try:
                python = self.plan.home or environments.python_of(RECIPES[name], self.say)
                self.findings.versions[name] = environments.versions_in(python)
                found[name] = python
            except PeerFailed as error:
                self._missing(name, error)
        return found

    def _missing(self, name: str, error: Exception) -> None:
        self.findings.missing[name] = str(error)
        self.say(f"{name} is left out: {error}")

    def _model(
        self, subject: Subject, pythons: dict[str, Path], stack: ExitStack, last: bool
    ) -> None:
        up: dict[str, Started] = {}
        idle = stack.enter_context(ExitStack())  # stopped before the gateway is measured
        for name in self.plan.peers:
            if name != OURS and name not in pythons:
                continue
            folder = self.folder / f"{subject.name}-{name}"
            peer = self._peer(name, pythons, subject, folder)
            (stack if name == OURS else idle).callback(peer.stop)
            try:
                self.say(f"{subject.name}: starting {name}")
                up[name] = trial.start(peer, subject, tuple(self.plan.rounds))
            except PeerFailed as error:
                self._missing(f"{name}, {subject.name}", error)
                continue
            self.findings.titles[name] = peer.title
            self.findings.starts.setdefault(subject.name, {})[name] = up[name].seconds
        self._rounds(up)
        idle.close()
        if OURS in up:
            self._after(up[OURS], last)

    def _peer(self, name: str, pythons: dict[str, Path], subject: Subject, folder: Path) -> Peer:
        if name == OURS:
            return OurPeer(subject, folder)
        return ProcessPeer(RECIPES[name], pythons[name], subject, folder)

    def _rounds(self, up: dict[str, Started]) -> None:
        for rows, count in self.plan.rounds.items():
            for number, order in rounds.turns(list(up), count):
                pids = {name: frozenset(started.peer.pids()) for name, started in up.items()}
                for connections in self.plan.connections:
                    for name in order:
                        idle = frozenset[int]().union(*(pids[n] for n in order if n != name))
                        self._cell(up[name], rows, connections, number, idle)

    def _cell(
        self, started: Started, rows: int, connections: int, number: int, idle: frozenset[int]
    ) -> None:
        cell, trouble = trial.cell(
            started, self.generator, rows, connections, number, self.plan.seconds, idle
        )
        self.findings.cells.append(cell)
        self.say(
            f"{cell.model} rows={rows} c={connections} round {number} {cell.peer}: {cell.rate:.0f} RPS,"
            f" p99 {cell.p99:.1f} ms"
            + (f", {cell.foreign:.2f} foreign cores" if cell.disturbed else "")
        )
        if cell.faults:
            self.findings.faults.append(
                f"{cell.peer}, {cell.model}, {rows} rows, c={connections}: {cell.faults} ({trouble})"
            )
            self.say(f"  {cell.faults} wrong or missing answers: {trouble}")

    def _after(self, ours: Started, last: bool) -> None:
        self.findings.parts[ours.subject.name] = trial.footprint(ours.peer).parts
        if last and self.plan.cost_rounds:
            self.say("the gateway against its replica")
            self.findings.cost = gateway_cost.measure(
                ours, self.generator, self.plan.cost_rounds, self.plan.seconds
            )

    def _weigh(self, subject: Subject) -> None:
        self.say(f"{subject.name}: memory with {', '.join(map(str, self.plan.slots))} slots")
        try:
            self.findings.slots = slots.measure(
                subject,
                self.generator,
                self.folder,
                self.plan.slots,
                self.plan.seconds,
                self.findings.memory(subject.name, "mlflow") / MIB,
            )
        except PeerFailed as error:
            self._missing("slots", error)


def own_cost(cells: Sequence[Cell]) -> float:
    """Median CPU of the load generator in µs per request; nan without cells."""
    return statistics.median(c.own_us for c in cells) if cells else float("nan")
