# SPDX-License-Identifier: Apache-2.0
"""Pool: the C API as one object, for calls whose result nobody waits for and for native functions.

Executor is what most programs want. A call through a Pool costs less, because it makes no future.
"""

import ctypes
import itertools
import logging
import sys
import threading
import weakref
from types import TracebackType
from typing import Any, Callable, Dict, Optional, Tuple, Type, Union

from . import _abi, _tasks, errors
from ._core import Call, Core, wait_in_pieces
from ._native import NativeCalls
from ._options import QUEUE_LIMIT, make_settings
from ._tasks import TaskCalls
from ._ticket import TicketFuture
from ._units import timeout_ns
from .budget import Budget
from .rules import Rate, Rules
from .scaling import AnyPolicy, ScalingCalls
from .stats import Running

_lib = _abi.lib
_NO_RULES = Rules()


class _PlainCall(Call):
    """fn(*args, **kwargs) whose result nobody waits for."""

    __slots__ = ("_fn", "_args", "_kwargs")

    def __init__(self, fn: Callable[..., object], args: Tuple[Any, ...],
                 kwargs: Dict[str, Any]) -> None:
        self._fn = fn
        self._args = args
        self._kwargs = kwargs

    def run(self) -> bool:
        try:
            _report(self._fn, self._args, self._kwargs)
        except BaseException:
            return False
        return True


def _report(fn: Callable[..., object], args: Tuple[Any, ...], kwargs: Dict[str, Any]) -> None:
    try:
        fn(*args, **kwargs)
    except BaseException:
        # As for a thread's function: nobody else would hear of it.
        threading.excepthook(
            threading.ExceptHookArgs((*sys.exc_info(), threading.current_thread())))
        raise


_Hook = Callable[[int], object]


class _HookPair:
    """What to call on a worker, with its index, and which threads owe a stop."""

    def __init__(self, start: Optional[_Hook], stop: Optional[_Hook]) -> None:
        self.start = start
        self.stop = stop
        self.owing: Dict[int, bool] = {}
        self.given_up = False


# By the number that the library passes back. No lock: what goes from here may end another pool, on
# this thread and just then. Each step is one operation on a dictionary.
_hooks: Dict[int, _HookPair] = {}
_next_hook = itertools.count(1).__next__


def _on_start(number: int, _handle: int, index: int) -> None:
    pair = _hooks.get(number)
    if pair is None:
        return
    pair.owing[threading.get_ident()] = True
    _hooks[number] = pair  # it may have been given up since it was found, and a stop is owed now
    if pair.start is not None:
        _PlainCall(pair.start, (index,), {}).run()


def _on_stop(number: int, _handle: int, index: int) -> None:
    pair = _hooks.get(number)
    if pair is None:
        return
    if pair.stop is not None:
        _PlainCall(pair.stop, (index,), {}).run()
    pair.owing.pop(threading.get_ident(), None)
    if pair.given_up and not pair.owing:
        _hooks.pop(number, None)


def _give_up(hook_ids: Dict[int, int]) -> None:
    """The pool has ended, or will: the pairs go when no thread owes a stop any more."""
    numbers = list(hook_ids.values())
    hook_ids.clear()
    for number in numbers:
        pair = _hooks.get(number)
        if pair is None:
            continue
        pair.given_up = True
        if not pair.owing:
            _hooks.pop(number, None)


def _abandon(core: Core, hook_ids: Dict[int, int]) -> None:
    core.abandon()
    _give_up(hook_ids)


_start_callback = _abi.HOOK_FN(_on_start)
_stop_callback = _abi.HOOK_FN(_on_stop)
_START = _abi.address(_start_callback)
_STOP = _abi.address(_stop_callback)


class Pool(NativeCalls, TaskCalls, ScalingCalls):
    """An elastic pool of native workers.

    workers_min    workers kept when idle
    workers_max    most workers; 0 = automatic: 1024, or what limits on threads leave
    policy         what finds their number between these: see set_policy()
    budget         a Budget against which they count, as those of other pools do; not with prestart
                   and tune()
    budget_floor   of it so many are the pool's whenever its tasks wait
    budget_weight  and its share of the rest, relative to the others: 1 ... 1000
    keep_alive     seconds that an idle worker above workers_min stays; None = for ever
    name           shown in thread names

    Order (workpool.h has what each promises):
    strategy       "stealing", "fifo", "lifo" (newest first), "priority" (Rules.priority, strictly)
    lanes          with "stealing": priorities, 3 by default (-1, 0, 1), at most 16
    aging          with lanes: seconds per level after which a lower one has its share; None = never
    lane_limit     tasks that may wait in each lane but that of priority 0

    Admission:
    queue_limit    calls accepted and not yet started; None = without limit
    queue_limit_bytes  sum of Rules.cost_bytes of those
    on_full        at a limit: "reject" raises FullError, "block" waits for room (stats().rejected
                   then counts the pieces of 0.1 s in which there was none), "caller_runs" runs the
                   call in submit, "drop_oldest" and "drop_lowest" shed what waits
    submit_timeout seconds that "block" waits, then SubmitTimeoutError; None = for ever
    rate           tasks that start at most: Rate(count, per, burst), or a number for each second
    on_rate        without a token for it: "delay" (the task waits in the pool), "block", "reject"
                   (RateError)
    codel_target   sheds tasks while all have waited longer than so many seconds for codel_interval
    queue_high     watermark(True, waiting) is called when so many tasks wait, and
                   watermark(False, waiting) when they are down to queue_low

    Failure:
    retry_budget   retries that begin at most, as for rate, with a burst of as many
    dead_letter    called with the future of every task that failed for good: its call is what to
                   run once more, its exception() what it raised last, its history a tuple of
                   Attempt; deque(maxlen=n).append keeps the last n
    stuck_after    seconds after which a run is stuck: stuck(Running) is called once, and running()
                   tells more

    log            a logging.Logger, or a function of a level of logging and a text, as its log():
                   what the pool has to say, from any thread, several at once. What calls of a
                   Pool's submit() raise goes to threading.excepthook, not here
    log_level      "off", "error", "warn", "info", "debug": messages of this level and above
    on_exception   of native functions in C++ (a Python exception never is one): "capture", the
                   future raises; "terminate", the process ends where it was thrown, to be debugged

    Threads:
    prestart       workers that are started at once, and waited for
    workers_limit  most threads, with those that stand in for workers that wait; 0 = 4096
    inherit_affinity  True: workers run on the CPUs of the thread that makes the pool, not on all of
                   the process
    task_isolation what a worker puts back after a task that has changed it: "none", "fp"
                   (floating-point control, errno), "full" (signal mask, nice value, CPUs, ...)

    Not an argument is stack_bytes, which is what threading.stack_size() says, or 8 MiB; drop is
    taken, by this package itself.

    Times are seconds, and None is "without". 0 is over at once: keep_alive=0 ends a thread that is
    idle, submit_timeout=0 does not wait, aging=0 rises at once. codel_target and codel_interval are
    more than 0.

    watermark, stuck and a policy are called on a thread that other pools share: be quick. They,
    dead_letter and log are held until the pool has ended, a policy until there is another one.

    Use it in a with statement, or call destroy(). Dropping the last reference, also inside one of
    its own tasks, releases the pool: what waits is cancelled, what runs ends. At the end of the
    interpreter what waits is cancelled, and what runs is waited for, for a second."""

    def __init__(self, *, workers_min: int = 0, workers_max: int = 0,
                 keep_alive: Optional[float] = 1.0, queue_limit: Optional[int] = QUEUE_LIMIT,
                 on_full: str = "reject", name: str = "pool",
                 submit_timeout: Optional[float] = None, strategy: str = "stealing", lanes: int = 0,
                 aging: Optional[float] = 0.1, lane_limit: Optional[int] = None,
                 queue_limit_bytes: Optional[int] = None, rate: Union[None, int, Rate] = None,
                 on_rate: str = "delay", codel_target: Optional[float] = None,
                 codel_interval: float = 0.1, retry_budget: Union[None, int, Rate] = None,
                 dead_letter: Optional[Callable[[TicketFuture[Any]], object]] = None,
                 queue_high: int = 0, queue_low: int = 0,
                 watermark: Optional[Callable[[bool, int], object]] = None,
                 stuck_after: Optional[float] = None,
                 stuck: Optional[Callable[[Running], object]] = None,
                 task_isolation: str = "none", workers_limit: int = 0, prestart: int = 0,
                 inherit_affinity: bool = False, on_exception: str = "capture",
                 log: Union[None, logging.Logger, Callable[[int, str], object]] = None,
                 log_level: str = "info", policy: AnyPolicy = None,
                 budget: Optional[Budget] = None, budget_floor: int = 0,
                 budget_weight: int = 1) -> None:
        self._core = Core(make_settings(
            workers_min=workers_min, workers_max=workers_max, keep_alive=keep_alive,
            queue_limit=queue_limit, on_full=on_full, submit_timeout=submit_timeout,
            strategy=strategy, lanes=lanes, aging=aging, lane_limit=lane_limit,
            queue_limit_bytes=queue_limit_bytes, rate=rate, on_rate=on_rate,
            codel_target=codel_target, codel_interval=codel_interval, retry_budget=retry_budget,
            dead_letter=dead_letter, queue_high=queue_high, queue_low=queue_low,
            watermark=watermark, stuck_after=stuck_after, stuck=stuck,
            task_isolation=task_isolation, workers_limit=workers_limit, prestart=prestart,
            inherit_affinity=inherit_affinity, on_exception=on_exception, log=log,
            log_level=log_level, policy=policy, budget=budget, budget_floor=budget_floor,
            budget_weight=budget_weight), name)
        self._hook_ids: Dict[int, int] = {}
        finalizer = weakref.finalize(self, _abandon, self._core, self._hook_ids)
        finalizer.atexit = False

    @property
    def handle(self) -> int:
        """The pool_t, for C functions that take one. 0 when it is destroyed or released."""
        return self._core.handle

    def submit(self, fn: Callable[..., object], /, *args: Any, **kwargs: Any) -> None:
        """Runs fn(*args, **kwargs) on a worker. What it raises goes to threading.excepthook, or to
        dead_letter if the pool has that."""
        core = self._core
        core.had_calls = True
        if not core.one_by_one:
            core.submit(_PlainCall(fn, args, kwargs))
        elif core.dead_letter is not None:
            _tasks.submit(None, core, _NO_RULES, fn, args, kwargs)
        else:
            _tasks.submit(None, core, _NO_RULES, _report, (fn, args, kwargs), {}, called=fn)

    def wait_idle(self, timeout: Optional[float] = None) -> bool:
        """Waits until no task is queued or running; False: timeout seconds are over."""
        return wait_in_pieces(lambda span: _lib.pool_wait_idle(self._core.handle, span),
                              timeout_ns(timeout))

    def add_hook(self, start: Optional[_Hook] = None, stop: Optional[_Hook] = None) -> int:
        """start(worker_index) runs on every worker before its next task, stop(worker_index) on
        every worker that ran start, when it ends or the hook is removed."""
        number = _next_hook()
        _hooks[number] = _HookPair(start, stop)
        hook = ctypes.c_uint64()
        status = _lib.pool_hook_add(self._core.handle, _START, _STOP, number, ctypes.byref(hook))
        if status != _abi.OK:
            del _hooks[number]
            errors.check(status)
        self._hook_ids[hook.value] = number
        return hook.value

    def remove_hook(self, hook: int) -> None:
        """Runs stop where start ran, and returns when neither runs or will run again."""
        errors.check(_lib.pool_hook_remove(self._core.handle, hook))
        _hooks.pop(self._hook_ids.pop(hook), None)

    def tune(self, workers: int) -> None:
        """Sets the number of workers by hand, also under load; 0 gives it back to the scaler."""
        errors.check(_lib.pool_tune(self._core.handle, workers))

    def pause(self) -> None:
        """Workers take no further task until resume()."""
        errors.check(_lib.pool_pause(self._core.handle))

    def resume(self) -> None:
        errors.check(_lib.pool_resume(self._core.handle))

    def close(self, *, cancel: bool = False, stop: bool = False,
              timeout: Optional[float] = None) -> bool:
        """Accepts no more tasks and waits for those accepted, or cancels those that have not
        started, or with stop also asks those that run to stop (task.should_stop); False: timeout
        seconds are over and it is still closing."""
        mode = _abi.CANCEL_ALL if stop else _abi.CANCEL_QUEUED if cancel else _abi.DRAIN
        return self._core.close(mode, timeout_ns(timeout))

    def destroy(self) -> None:
        """Drains the pool, joins its threads and frees it. Idempotent; not from its own tasks."""
        self._core.wait_destroyed(_abi.DRAIN)
        _give_up(self._hook_ids)

    def release(self) -> None:
        """Gives the pool up: does not wait, cancels what waits, what runs ends. Idempotent."""
        self._core.release()
        _give_up(self._hook_ids)

    def __enter__(self) -> "Pool":
        return self

    def __exit__(self, _type: Optional[Type[BaseException]], _value: Optional[BaseException],
                 _traceback: Optional[TracebackType]) -> None:
        self.destroy()
