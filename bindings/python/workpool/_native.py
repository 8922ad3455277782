# SPDX-License-Identifier: Apache-2.0
"""Native functions as tasks: they run without the interpreter lock, in parallel with Python.

A native function is anything with an address: a function of a library loaded through ctypes, a
CFUNCTYPE object, or the address itself. It must have the type pool_run_fn,
int32_t (*)(void *arg, pool_ctx_t *ctx), or pool_range_fn for parallel_for.
"""

import ctypes
from concurrent import futures
from typing import Any, Dict, List, NamedTuple, Optional, Union

from . import _abi, errors, stats
from ._core import Core

_lib = _abi.lib


class _Ended(NamedTuple):
    outcome: int
    code: int
    value: int
    text: str


class NativeFuture(futures.Future):  # type: ignore[type-arg]
    """The end of a native task. result() is the value that it set with pool_ctx_set_value (0 if
    none), or raises WorkpoolError with its code. running() is never true: nobody tells Python."""

    def __init__(self, core: Core, keep: Any) -> None:
        super().__init__()
        self._core = core
        self._keep = keep  # function, argument and pool live until the task has ended
        self._ticket = 0

    def cancel(self) -> bool:
        """True: the task will never run. False: it runs, and is asked to stop, or is over."""
        if not self.done():
            _lib.pool_cancel(self._ticket)  # the winner's done callback has run when it returns
        return self.cancelled()

    def _end(self, ended: _Ended) -> None:
        self._keep = None
        if ended.outcome == _abi.DONE:
            self.set_result(ended.value)
        elif ended.outcome == _abi.FAILED:
            self.set_exception(errors.make(ended.code, ended.text or errors.strerror(ended.code)))
        else:
            super().cancel()
            self.set_running_or_notify_cancel()

    def __del__(self, _release: Any = _lib.pool_ticket_release) -> None:
        if self._ticket:
            _release(self._ticket)


# By ticket: the future, or the end of a task that was over before its ticket was known here.
# setdefault() decides which of the two came first.
_by_ticket: Dict[int, Union[NativeFuture, _Ended]] = {}


def _on_done(_arg: Optional[int], result: Any) -> None:
    seen = result.contents
    ended = _Ended(seen.outcome, seen.code, seen.value, seen.text.decode("utf-8", "replace"))
    future = _by_ticket.setdefault(seen.ticket, ended)
    if isinstance(future, NativeFuture):
        del _by_ticket[seen.ticket]
        future._end(ended)


def native_futures(core: Core) -> List[NativeFuture]:
    """Those of a core that have not ended, the oldest first."""
    return [future for future in list(_by_ticket.values())
            if isinstance(future, NativeFuture) and future._core is core]


_done_callback = _abi.DONE_FN(_on_done)
_DONE = _abi.address(_done_callback)


def pointer(arg: Any) -> Optional[int]:
    """The address that a native function gets for arg: None, an int, bytes, or what byref(),
    pointer(), an array or create_string_buffer() gives."""
    if arg is None or isinstance(arg, int):
        return arg
    return ctypes.cast(arg, ctypes.c_void_p).value


class NativeCalls:
    """The part of the C API that Pool and Executor share."""

    _core: Core

    def submit_native(self, fn: Any, arg: Any = None) -> "futures.Future[int]":
        """Runs fn(arg, ctx) on a worker without the interpreter lock.

        fn, arg and the pool are kept alive until the task has ended."""
        task = _abi.Task()
        task.struct_size = ctypes.sizeof(task)
        task.run = _abi.address(fn)
        task.done = _DONE
        task.arg = pointer(arg)
        future = NativeFuture(self._core, (fn, arg, self))
        ticket = ctypes.c_uint64()
        status = _abi.E_TIMEOUT
        while status == _abi.E_TIMEOUT:  # as Core.submit
            status = _lib.pool_submit_task(self._core.handle, ctypes.byref(task),
                                           ctypes.byref(ticket))
        errors.check(status)
        future._ticket = ticket.value
        ended = _by_ticket.setdefault(ticket.value, future)
        if isinstance(ended, _Ended):
            del _by_ticket[ticket.value]
            future._end(ended)
        return future

    def parallel_for(self, body: Any, begin: int, end: int, *, grain: int = 0,
                     arg: Any = None) -> int:
        """Runs the native body over [begin, end) on the workers and on this thread; returns when
        all is done, 0 or the first code other than 0 that a body returned. grain 0 is chosen."""
        code = ctypes.c_int32()
        errors.check(_lib.pool_parallel_for(self._core.handle, begin, end, grain, 0,
                                            _abi.address(body), pointer(arg), ctypes.byref(code)))
        return code.value

    def stats(self) -> stats.Stats:
        """A snapshot of the pool's counters."""
        return stats.read(self._core.handle)
