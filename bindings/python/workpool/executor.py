# SPDX-License-Identifier: Apache-2.0
"""Executor: a concurrent.futures executor whose threads are a libworkpool pool.

It takes the place of ThreadPoolExecutor: same arguments, same order of start, same behaviour at
shutdown and at the end of the interpreter. In addition its threads come and go with the load, a
task may wait for the future of another one without starving the pool, map() honours chunksize,
native functions run as tasks without the interpreter lock, tasks may have rules (priority, retries,
times, ...), and tune() and stats() are there.
"""

import itertools
import os
import threading
import time
import weakref
from concurrent import futures
from concurrent.futures.thread import BrokenThreadPool
from typing import (TYPE_CHECKING, Any, Callable, Dict, Iterable, Iterator, List, Optional, Set,
                    Tuple, TypeVar, Union)

from . import _abi, _core, _tasks, _worker, errors
from ._core import Call, Core
from ._future import Future
from ._native import NativeCalls, native_futures
from ._options import Settings, make_settings
from ._tasks import TaskCalls, TaskFuture, task_futures
from .group import Group
from .rules import Rules
from .scaling import ScalingCalls

if TYPE_CHECKING:
    from typing_extensions import ParamSpec

    P = ParamSpec("P")

T = TypeVar("T")

_lib = _abi.lib
# How long _threads waits for workers that are about to start.
_SETTLE_S = 1.0
# What 0 means for workers_max.
_AUTOMATIC = 1024
_NO_RULES = Rules()


class _ExecutorCore(Core):
    """Adds the initializer and what makes submit refuse."""

    def __init__(self, settings: Settings, name: str, workers: int,
                 initializer: Optional[Callable[..., object]], initargs: Tuple[Any, ...]) -> None:
        self.workers_wanted = workers
        self.shut = False
        self._initializer = initializer
        self._initargs = initargs
        super().__init__(settings, name)

    def worker_started(self, index: int) -> None:
        super().worker_started(index)
        if self._initializer is None:
            return
        try:
            self._initializer(*self._initargs)
        except BaseException:
            futures._base.LOGGER.critical("Exception in initializer:", exc_info=True)
            self.broken = "A thread initializer failed, the thread pool is not usable anymore"
            # The workers fail what waits, now and later: one native task comes for every call.

    def refuse(self) -> None:
        """Raises what a submit deserves, if it does."""
        if self.broken:
            raise BrokenThreadPool(self.broken)
        if self.forked:
            raise errors.make(_abi.E_FORKED, f"{self.name}: the executor belongs to the parent "
                              "process; make a new one in the child")
        if self.shut:
            raise RuntimeError("cannot schedule new futures after shutdown")
        if _core.exiting:
            raise RuntimeError("cannot schedule new futures after interpreter shutdown")

    def cancel_waiting(self) -> int:
        """Cancels what waits, the newest first, but for what idle workers would have taken by now
        had they been quicker to wake. Of tasks with rules all that do not run, because they may
        have to wait for their time. Returns how many calls are left waiting."""
        spare = max(0, self.workers_wanted - len(self.busy))
        cancelled: List[Call] = []
        while len(self.waiting) > spare:
            try:
                cancelled.append(self.waiting.popitem()[0])
            except KeyError:
                break
        for call in reversed(cancelled):
            call.discard()
        for native in native_futures(self)[max(0, spare - len(self.waiting)):]:
            native.cancel()
        for task in reversed(task_futures(self)):
            if not task.running():
                task.cancel()
        return len(self.waiting)

    def exit(self) -> None:
        """The interpreter ends: everything that was accepted still runs, however long it takes."""
        try:
            self.wait_destroyed(_abi.DRAIN)
        finally:
            if self.handle:
                # Ctrl-C: the rest is cancelled, first, or it would begin when what runs is ended. And
                # waited for: no callback may run when the interpreter takes its threads down.
                self.close(_abi.CANCEL_ALL, 0)
                self.interrupt_tasks()
                self.close(_abi.CANCEL_ALL, int(_core.INTERRUPT_WAIT_S * 1e9))
                self.release()


class Executor(NativeCalls, TaskCalls, ScalingCalls, futures.Executor):
    """ThreadPoolExecutor on libworkpool.

    max_workers         as the standard executor: by default min(32, CPUs + 4)
    thread_name_prefix  threads are called prefix_0, prefix_1, ...
    initializer         called with initargs on each thread when it starts; if it raises, the
                        executor is broken and raises BrokenThreadPool
    keep_alive          seconds after which an idle thread ends; None = threads stay
    queue_limit         calls that may wait; None = without limit, as the standard executor
    on_full             at that limit: "reject" raises FullError, "block" waits for room, ...
    options             submit_timeout, strategy, lanes, aging, lane_limit, queue_limit_bytes, rate,
                        on_rate, codel_target, codel_interval, retry_budget, dead_letter,
                        queue_high, queue_low, watermark, stuck_after, stuck, log, log_level,
                        on_exception, prestart, workers_limit, inherit_affinity, task_isolation,
                        policy, budget, budget_floor, budget_weight: as for Pool; workers_max, as
                        preset() has it, is max_workers

    What was submitted still finishes when the last reference is dropped, and at the end of the
    interpreter."""

    _counter = itertools.count().__next__

    def __init__(self, max_workers: Optional[int] = None, thread_name_prefix: str = "",
                 initializer: Optional[Callable[..., object]] = None,
                 initargs: Tuple[Any, ...] = (), *, keep_alive: Optional[float] = 60.0,
                 queue_limit: Optional[int] = None, on_full: str = "reject",
                 **options: Any) -> None:
        automatic = options.pop("workers_max", 0)
        if max_workers is None and automatic != 0:
            max_workers = automatic
        if max_workers is None:
            count = getattr(os, "process_cpu_count", os.cpu_count)
            max_workers = min(32, (count() or 1) + 4)
        if max_workers <= 0:
            raise ValueError("max_workers must be greater than 0")
        if initializer is not None and not callable(initializer):
            raise TypeError("initializer must be a callable")
        self._max_workers = max_workers
        self._thread_name_prefix = (thread_name_prefix
                                    or f"{type(self).__name__}-{Executor._counter()}")
        self._core: _ExecutorCore = _ExecutorCore(
            make_settings(workers_min=0, workers_max=max_workers, keep_alive=keep_alive,
                          queue_limit=queue_limit, on_full=on_full, **options),
            self._thread_name_prefix, max_workers, initializer, initargs)
        finalizer = weakref.finalize(self, self._core.abandon)
        finalizer.atexit = False

    # ---- concurrent.futures.Executor --------------------------------------------------------

    def submit(self, fn: "Callable[P, T]", /, *args: "P.args",
               **kwargs: "P.kwargs") -> "futures.Future[T]":
        """Runs fn(*args, **kwargs) on a worker; calls start in the order of their submission,
        unless the strategy says otherwise."""
        core = self._core
        core.had_calls = True
        if core.one_by_one:
            return self._submit_task(_NO_RULES, fn, args, kwargs)
        core.refuse()
        future: "Future[T]" = Future(self, core, fn, args, kwargs)
        try:
            core.submit(future)
        except errors.WorkpoolError:
            core.refuse()  # shut down in the meantime
            raise
        return future

    def _submit_task(self, rules: Rules, fn: Callable[..., T], args: Tuple[Any, ...],
                     kwargs: Dict[str, Any], group: Optional[Group] = None) -> "TaskFuture[T]":
        core = self._core
        core.refuse()
        try:
            return _tasks.submit(self, core, rules, fn, args, kwargs, group=group)
        except errors.WorkpoolError:
            core.refuse()
            raise

    def map(self, fn: Callable[..., T], *iterables: Iterable[Any], timeout: Optional[float] = None,
            chunksize: int = 1) -> Iterator[T]:
        """As the built-in map, in parallel; results come in the order of the arguments.

        With chunksize > 1 that many calls are one task: one future and one crossing from native
        code for all of them, which is what makes short functions pay. A call that raises ends its
        chunk; its exception is raised in its place. All calls are submitted before map returns."""
        if chunksize < 1:
            raise ValueError("chunksize must be >= 1.")
        deadline = None if timeout is None else time.monotonic() + timeout
        core = self._core
        core.refuse()
        calls = zip(*iterables)
        if chunksize == 1:
            singles: "List[futures.Future[T]]" = []
            self._submit_all(((fn, args) for args in calls), singles)
            return _results(singles, deadline)
        chunks: "List[futures.Future[_Part[T]]]" = []
        self._submit_all(((_run_chunk, (fn, chunk)) for chunk in _chunked(calls, chunksize)),
                         chunks)
        return _flat(_results(chunks, deadline))

    def _submit_all(self, calls: Iterable[Tuple[Callable[..., Any], Tuple[Any, ...]]],
                    queued: List[Any]) -> None:
        core = self._core
        core.had_calls = True
        try:
            if core.one_by_one:
                for fn, args in calls:
                    queued.append(_tasks.submit(self, core, _NO_RULES, fn, args, {}))
            else:
                core.submit_many((Future(self, core, fn, args, {}) for fn, args in calls), queued)
        except BaseException:
            for future in queued:
                future.cancel()
            core.refuse()
            raise

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Accepts no more calls. wait: returns when all have ended and the threads are gone.
        cancel_futures: cancels what waits, but for what idle workers are about to take."""
        core = self._core
        core.shut = True
        if not core.handle or core.forked:
            core.wait_destroyed(_abi.DRAIN)
            return
        mode = _abi.DRAIN
        if cancel_futures and core.cancel_waiting() == 0:
            mode = _abi.CANCEL_QUEUED  # no call is left for the native tasks in the queue
        if wait:
            core.wait_destroyed(mode)
            return
        try:
            core.close(mode, 0)
        except errors.WorkpoolError:
            if core.handle:  # else another thread has ended it in the meantime
                raise

    # ---- beyond the standard executor -------------------------------------------------------

    def tune(self, workers: int) -> None:
        """Sets the number of workers by hand, also under load; 0 gives it back to the scaler."""
        errors.check(_lib.pool_tune(self._core.handle, workers))
        self._core.workers_wanted = workers or self._max_workers

    def set(self, name: str, value: Union[None, str, int, float]) -> None:
        super().set(name, value)
        if name == "workers_max":
            self._max_workers = self._core.workers_wanted = int(self.get(name)) or _AUTOMATIC

    set.__doc__ = TaskCalls.set.__doc__

    # ---- what programs look at although it is private ---------------------------------------

    @property
    def _threads(self) -> Set[_worker.Worker]:
        """The workers. The standard executor has started a thread when submit returns; here workers
        wake each other, so this first lets those start for which calls are waiting."""
        core = self._core
        give_up = time.monotonic() + _SETTLE_S
        while (core.waiting and len(core.workers) < core.workers_wanted
               and core.handle and time.monotonic() < give_up):
            time.sleep(0.001)
        return set(core.workers.values())

    @property
    def _shutdown(self) -> bool:
        return self._core.shut

    @property
    def _broken(self) -> str:
        return self._core.broken


# ---- map ------------------------------------------------------------------------------------

# The results of a chunk up to the call that raised, and what it raised.
_Part = Tuple[List[T], Optional[BaseException]]


def _chunked(calls: Iterator[Tuple[Any, ...]], size: int) -> Iterator[List[Tuple[Any, ...]]]:
    while True:
        chunk = list(itertools.islice(calls, size))
        if not chunk:
            return
        yield chunk


def _run_chunk(fn: Callable[..., T], chunk: List[Tuple[Any, ...]]) -> "_Part[T]":
    values: List[T] = []
    try:
        for args in chunk:
            values.append(fn(*args))
    except BaseException as exc:
        return values, exc
    return values, None


def _flat(parts: "Iterator[_Part[T]]") -> Iterator[T]:
    for values, exc in parts:
        values.reverse()
        while values:
            yield values.pop()  # no reference stays here
        if exc is not None:
            try:
                raise exc
            finally:
                del exc  # its traceback refers to this frame


def _results(pending: "List[futures.Future[T]]", deadline: Optional[float]) -> Iterator[T]:
    """Yields the results in order, without keeping references; cancels the rest when it is left."""
    pending.reverse()

    def results() -> Iterator[T]:
        try:
            while pending:
                # The future goes before its result is yielded.
                yield _result_or_cancel(pending.pop(), deadline)
        finally:
            for future in pending:
                future.cancel()

    return results()


def _result_or_cancel(future: "futures.Future[T]", deadline: Optional[float]) -> T:
    try:
        try:
            return future.result(None if deadline is None else deadline - time.monotonic())
        finally:
            future.cancel()
    finally:
        del future  # the traceback refers to this frame
