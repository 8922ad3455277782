# SPDX-License-Identifier: Apache-2.0
"""What stands between a Python object and its native pool.

A Core owns one pool handle and the calls that wait for a worker. Native callbacks are static
trampolines that get the core's number as their argument and find it in a table, so that no callback
object can be collected while the library holds it. One native task is submitted for every call, and
each runs the oldest call there is: calls start in the order of their submission whatever order the
pool's queues keep. A native task that finds no call (cancelled, or run by a waiter) does nothing.
Where it matters which task a call is (_tasks.py), it has one to itself.

The table keeps a core alive from creation until its pool is destroyed or released; the object that
the user holds (Pool, Executor) refers to its core, never the other way round, so that dropping it
releases the pool.

Threads: everything may be called from any thread. wait_destroyed() refuses the pool's own workers.
"""

import atexit
import ctypes
import itertools
import logging
import os
import sys
import threading
import time
from collections import OrderedDict
from typing import (TYPE_CHECKING, Any, Callable, Dict, Iterable, List, Optional, Set, Tuple,
                    TypeVar)

from . import _abi, _worker, errors, scaling, stats
from ._units import name_of

if TYPE_CHECKING:
    from ._options import Settings
    from ._tasks import TaskFuture
    from .rules import Retry

_lib = _abi.lib
_pool_submit = _lib.pool_submit
_get_ident = threading.get_ident

# How long the end of the interpreter waits for what it may not wait for without bound.
EXIT_WAIT_S = 1.0
# And for tasks that it has interrupted.
INTERRUPT_WAIT_S = 1.0
# A wait in C does not see signals: it is cut into pieces of this length, for Ctrl-C.
SIGNAL_CHECK_NS = 100_000_000
FOREVER_NS = 2**63 - 1
# Calls handed over in one native call.
_BATCH = 256

_cores: Dict[int, "Core"] = {}
# Those with a log, from before they are created until they are destroyed: so long the library may
# have something to say. One that was released stays, because nobody tells when its threads end.
_logging: Dict[int, "Core"] = {}
_next_id = itertools.count(1).__next__
exiting = False
# By thread: the context of the call that it runs, and the call if it is a task of its own.
running: "Dict[int, Tuple[Optional[int], Optional[TaskFuture[Any]]]]" = {}


class Call:
    """Something that a worker runs once."""

    def run(self) -> bool:
        """Runs it. Only for who claimed it. Never raises; False: the call failed."""
        raise NotImplementedError

    def discard(self) -> None:
        """Ends it without running. Only for who claimed it."""


AnyCall = TypeVar("AnyCall", bound=Call)


class Core:
    """One native pool, the Python threads that its workers are, and the calls that wait."""

    def __init__(self, settings: "Settings", name: str) -> None:
        options = settings.native
        self.name = name
        self.id = _next_id()
        self.handle = 0
        self.forked = False
        self.broken = ""  # why every call fails, if it does
        self.workers: Dict[int, _worker.Worker] = {}
        # An ordered set. Each single operation on it and on busy is atomic: no lock is needed, and
        # none can be held by a thread that a signal handler or a finaliser interrupts.
        self.waiting: "OrderedDict[Call, None]" = OrderedDict()
        self.busy: Set[int] = set()
        self._finishing = threading.Lock()
        # Each call needs a task of its own, because the pool does not take tasks in the order of
        # their submission, or drops some, or tells about them one by one.
        self.one_by_one = settings.one_by_one
        # Whether a submit may run tasks, or end some.
        self.calls_back = options.on_full not in (_abi.ON_FULL_REJECT, _abi.ON_FULL_BLOCK)
        self.had_calls = False  # set before one_by_one is looked at, see may_drop()
        self.submit_timeout_ns = settings.submit_timeout_ns
        self.watched = options.stuck_after_ns != 0
        self.dead_letter = settings.dead_letter
        self.watermark = settings.watermark
        self.stuck = settings.stuck
        self.log = settings.log
        self.policies = scaling.PolicySeats()
        self.released = False
        self.class_retry: "Dict[int, Retry]" = {}
        if self.watermark is not None:
            options.watermark, options.watermark_user = _WATERMARK, self.id
        if self.stuck is not None:
            options.stuck, options.stuck_user = _STUCK, self.id
        options.name = name_of(name)
        if self.log is not None:
            options.log_fn, options.log_user = _LOG, self.id
            for other in list(_logging.values()):
                if other.released and not other.workers:  # its last lines are not missed
                    _logging.pop(other.id, None)
            _logging[self.id] = self
        handle = ctypes.c_uint64()
        status = _lib.pool_create(ctypes.byref(options), ctypes.byref(handle))
        if status != _abi.OK:
            _logging.pop(self.id, None)
            raise errors.last_error(status)
        self._owned: List[int] = [handle.value]  # pop() decides who ends the pool
        self.handle = handle.value
        self._batch_args = (ctypes.c_void_p * _BATCH)(*[self.id] * _BATCH)
        _cores[self.id] = self
        hook = ctypes.c_uint64()
        status = _lib.pool_hook_add(self.handle, _START, _STOP, self.id, ctypes.byref(hook))
        if status != _abi.OK:
            error = errors.last_error(status)
            self.release()
            raise error
        if settings.policy is not None:
            try:
                self.policies.set(self.handle, settings.policy)
            except BaseException:
                self.release()
                raise

    # ---- calls ------------------------------------------------------------------------------

    def submit(self, call: Call) -> None:
        """Queues one call. If this raises, the call has not run and will not."""
        try:
            self.waiting[call] = None
            status = _pool_submit(self.handle, _RUN, self.id)
            if status == _abi.E_TIMEOUT:  # a piece of the wait for room is over
                status = self.insist(lambda: _pool_submit(self.handle, _RUN, self.id),
                                     pieces(self.submit_timeout_ns)[0] - 1)
        except BaseException:  # a signal handler's
            self.claim(call)
            raise
        if status and self.claim(call):
            raise errors.last_error(status)

    def submit_many(self, calls: Iterable[AnyCall], queued: List[AnyCall]) -> None:
        """Queues calls and appends them to queued as it goes. If this raises, those in queued that
        have not started are not cancelled, and the others have not run and will not."""
        source = iter(calls)
        while True:
            batch = list(itertools.islice(source, _BATCH))
            if not batch:
                return
            try:
                self.waiting.update(dict.fromkeys(batch))
                accepted, status = self._submit_tasks(len(batch))
            except BaseException:  # a signal handler's
                for call in batch:
                    self.claim(call)
                raise
            if status:
                error = errors.last_error(status)
                # Tasks and calls match in number, not one by one: as many of the newest are taken
                # back as were refused, unless other tasks have run them by now.
                refused = [call for call in batch[accepted:] if self.claim(call)]
                queued += [call for call in batch if call not in refused]
                if refused:
                    raise error
            else:
                queued += batch

    def _submit_tasks(self, count: int) -> Tuple[int, int]:
        """Submits count tasks that each run a call. How many were accepted, and the last status."""
        accepted, total = ctypes.c_uint32(), 0

        def submit() -> int:
            nonlocal total
            status: int = _lib.pool_submit_many(self.handle, _RUN, self._batch_args, count - total,
                                                ctypes.byref(accepted))
            total += accepted.value
            return status
        return total, self.insist(submit, pieces(self.submit_timeout_ns)[0])

    def insist(self, submit: Callable[[], Any], count: int) -> int:
        """Submits until it is not a piece of the wait that is over, at most count times."""
        status = _abi.E_TIMEOUT
        while status == _abi.E_TIMEOUT and count > 0:
            status = submit()
            count -= 1
        return status

    def may_drop(self) -> None:
        """A submit is about to drop what waits. Of calls without tasks of their own nobody could
        tell which one it was."""
        if self.one_by_one:
            return
        self.one_by_one = True  # before the look at had_calls: a submit sees this, or this sees it
        if self.had_calls:
            self.one_by_one = False
            raise ValueError("a task with on_full 'drop_oldest' or 'drop_lowest' may drop calls of "
                             "submit(); make the pool with that on_full, or use submit_task() only")

    def claim(self, call: Call) -> bool:
        """True: the call was waiting and is the caller's now."""
        try:
            del self.waiting[call]
        except KeyError:
            return False
        return True

    def discard_waiting(self) -> None:
        """Drops what waits, and so what it holds."""
        while True:
            try:
                self.waiting.popitem()[0].discard()
            except KeyError:
                return

    # ---- called on a worker -----------------------------------------------------------------

    def worker_started(self, index: int) -> None:
        _worker.enter(f"{self.name}_{index}", index, self.workers)

    # ---- the end ----------------------------------------------------------------------------

    def _take(self) -> int:
        """The handle, for the one caller that ends the pool; 0 for all others."""
        try:
            handle = self._owned.pop()
        except IndexError:
            return 0
        self.handle = 0
        _cores.pop(self.id, None)
        return handle

    def release(self) -> None:
        """Gives the pool up without waiting: safe in a finaliser, on any thread, in a task."""
        self.policies.give_up(self.handle, False)
        handle = self._take()
        if handle:
            self.released = True
            _lib.pool_release(handle)
            self.discard_waiting()

    def abandon(self) -> None:
        """The user's object is gone. At the end of the interpreter exit() has the pool."""
        if not exiting:
            self.release()

    def close(self, mode: int, timeout_ns: int) -> bool:
        """False: the time is over and the pool is still closing."""
        need_room()
        closed = wait_in_pieces(lambda span: _lib.pool_close(self.handle, mode, span), timeout_ns)
        if mode != _abi.DRAIN:
            self.discard_waiting()
        return closed

    def wait_destroyed(self, mode: int) -> None:
        """Closes the pool, waits until its tasks have ended and joins its threads. Idempotent."""
        if _get_ident() in self.workers:
            raise errors.make(_abi.E_DEADLOCK,
                              f"{self.name}: a worker cannot wait for its own pool")
        with self._finishing:
            if not self.handle:
                return
            if not self.forked:
                self.close(mode, _abi.FOREVER)
            handle = self._take()
            if handle:
                errors.check(_lib.pool_destroy(handle))
                self.policies.forget()
                _logging.pop(self.id, None)

    def interrupt_tasks(self) -> None:
        """Ends the runs of tasks with rules by SystemExit. If the interpreter took the thread of
        one, its end would have to be told in Python just the same."""
        give_up = time.monotonic() + INTERRUPT_WAIT_S
        interrupted: Set[int] = set()
        while time.monotonic() < give_up:
            idents = {ident for ident, (_, future) in list(running.items())
                      if future is not None and future.is_of(self)}
            for ident in idents - interrupted:
                _worker.interrupt(ident)
            interrupted |= idents
            if not idents:
                return
            time.sleep(0.001)

    def exit(self) -> None:
        """The interpreter ends: what waits is cancelled, what runs is asked to stop and gets
        EXIT_WAIT_S to end."""
        try:
            closed = self.close(_abi.CANCEL_ALL, int(EXIT_WAIT_S * 1e9))
            if not closed:
                self.interrupt_tasks()
                closed = self.close(_abi.CANCEL_ALL, int(EXIT_WAIT_S * 1e9))
            if closed:
                handle = self._take()
                if handle:
                    _lib.pool_destroy(handle)
        finally:
            self.release()


def pieces(span_ns: int) -> Tuple[int, int]:
    """How many equal pieces of at most SIGNAL_CHECK_NS a wait has, and how long each is."""
    if span_ns == FOREVER_NS:
        return FOREVER_NS, SIGNAL_CHECK_NS
    count = -(-span_ns // SIGNAL_CHECK_NS)
    return count, span_ns // count


def need_room(frames: int = 50) -> None:
    """Raises RecursionError unless there is room on the stack for what the library calls back:
    there it could be raised to nobody, and a future would never end."""
    if frames > 0:
        need_room(frames - 1)


def wait_in_pieces(wait: Callable[[int], Any], timeout_ns: int) -> bool:
    """Calls a function of the library that waits. False: the time is over."""
    # Only the main thread runs signal handlers.
    piece = SIGNAL_CHECK_NS if _get_ident() == threading.main_thread().ident else 2**63 - 1
    if timeout_ns == _abi.FOREVER:
        timeout_ns = 2**63 - 1
    end = time.monotonic_ns() + timeout_ns
    while True:
        left = max(0, end - time.monotonic_ns())
        status = wait(min(left, piece))
        if status != _abi.E_TIMEOUT:
            errors.check(status)
            return True
        if left <= piece:
            return False


def _on_run(number: Optional[int], ctx: Optional[int]) -> int:
    core = _cores.get(number)  # type: ignore[arg-type]
    if core is None:
        return _abi.OK
    try:
        call = core.waiting.popitem(last=False)[0]
    except KeyError:
        return _abi.OK
    ident = _get_ident()
    running[ident] = (ctx, None)
    core.busy.add(ident)
    done = call.run()
    del call
    core.busy.discard(ident)
    running.pop(ident, None)
    return _abi.OK if done else _abi.E_RAISED


def _on_start(number: Optional[int], _handle: int, index: int) -> None:
    core = _cores.get(number)  # type: ignore[arg-type]
    if core is not None:
        try:
            core.worker_started(index)
        except BaseException:
            _worker.LOGGER.critical("Exception in a worker's start", exc_info=True)


def _on_stop(_number: Optional[int], _handle: int, _index: int) -> None:
    _worker.leave()


def _on_watermark(number: Optional[int], _handle: int, above: int, waiting: int) -> None:
    core = _cores.get(number)  # type: ignore[arg-type]
    if core is not None and core.watermark is not None:
        try:
            core.watermark(above != 0, waiting)
        except BaseException:
            _worker.LOGGER.critical("Exception in watermark", exc_info=True)


def _on_stuck(number: Optional[int], _handle: int, task: Any) -> None:
    core = _cores.get(number)  # type: ignore[arg-type]
    if core is not None and core.stuck is not None:
        try:
            core.stuck(stats.to_running(task.contents))
        except BaseException:
            _worker.LOGGER.critical("Exception in stuck", exc_info=True)


_LEVELS = {_abi.LOG_ERROR: logging.ERROR, _abi.LOG_WARN: logging.WARNING,
           _abi.LOG_INFO: logging.INFO, _abi.LOG_DEBUG: logging.DEBUG}


def _on_log(number: Optional[int], level: int, text: Optional[bytes]) -> None:
    core = _logging.get(number)  # type: ignore[arg-type]
    if core is None or core.log is None or text is None:
        return
    with _worker.visit():
        try:
            core.log(_LEVELS.get(level, logging.DEBUG), text.decode("utf-8", "replace"))
        except BaseException:
            _worker.LOGGER.critical("Exception in log", exc_info=True)


# The static trampolines. The names keep the callback objects alive, the library gets the addresses.
_run_callback = _abi.RUN_FN(_on_run)
_start_callback = _abi.HOOK_FN(_on_start)
_stop_callback = _abi.HOOK_FN(_on_stop)
_watermark_callback = _abi.WATERMARK_FN(_on_watermark)
_stuck_callback = _abi.STUCK_FN(_on_stuck)
_log_callback = _abi.LOG_FN(_on_log)
_RUN = _abi.address(_run_callback)
_START = _abi.address(_start_callback)
_STOP = _abi.address(_stop_callback)
_WATERMARK = _abi.address(_watermark_callback)
_STUCK = _abi.address(_stuck_callback)
_LOG = _abi.address(_log_callback)


def _at_exit() -> None:
    """Runs before the interpreter takes its threads down: no callback may run after that."""
    global exiting
    exiting = True
    for core in list(_cores.values()):
        try:
            core.policies.give_up(core.handle, True)
            core.exit()
        except errors.WorkpoolError as error:
            print(f"workpool: {core.name}: {error}", file=sys.stderr)
    # Released pools have no handle to wait on; their workers are on their way out.
    deadline = time.monotonic() + EXIT_WAIT_S
    for worker in _worker.alive():
        worker.join(max(0.0, deadline - time.monotonic()))


def _at_exit_at_last() -> None:
    """Finds something only where _at_exit was not called: another library's handler raised before.
    Nothing that waits may run from here on."""
    global exiting
    exiting = True
    for core in list(_cores.values()):
        core.policies.give_up(core.handle, True)
        Core.exit(core)


def _after_fork_in_child() -> None:
    for core in list(_cores.values()):
        core.forked = True
        core.workers.clear()
        core.busy.clear()
        core._finishing = threading.Lock()
    _cores.clear()
    _logging.clear()
    running.clear()
    _worker.forget_all()


atexit.register(_at_exit_at_last)
# As ThreadPoolExecutor: before non-daemon threads are joined, and so before atexit handlers.
# Python 3.8 has no such place; atexit is what its own executor used.
_register = getattr(threading, "_register_atexit", atexit.register)
_register(_at_exit)
os.register_at_fork(after_in_child=_after_fork_in_child)
