# SPDX-License-Identifier: Apache-2.0
"""The futures of tasks that the library knows one by one, by a ticket."""

import ctypes
import enum
import threading
import time
from concurrent import futures
from typing import (TYPE_CHECKING, Any, Callable, Dict, Generic, List, NamedTuple, Optional, Tuple,
                    TypeVar, cast)

from . import _abi, _worker, errors
from ._core import Core, need_room, pieces, wait_in_pieces
from ._future import HELP_DEPTH_MAX, helping
from ._units import nanoseconds, timeout_ns

if TYPE_CHECKING:
    from .group import Group
    from .rules import Rules

T = TypeVar("T")

_lib = _abi.lib
_get_ident = threading.get_ident


class Outcome(enum.IntEnum):
    """How a task ended."""

    DONE = _abi.DONE
    FAILED = _abi.FAILED
    CANCELLED = _abi.CANCELLED
    EXPIRED = _abi.EXPIRED
    SHED = _abi.SHED


class Ended(NamedTuple):
    """What there is to tell of a task that has ended: pool_result_t in workpool.h, in seconds."""

    outcome: Outcome
    code: int         # its cause; -1000: the Python function raised
    attempts: int     # runs begun
    worker: int       # index of the worker that ran it; -1: none
    overran: bool     # it ran longer than run_timeout
    value: int        # what a native function set
    wait_time: float  # from the submit to the first start
    run_time: float   # of the last run
    text: str         # a C++ exception's


class Attempt(NamedTuple):
    """A run of a task that did not succeed."""

    number: int           # of the run, from 1
    error: BaseException  # what it raised; of a native function WorkpoolError with its code
    worker: int           # index of the worker that ran it; -1: none
    start: float          # a point of time.monotonic()
    run_time: float       # in seconds


def read_ended(seen: _abi.Result) -> Ended:
    return Ended(Outcome(seen.outcome), seen.code, seen.attempts, seen.worker,
                 bool(seen.flags & _abi.RESULT_OVERRAN), seen.value, seen.wait_ns / 1e9,
                 seen.run_ns / 1e9, seen.text.decode("utf-8", "replace"))


class TicketFuture(futures.Future, Generic[T]):  # type: ignore[type-arg]
    """A future whose task is the library's to order, delay, cancel and run again.

    ended tells how it ended, None before that. history has the last attempts of a task that failed
    for good, at most 8, the oldest first; of a periodic one those since it last succeeded, and of a
    native one if its pool has dead_letter. call is (fn, args, kwargs) of a Python call until its
    task has ended; a dead letter still has it.

    In a task of the same pool result() and exception() run what they wait for if it has not
    started, or let another worker stand in meanwhile; a task that waits for itself gets
    DeadlockError."""

    def __init__(self, core: Core, rules: "Optional[Rules]") -> None:
        super().__init__()
        self.ended: Optional[Ended] = None
        self.history: Tuple[Attempt, ...] = ()
        self.call: Optional[Tuple[Callable[..., T], Tuple[Any, ...], Dict[str, Any]]] = None
        self._core: Optional[Core] = core
        self._rules = rules
        self._group: "Optional[Group]" = None
        self._ticket = ctypes.c_uint64()

    def cancel(self) -> bool:
        """True: the task will not run, or not again. False: it runs, and is asked to stop, or it is
        over."""
        if self.done():
            return self.cancelled()
        need_room()
        # The winner's done callback has run when this returns.
        status = _lib.pool_cancel(self._ticket)
        return status == _abi.OK or self.cancelled()

    def result(self, timeout: Optional[float] = None) -> T:
        try:
            return cast(T, super().result(self._take_part(timeout)))
        finally:
            del self  # the traceback of an exception refers to this frame

    def exception(self, timeout: Optional[float] = None) -> Optional[BaseException]:
        return super().exception(self._take_part(timeout))

    def _take_part(self, timeout: Optional[float]) -> Optional[float]:
        """What is left of timeout."""
        if not self.is_waited_for_inside():
            return timeout
        end = None if timeout is None else time.monotonic() + timeout
        _wait_inside(lambda span: _lib.pool_wait(self._ticket, 0, span, None, 0), timeout)
        return None if end is None else end - time.monotonic()

    def is_waited_for_inside(self) -> bool:
        """Whether it has not ended, and the calling thread runs a task of the same pool."""
        core = self._core
        return core is not None and not self.done() and _get_ident() in core.busy

    def is_of(self, core: Core) -> bool:
        """Whether it is a task of that pool, and has not ended."""
        return self._core is core

    def accepted(self) -> None:
        """Its ticket is known now."""

    def end(self, ended: Ended) -> None:
        """Its task has ended. Once, on whatever thread."""
        core, self._core = self._core, None
        group, self._group = self._group, None
        dead_letter = None
        if core is not None and ended.outcome == _abi.FAILED:
            dead_letter = core.dead_letter
        if dead_letter is None:
            self.forget()
        self.ended = ended
        if ended.outcome == _abi.DONE:
            self.settle_done(ended)
        elif ended.outcome == _abi.CANCELLED:
            super().cancel()
            self.set_running_or_notify_cancel()
        else:
            error = self.failure(ended)
            self._fail(error)
            if group is not None:
                group.member_failed(error)
            del error
        if dead_letter is not None:
            try:
                dead_letter(self)
            except BaseException:
                _worker.LOGGER.critical("Exception in dead_letter", exc_info=True)
            self.forget()

    def settle_done(self, ended: Ended) -> None:
        raise NotImplementedError

    def failure(self, ended: Ended) -> BaseException:
        text = ended.text or errors.strerror(ended.code)
        if ended.outcome == _abi.SHED:
            return errors.ShedError(ended.code, f"the task was shed: {text}")
        return errors.make(ended.code, text)

    def forget(self) -> None:
        """Lets go of what the task needed."""

    def give_up(self, error: BaseException) -> None:
        """Nobody will tell of its end."""
        self._fail(error)

    def _fail(self, error: BaseException) -> None:
        try:
            self.set_exception(error)
        except futures.InvalidStateError:  # a detached completion queue gives up what just fails
            pass

    def __del__(self, _release: Any = _lib.pool_ticket_release) -> None:
        ticket = getattr(self, "_ticket", None)  # none if there was no stack left to make it
        if ticket:
            _release(ticket)


def _wait_inside(wait: Callable[[int], Any], timeout: Optional[float]) -> None:
    """Calls a function of the library that runs what it waits for, unless that is too deep: see
    HELP_DEPTH_MAX."""
    depth = getattr(helping, "depth", 0)
    if depth >= HELP_DEPTH_MAX:
        return
    need_room()
    helping.depth = depth + 1
    try:
        wait_in_pieces(wait, timeout_ns(timeout))
    finally:
        helping.depth = depth


def wait_for_tickets(tickets: "List[TicketFuture[Any]]", wait_all: bool,
                     timeout: Optional[float]) -> None:
    """In a task of the same pool: waits for one or all of them, and runs what has not started."""
    numbers = (ctypes.c_uint64 * len(tickets))(*[one._ticket.value for one in tickets])
    _wait_inside(lambda span: _lib.pool_wait_many(numbers, len(tickets), int(wait_all), span, None),
                 timeout)


def hand_over(core: Core, task: _abi.Task, future: "TicketFuture[Any]") -> None:
    """Submits the task of future. If this raises, the task has not run and will not."""
    rules = future._rules
    queue = None if rules is None else rules.completions
    if queue is None:
        _submit(core, task, future)
        return
    mark = queue.begin_submit()
    try:
        _submit(core, task, future)
        queue.expect(future._ticket.value, future)
    except errors.WorkpoolError as error:
        raise queue.failure(error) from None
    finally:
        queue.end_submit(mark)


def _submit(core: Core, task: _abi.Task, future: "TicketFuture[Any]") -> None:
    rules, ticket = future._rules, future._ticket
    if core.calls_back or (rules is not None and rules.on_full is not None):
        need_room()
    span_ns = core.submit_timeout_ns
    if rules is not None and rules.submit_timeout is not None:
        span_ns = nanoseconds(rules.submit_timeout)
    count, task.submit_timeout_ns = pieces(span_ns)
    try:
        status = core.insist(lambda: _lib.pool_submit_task(core.handle, ctypes.byref(task),
                                                           ctypes.byref(ticket)), count)
    except BaseException:  # a signal handler's
        if ticket:
            _lib.pool_cancel(ticket)
        raise
    errors.check(status)
    future.accepted()
