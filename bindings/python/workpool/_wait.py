# SPDX-License-Identifier: Apache-2.0
"""Waiting for one or all of several futures, also inside a task."""

import time
from concurrent import futures
from typing import Any, Iterable, List, Optional, Set, Tuple, TypeVar, cast

from . import errors
from ._future import HELP_DEPTH_MAX, Future, helping
from ._ticket import TicketFuture, wait_for_tickets

AnyFuture = TypeVar("AnyFuture", bound="futures.Future[Any]")

# How long one that runs gets to end before another one is run here: what the library gives it, too.
_HEAD_START_S = 0.01
# Nothing tells of futures of different kinds at once: they are looked at so often.
_LOOK_S = 0.02


class _Time:
    """What is left of a timeout."""

    def __init__(self, timeout: Optional[float]) -> None:
        self._end = None if timeout is None else time.monotonic() + timeout

    def left(self) -> Optional[float]:
        return None if self._end is None else max(0.0, self._end - time.monotonic())

    def least(self, span: float) -> float:
        left = self.left()
        return span if left is None else min(span, left)

    def is_over(self) -> bool:
        return self.left() == 0.0


def wait_any(given: Iterable[AnyFuture],
             timeout: Optional[float] = None) -> Tuple[Set[AnyFuture], Set[AnyFuture]]:
    """Waits until one of the futures is done, at most timeout seconds. Returns two sets, those that
    are done and the others: concurrent.futures.wait with FIRST_COMPLETED, but for use in tasks.

    There it runs those of the task's own pool that have not started, if none that runs ends soon,
    to their end also if that takes longer than timeout; 0 only looks. Any futures may be among
    them, also of other executors. DeadlockError: it would wait for its own caller."""
    wanted = set(given)
    clock = _Time(timeout)
    tickets, calls = _own(wanted)
    if (tickets or calls) and not clock.is_over():
        if len(tickets) == len(wanted):
            wait_for_tickets(tickets, False, clock.left())
        else:
            _take_one(wanted, tickets, calls, clock)
    return _split(wanted, clock, futures.FIRST_COMPLETED)


def wait_all(given: Iterable[AnyFuture],
             timeout: Optional[float] = None) -> Tuple[Set[AnyFuture], Set[AnyFuture]]:
    """Waits until all of the futures are done; otherwise as wait_any. What they raised stays in
    them."""
    wanted = set(given)
    clock = _Time(timeout)
    tickets, calls = _own(wanted)
    for call in calls:
        if clock.is_over():
            break
        call.take_part()
    if tickets and not clock.is_over():
        wait_for_tickets(tickets, True, clock.left())
    return _split(wanted, clock, futures.ALL_COMPLETED)


def _own(wanted: "Iterable[futures.Future[Any]]"
         ) -> "Tuple[List[TicketFuture[Any]], List[Future[Any]]]":
    """Those that have not ended and that the calling thread may run, because it runs a task of
    their pool: known to the library by tickets, and plain calls."""
    tickets: "List[TicketFuture[Any]]" = []
    calls: "List[Future[Any]]" = []
    if getattr(helping, "depth", 0) >= HELP_DEPTH_MAX:
        return tickets, calls
    for one in wanted:
        if isinstance(one, TicketFuture) and one.is_waited_for_inside():
            tickets.append(one)
        elif isinstance(one, Future) and one.is_waited_for_inside():
            calls.append(one)
    return tickets, calls


def _take_one(wanted: "Set[Any]", tickets: "List[TicketFuture[Any]]",
              calls: "List[Future[Any]]", clock: _Time) -> None:
    """Until one is done, or there is nothing to run and nobody to stand in for."""
    def one_is_done() -> bool:
        return any(one.done() for one in wanted)
    if any(one.running() for one in wanted):
        futures.wait(wanted, clock.least(_HEAD_START_S), futures.FIRST_COMPLETED)
    for call in calls:
        if one_is_done() or clock.is_over():
            return
        call.take_part()
    while tickets and not one_is_done() and not clock.is_over():
        try:
            wait_for_tickets(tickets, False, clock.least(_LOOK_S))
        except errors.DeadlockError:  # others may end
            return


def _split(wanted: "Set[AnyFuture]", clock: _Time,
           when: str) -> "Tuple[Set[AnyFuture], Set[AnyFuture]]":
    return cast("Tuple[Set[AnyFuture], Set[AnyFuture]]",
                futures.wait(wanted, clock.left(), when))
