"""The two ways to ask: closed (a new request when an answer is there) and open (a new request when it is due)."""

from __future__ import annotations

import resource
import select
import time

from .connections import Connections
from .orders import Order, Result

# For the answers that are under way when the time is over; a server that holds one longer has lost it.
DRAIN_SECONDS = 30.0
TICK_SECONDS = 0.5


def run(order: Order) -> Result:
    """Carry out an order."""
    result = Result()
    before = _cpu()
    links = Connections(order.target, order.connections, result)
    try:
        if order.rate:
            _open_loop(order, links, result)
        else:
            _closed_loop(order, links, result)
    finally:
        links.close()
    result.answered = len(links.times)
    result.own_cpu = _cpu() - before
    return result


def _cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def _closed_loop(order: Order, links: Connections, result: Result) -> None:
    poll = select.epoll()
    clock, ask, take, wait = time.perf_counter, links.ask, links.take, poll.poll
    begun = clock()
    for number in links.numbers:
        poll.register(number, select.EPOLLIN)
        ask(number, clock())
    starts = begun + order.warm
    ends = starts + order.seconds
    first = -1
    while (now := clock()) < ends:
        if first < 0 and now >= starts:
            first, starts = len(links.times), now
        for number, _ in wait(TICK_SECONDS):
            try:
                if take(number):
                    ask(number, clock())
            except OSError:
                fresh = links.renew()
                poll.register(fresh, select.EPOLLIN)
                ask(fresh, clock())
    result.seconds = now - starts
    result.latencies = links.times[max(first, 0) :].tolist()
    _drain(links, set(links.numbers), result)
    poll.close()


def _open_loop(order: Order, links: Connections, result: Result) -> None:
    """Latency counts from when a request was due, so a slow answer is not hidden by the requests that wait for it."""
    clock = time.perf_counter
    idle, busy = list(links.numbers), set[int]()
    begun = clock()
    total = int((order.warm + order.seconds) * order.rate)
    first, sent, starts = -1, 0, begun
    while sent < total:
        due = begun + sent / order.rate
        now = clock()
        if now >= due and idle:
            if first < 0 and sent >= order.warm * order.rate:
                first, starts = len(links.times), now
            number = idle.pop()
            links.ask(number, due)
            busy.add(number)
            sent += 1
            continue
        # select, not epoll: its time-out is exact to microseconds.
        pause = max(due - now, 0.0) if idle else TICK_SECONDS
        for number in select.select(list(busy), (), (), pause)[0]:
            _settle(links, number, busy, idle)
    _drain(links, busy, result)
    result.seconds = max(clock() - starts, 1e-9) if first >= 0 else 0.0
    result.latencies = links.times[max(first, 0) :].tolist()


def _settle(links: Connections, number: int, busy: set[int], idle: list[int]) -> None:
    try:
        if links.take(number):
            busy.discard(number)
            idle.append(number)
    except OSError:
        busy.discard(number)
        idle.append(links.renew())


def _drain(links: Connections, busy: set[int], result: Result) -> None:
    limit = time.perf_counter() + DRAIN_SECONDS
    while busy and (left := limit - time.perf_counter()) > 0:
        for number in select.select(list(busy), (), (), left)[0]:
            try:
                if links.take(number):
                    busy.discard(number)
            except OSError:
                busy.discard(number)
    if busy:
        result.broken += len(busy)
        result.fault(f"{len(busy)} requests had no answer after {DRAIN_SECONDS:g} s")
