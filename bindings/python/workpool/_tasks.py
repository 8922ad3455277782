# SPDX-License-Identifier: Apache-2.0
"""Python calls as tasks with rules of their own.

Unlike a plain call each has a native task to itself, which finds it by a number in a table. The
table keeps it, and by it the pool, from the submit to its end."""

import ctypes
import itertools
import threading
import time
from concurrent.futures.thread import BrokenThreadPool
from typing import (TYPE_CHECKING, Any, Callable, Dict, List, Optional, Tuple, TypeVar, Union)

from . import _abi, _worker, errors, stats
from ._core import Core, running
from ._options import to_text
from ._ticket import Attempt, Ended, TicketFuture, hand_over, read_ended
from ._units import U32, choice, name_of, nanoseconds, timeout_ns, whole
from .rules import ON_RATE, Rate, Retry, Rules, TryAgain, rate_of

if TYPE_CHECKING:
    from typing_extensions import ParamSpec

    from .group import Group

    P = ParamSpec("P")

T = TypeVar("T")

_lib = _abi.lib
_get_ident = threading.get_ident
_next_number = itertools.count(1).__next__
_tasks: "Dict[int, TaskFuture[Any]]" = {}

_UNSET: Any = object()


class TaskFuture(TicketFuture[T]):
    """The future of a Python call with rules. running() is true during a run, not between two."""

    def __init__(self, owner: object, core: Core, rules: Rules, fn: Callable[..., T],
                 args: Tuple[Any, ...], kwargs: Dict[str, Any]) -> None:
        super().__init__(core, rules)
        self.call = (fn, args, kwargs)
        self._owner: object = owner  # lives until its last task has ended
        self._retry = rules.retry or core.class_retry.get(rules.class_id)
        self._runs = False
        self._value: T = _UNSET
        self._error: Optional[BaseException] = None
        # Since it last succeeded.
        self._attempts: Tuple[Attempt, ...] = ()

    def running(self) -> bool:
        return self._runs

    def run_once(self, ctx: Optional[int]) -> int:
        """One attempt. Its code for the library; never raises."""
        core, call = self._core, self.call
        assert core is not None and call is not None
        start = time.monotonic()
        if core.broken:
            self._error = BrokenThreadPool(core.broken)
            self._note(ctx, start)
            return _abi.E_RAISED
        del core
        self._error = None
        self._runs = True
        try:
            self._value = call[0](*call[1], **call[2])
            self._attempts = ()
            return _abi.OK
        except BaseException as exc:
            # The traceback refers to this frame; nothing in it may refer back, or keep what the
            # call held.
            del call
            self._error = exc
            self._note(ctx, start)
            return self._code_for(exc)
        finally:
            self._runs = False
            del self

    def _note(self, ctx: Optional[int], start: float) -> None:
        core, error = self._core, self._error
        assert core is not None and error is not None
        try:
            worker = core.workers.get(_get_ident())
            attempt = Attempt(_lib.pool_ctx_attempt(ctx), error,
                              -1 if worker is None else worker.index, start,
                              time.monotonic() - start)
            self._attempts = (*self._attempts, attempt)[-_abi.HISTORY_MAX:]
        except BaseException:  # no room on the stack, or interrupted: what it raised is told anyway
            pass

    def _code_for(self, error: BaseException) -> int:
        try:
            if isinstance(error, TryAgain) or (self._retry is not None
                                               and self._retry.wants(error)):
                return _abi.RETRY
        except BaseException:
            _worker.LOGGER.critical("Exception in Retry.on", exc_info=True)
        return _abi.E_RAISED

    def settle_done(self, _ended: Ended) -> None:
        if self._value is _UNSET:  # there was not even room on the stack for the attempt
            self.set_exception(RecursionError("the task could not begin"))
        else:
            self.set_result(self._value)

    def failure(self, ended: Ended) -> BaseException:
        error = self._error
        if error is not None and ended.outcome == _abi.FAILED and ended.code in (
                _abi.E_RAISED, _abi.RETRY):
            return error
        return super().failure(ended)

    def forget(self) -> None:
        self.call = None
        self._owner = self._group = None

    def end(self, ended: Ended) -> None:
        if ended.outcome == _abi.FAILED:
            self.history = self._attempts
        super().end(ended)
        self.forget_runs()

    def forget_runs(self) -> None:
        """Lets go of what came of them, unless that is the future's now."""
        self._value = _UNSET
        self._error = None
        self._attempts = ()


def submit(owner: object, core: Core, rules: Rules, fn: Callable[..., T], args: Tuple[Any, ...],
           kwargs: Dict[str, Any], called: Any = None,
           group: "Optional[Group]" = None) -> "TaskFuture[T]":
    """Makes a task of a call; owner, if any, is kept until it has ended. called gives the name
    instead of fn."""
    future = TaskFuture(owner, core, rules, fn, args, kwargs)
    task = rules.to_task()
    if group is not None:
        task.group, future._group = group.handle, group
    task.run = _RUN
    task.done = _DONE
    if rules.completions is not None:
        task.drop = _DROP
    if rules.retry is None and future._retry is not None:
        # Not left to the library: to it every exception is a failure like any other.
        future._retry.fill(task)
    if task.name is None and core.watched:
        called = called or fn
        task.name = name_of(getattr(called, "__qualname__", type(called).__qualname__))
    if rules.drops:
        core.may_drop()
    task.arg = number = _next_number()
    _tasks[number] = future
    try:
        hand_over(core, task, future)
    except BaseException:
        if not future._ticket:  # else it was accepted, and a signal handler raised
            _tasks.pop(number, None)
        raise
    return future


def task_futures(core: Core) -> "List[TaskFuture[Any]]":
    """Those of a core that have not ended, the oldest first."""
    return [future for future in list(_tasks.values()) if future.is_of(core)]


class TaskCalls:
    """The part of the C API that Pool and Executor share: tasks with rules."""

    _core: Core

    def submit_task(self, rules: Rules, fn: "Callable[P, T]", /, *args: "P.args",
                    **kwargs: "P.kwargs") -> "TaskFuture[T]":
        """Runs fn(*args, **kwargs) on a worker as rules say. The pool is kept until the task has
        ended, which for a periodic one is when it is cancelled, fails, or the pool is closed."""
        return self._submit_task(rules, fn, args, kwargs)

    def _submit_task(self, rules: Rules, fn: Callable[..., T], args: Tuple[Any, ...],
                     kwargs: Dict[str, Any], group: "Optional[Group]" = None) -> "TaskFuture[T]":
        return submit(self, self._core, rules, fn, args, kwargs, group=group)

    def set_class(self, class_id: int, *, concurrency: int = 0,
                  rate: Union[None, int, Rate] = None, on_rate: Optional[str] = None,
                  retry: Optional[Retry] = None) -> None:
        """Makes class class_id (1 ... 255) of the pool, or changes it for tasks submitted from now
        on: Rules(class_id=...).

        concurrency  at most so many of its tasks run at once, those that wait for a retry included;
                     0 = any number
        rate         so many start at most; a number is one for each second
        on_rate      see Pool; None = the pool's
        retry        for tasks that have none of their own"""
        options = _abi.ClassOptions()
        errors.check(_lib.pool_class_options_init(ctypes.byref(options), ctypes.sizeof(options)))
        options.concurrency_max = whole("concurrency", concurrency, U32)
        if rate is not None:
            rate = rate_of(rate)
            options.rate_count = rate.count
            options.rate_period_ns = nanoseconds(rate.per)
            options.rate_burst = rate.burst
        if on_rate is not None:
            options.on_rate = choice("on_rate", on_rate, ON_RATE)
        if retry is not None:
            # A function that is asked about exceptions says nothing about native tasks.
            retry.fill(options) if retry.asks_python else retry.fill_native(options)
        errors.check(_lib.pool_class_set(self._core.handle, whole("class_id", class_id, U32),
                                         ctypes.byref(options)))
        if retry is None:
            self._core.class_retry.pop(class_id, None)
        else:
            self._core.class_retry[class_id] = retry

    def set(self, name: str, value: Union[None, str, int, float]) -> None:
        """Changes an option of the pool while it works: set("aging_ms", 250).

        It goes by the library's names for options, which configuration files have too and
        docs/options.md lists; options() tells them, their ranges, and which are live. They differ
        from the arguments of Pool and Executor: a time is in milliseconds and its name ends with
        _ms (aging=0.25 is aging_ms, "250"), a rate is three options (rate_count, rate_period_ms,
        rate_burst). None is "without": "forever", "unlimited", or 0 where that is without a limit;
        ValueError for an option that has none. Words are taken with "-" and with "_"."""
        errors.check(_lib.pool_set(self._core.handle, name.encode("utf-8"),
                                   to_text(name, value).encode("utf-8")))

    def get(self, name: str) -> str:
        """The value of an option by the library's name for it, as text that set() would take."""
        text, size = ctypes.create_string_buffer(64), ctypes.c_size_t()
        errors.check(_lib.pool_get(self._core.handle, name.encode("utf-8"), text, len(text),
                                   ctypes.byref(size)))
        return text.value.decode("utf-8")

    def running(self, longer_than: float = 0.0) -> List[stats.Running]:
        """The tasks that have run for at least longer_than seconds, the longest first. For a pool
        with stuck_after."""
        return stats.read_running(self._core.handle, timeout_ns(longer_than))


def _on_run(number: Optional[int], ctx: Optional[int]) -> int:
    future = _tasks[number]  # type: ignore[index]
    core = future._core
    assert core is not None
    ident = _get_ident()
    around = running.get(ident)
    running[ident] = (ctx, future)
    was_busy = ident in core.busy
    core.busy.add(ident)
    try:
        return future.run_once(ctx)
    finally:
        if not was_busy:
            core.busy.discard(ident)
        if around is None:
            running.pop(ident, None)
        else:
            running[ident] = around
        del future, core, around  # the traceback of what it raised refers to this frame


def _on_done(number: Optional[int], result: Any) -> None:
    future = _tasks[number]  # type: ignore[index]
    if future._rules.completions is None:  # type: ignore[union-attr]
        del _tasks[number]  # type: ignore[arg-type]
    future.end(read_ended(result.contents))


def _on_drop(number: Optional[int], _outcome: int) -> None:
    """The end of a task with a completion queue. If that is detached, done is not called."""
    future = _tasks.pop(number, None)  # type: ignore[arg-type]
    if future is not None:
        future.forget()
        future.forget_runs()


_run_callback = _abi.RUN_FN(_on_run)
_done_callback = _abi.DONE_FN(_on_done)
_drop_callback = _abi.DROP_FN(_on_drop)
_RUN = _abi.address(_run_callback)
_DONE = _abi.address(_done_callback)
_DROP = _abi.address(_drop_callback)
