"""Where a replica's workers come from: forks of a keeper where that is proven safe, else children of the leader."""

from __future__ import annotations

import os
import selectors
import socket
import time
from typing import Dict, List, NamedTuple, Optional, Protocol

from . import burden, keeper, log, process, wire

# A keeper that does not fork for so long is stuck.
PATIENCE = 10.0


class Household(Protocol):
    """What a nursery needs of the leader."""

    def start_keeper(self, slot: int, control: socket.socket, sock: socket.socket) -> int:
        """Fork a keeper that may have to be the worker of ``slot``; its pid."""

    def start_alone(self, slot: int, why: int) -> None:
        """Start a worker that loads a copy of its own, because of ``burden.WHY[why]``; now or later, never raises."""

    def postpone(self, slot: int, error: OSError) -> None:
        """A worker cannot be started now: ask for it again later."""

    def announce(self, pid: int) -> None:
        """Process ``pid`` keeps the model now, 0 for none."""

    def welcome(self, slot: int, pid: int, sock: socket.socket) -> None:
        """A worker is there; ``sock`` is the front's end."""

    def bury(self, slot: int, pid: int, sock: socket.socket, status: int) -> None:
        """A keeper that was to bring the worker of ``slot`` has ended; ``sock`` holds its last words."""


class Birth(NamedTuple):
    """A worker that is asked for: the front's end of its socket, until when it must be there."""

    slot: int
    sock: socket.socket
    until: float


class Trial(NamedTuple):
    """The fork that has to prove that forks can predict."""

    birth: Birth
    pid: int


class Nursery:
    """``way``: "fork" or "spawn" once it is known, "" before that and while a keeper loads."""

    def __init__(
        self, household: Household, selector: selectors.BaseSelector, patience: float = PATIENCE
    ) -> None:
        self.way = ""
        self.why = burden.NONE
        self.keeper = 0
        self._household = household
        self._selector = selector
        self._waiting: List[int] = []
        self._ready = False
        self._control: Optional[socket.socket] = None
        self._first = 0
        self._words: Optional[socket.socket] = None
        self._births: Dict[int, Birth] = {}
        self._trial: Optional[Trial] = None
        self._patience = patience  # until a fork is there
        self._proof = patience  # until a first fork has predicted

    def pids(self) -> List[int]:
        """The keeper and a first fork that has not proven itself."""
        return [pid for pid in (self.keeper, self._trial.pid if self._trial else 0) if pid]

    def give_up(self, why: int) -> None:
        """Never fork from a keeper."""
        self.way, self.why = "spawn", why

    def want(self, slot: int) -> None:
        """Have a worker for ``slot``, now or as soon as there can be one.

        Raises:
            OSError: no process can be made now.
        """
        if self.way == "spawn":
            self._household.start_alone(slot, self.why)
        elif not self.keeper:
            self._start(slot)
            self._waiting.append(slot)
        elif self.way == "fork" and self._ready:
            self._order(slot, 0)
        else:
            self._waiting.append(slot)

    def limit(self) -> Optional[float]:
        """Monotonic time until which something has to happen; None when nothing is awaited."""
        times = [birth.until for birth in self._births.values()]
        if self._trial is not None:
            times.append(self._trial.birth.until)
        return min(times) if times else None

    def check(self, now: float) -> None:
        """End what did not happen in time."""
        if self._trial is not None and self._trial.birth.until <= now:
            process.kill_group(self._trial.pid)
            self._refute(burden.HANGS)
        if any(birth.until <= now for birth in self._births.values()):
            log.say("leader", f"the keeper (pid {self.keeper}) does not fork any more")
            process.kill_group(self.keeper)
            self._births = {
                slot: birth._replace(until=now + self._patience)
                for slot, birth in self._births.items()
            }

    # Keeper

    def _start(self, slot: int) -> None:
        ours, theirs = socket.socketpair()
        words, last = socket.socketpair()
        try:
            self.keeper = self._household.start_keeper(slot, theirs, last)
        except OSError:
            ours.close()
            words.close()
            raise
        finally:
            theirs.close()
            last.close()
        self._first, self._ready, self._control, self._words = slot, False, ours, words
        self._selector.register(ours, selectors.EVENT_READ, self.hear)

    def hear(self) -> None:
        """Take the notes that have come from the keeper and from a first fork."""
        control = self._control
        for note in wire.hear_all(control) if control is not None else ():
            if note is None:
                self._hang_up()
            elif note.kind == keeper.LOADED:
                self._loaded(note.status / 1000)
            elif note.kind == keeper.UNSAFE:
                self._settle_for(note.status)
            elif note.kind == keeper.FORKED:
                self._forked(note)
            elif note.kind == keeper.REFUSED:
                self._refused(note)
            elif note.kind == keeper.PROVEN:
                self._proven(note)
            if self._control is not control:  # closed by what has just been done
                return

    def _hang_up(self) -> None:
        if self._control is not None:
            self._selector.unregister(self._control)
            self._control.close()
            self._control = None

    def _loaded(self, patience: float) -> None:
        self._ready, self._proof = True, patience
        self._household.announce(self.keeper)
        if self.way == "fork":
            self._flush()
        else:
            self._order(self._waiting.pop(0), 1)

    def _settle_for(self, why: int) -> None:
        """The keeper becomes a worker; the others load copies of their own."""
        pid, words, first = self.keeper, self._words, self._first
        self.give_up(why)
        log.say("leader", f"workers: spawn ({burden.WHY[why]})")
        self._hang_up()
        self.keeper, self._words = 0, None
        self._household.announce(0)
        waiting, self._waiting = [slot for slot in self._waiting if slot != first], []
        if words is not None:
            self._household.welcome(first, pid, words)
        for slot in waiting:
            self._household.start_alone(slot, why)

    def _order(self, slot: int, proof: int) -> None:
        ours, theirs = socket.socketpair()
        self._births[slot] = Birth(slot, ours, time.monotonic() + self._patience)
        with theirs:
            if self._control is not None:
                wire.tell(
                    self._control, wire.Note(keeper.FORK, slot, status=proof, fd=theirs.fileno())
                )

    def _flush(self) -> None:
        while self._waiting:
            self._order(self._waiting.pop(0), 0)

    def _forked(self, note: wire.Note) -> None:
        birth = self._births.pop(note.slot)
        if self.way == "fork":
            self._household.welcome(birth.slot, note.pid, birth.sock)
        else:
            until = time.monotonic() + self._proof
            self._trial = Trial(birth._replace(until=until), note.pid)

    def _refused(self, note: wire.Note) -> None:
        birth = self._births.pop(note.slot)
        birth.sock.close()
        self._household.postpone(note.slot, OSError(note.status, os.strerror(note.status)))

    # The first fork

    def _proven(self, note: wire.Note) -> None:
        trial = self._trial
        if trial is None or trial.pid != note.pid:
            return
        self._trial, self.way = None, "fork"
        log.say("leader", f"workers: fork ({keeper.REASONS[keeper.ORIGINS[note.status]]})")
        self._household.welcome(trial.birth.slot, trial.pid, trial.birth.sock)
        self._flush()

    def _refute(self, why: int) -> None:
        trial, self._trial = self._trial, None
        if trial is not None:
            trial.birth.sock.close()
            self._first = trial.birth.slot
            if self._control is not None:
                wire.tell(self._control, wire.Note(keeper.BECOME, self._first, status=why))
            self._settle_for(why)

    # Ends

    def reaped(self, pid: int, status: int) -> bool:
        """True if the process that ended was the keeper or a first fork; everything that follows from it is done."""
        if self._trial is not None and pid == self._trial.pid:
            process.kill_group(pid)
            self._refute(burden.DIES)
            return True
        if pid != self.keeper or not pid:
            return False
        process.kill_group(pid)
        self._lost(status)
        return True

    def _lost(self, status: int) -> None:
        pid, words = self.keeper, self._words
        self._hang_up()
        self.keeper, self._ready, self._words = 0, False, None
        for birth in self._births.values():
            birth.sock.close()
        wanted = sorted({*self._waiting, *self._births})
        if self._trial is not None:
            process.kill_group(self._trial.pid)
            self._trial.birth.sock.close()
            wanted, self._trial = sorted({*wanted, self._trial.birth.slot}), None
        self._births, self._waiting = {}, wanted[1:]
        self._household.announce(0)
        if words is None:
            return
        if wanted:
            self._household.bury(wanted[0], pid, words, status)
        else:
            words.close()
            how = process.describe(status)
            log.say("leader", f"the keeper ended: {how}; the next worker needs a new one")
