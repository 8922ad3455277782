# SPDX-License-Identifier: Apache-2.0
"""Native functions as tasks: they run without the interpreter lock, in parallel with Python.

A native function is anything with an address: a function of a library loaded through ctypes, a
CFUNCTYPE object, or the address itself. It must have the type pool_run_fn,
int32_t (*)(void *arg, pool_ctx_t *ctx), or pool_range_fn for parallel_for.
"""

import ctypes
from concurrent import futures
from typing import TYPE_CHECKING, Any, Dict, List, NamedTuple, Optional, Set, Tuple, Union

from . import _abi, errors, stats
from ._core import Core
from ._ticket import Attempt, Ended, TicketFuture, hand_over, read_ended

if TYPE_CHECKING:
    from .group import Group
    from .rules import Rules

_lib = _abi.lib


class NativeFuture(TicketFuture[int]):
    """The end of a native task. result() is the value that it set with pool_ctx_set_value (0 if
    none), or raises WorkpoolError with its code. running() is never true: nobody tells Python."""

    def __init__(self, core: Core, rules: "Optional[Rules]", keep: Any) -> None:
        super().__init__(core, rules)
        self._keep = keep  # function, argument and pool live until the task has ended

    def accepted(self) -> None:
        ticket = self._ticket.value
        told = _by_ticket.setdefault(ticket, self)
        if isinstance(told, _Told):
            del _by_ticket[ticket]
            self.hear(told)

    def hear(self, told: "_Told") -> None:
        self.history = told.history
        self.end(told.ended)

    def settle_done(self, ended: Ended) -> None:
        self.set_result(ended.value)

    def forget(self) -> None:
        self._keep = self._group = None

    def give_up(self, error: BaseException) -> None:
        if not self.done():
            _given_up[self._ticket.value] = self
        super().give_up(error)


class _Told(NamedTuple):
    """What the library has told of the end of a task."""

    ended: Ended
    history: Tuple[Attempt, ...]


# By ticket: the future, or the end of a task that was over before its ticket was known here.
# setdefault() decides which of the two came first.
_by_ticket: Dict[int, Union[NativeFuture, _Told]] = {}

# Tickets of those that failed and whose dead letter is about to tell of it.
_dead: Set[int] = set()

# Those whose completion queue was detached: nobody tells when they no longer need what they keep.
_given_up: Dict[int, NativeFuture] = {}


def _look_after_given_up() -> None:
    for ticket, future in list(_given_up.items()):
        if _lib.pool_wait(ticket, 0, 0, None, 0) == _abi.OK:
            _given_up.pop(ticket, None)
            _by_ticket.pop(ticket, None)
            future.forget()


def _tell(ticket: int, told: _Told) -> None:
    future = _by_ticket.setdefault(ticket, told)
    if isinstance(future, NativeFuture):
        del _by_ticket[ticket]
        future.hear(told)


def _on_done(_arg: Optional[int], result: Any) -> None:
    seen = result.contents
    _tell(seen.ticket, _Told(read_ended(seen), ()))


def _on_done_or_dead(arg: Optional[int], result: Any) -> None:
    """Of a pool with dead letters: those come next, and with the history."""
    if result.contents.outcome == _abi.FAILED:
        _dead.add(result.contents.ticket)
    else:
        _on_done(arg, result)


def _on_dead_letter(_user: Optional[int], _arg: Optional[int], result: Any, history: Any,
                    count: int) -> None:
    seen = result.contents
    if seen.ticket not in _dead:  # a Python call, which has its own; or not of this package
        return
    _dead.discard(seen.ticket)
    first = seen.attempts - count + 1
    _tell(seen.ticket, _Told(read_ended(seen), tuple(
        Attempt(number, errors.make(one.code, errors.strerror(one.code)), one.worker,
                one.start_ns / 1e9, one.run_ns / 1e9)
        for number, one in enumerate(history[:count], first))))


def native_futures(core: Core) -> List[NativeFuture]:
    """Those of a core that have not ended, the oldest first."""
    return [future for future in list(_by_ticket.values())
            if isinstance(future, NativeFuture) and future.is_of(core)]


_done_callback = _abi.DONE_FN(_on_done)
_done_or_dead_callback = _abi.DONE_FN(_on_done_or_dead)
_dead_letter_callback = _abi.DEAD_LETTER_FN(_on_dead_letter)
_DONE = _abi.address(_done_callback)
_DONE_OR_DEAD = _abi.address(_done_or_dead_callback)
DEAD_LETTER = _abi.address(_dead_letter_callback)


def pointer(arg: Any) -> Optional[int]:
    """The address that a native function gets for arg: None, an int, bytes, or what byref(),
    pointer(), an array or create_string_buffer() gives."""
    if arg is None or isinstance(arg, int):
        return arg
    return ctypes.cast(arg, ctypes.c_void_p).value


class NativeCalls:
    """The part of the C API that Pool and Executor share."""

    _core: Core

    def submit_native(self, fn: Any, arg: Any = None,
                      rules: "Optional[Rules]" = None) -> NativeFuture:
        """Runs fn(arg, ctx) on a worker without the interpreter lock, as rules say if given.

        fn, arg and the pool are kept alive until the task has ended."""
        return self._submit_native(fn, arg, rules, None)

    def _submit_native(self, fn: Any, arg: Any, rules: "Optional[Rules]",
                       group: "Optional[Group]") -> NativeFuture:
        if rules is None:
            task = _abi.Task()
            task.struct_size = ctypes.sizeof(task)
        else:
            task = rules.to_task()
            if rules.retry is not None:
                rules.retry.fill_native(task)
            if rules.drops:
                self._core.may_drop()
        task.run = _abi.address(fn)
        task.done = _DONE if self._core.dead_letter is None else _DONE_OR_DEAD
        task.arg = pointer(arg)
        future = NativeFuture(self._core, rules, (fn, arg, self))
        if group is not None:
            task.group, future._group = group.handle, group
        if _given_up:
            _look_after_given_up()
        hand_over(self._core, task, future)
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
