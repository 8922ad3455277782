# SPDX-License-Identifier: Apache-2.0
"""Group: tasks that are waited for, and cancelled, as one."""

import ctypes
from concurrent import futures
from types import TracebackType
from typing import TYPE_CHECKING, Any, Callable, List, Optional, Type, TypeVar, Union

from . import _abi, errors
from ._core import need_room, wait_in_pieces
from ._units import timeout_ns
from .rules import Rules

if TYPE_CHECKING:
    from typing_extensions import ParamSpec

    from ._native import NativeFuture
    from ._tasks import TaskFuture
    from .executor import Executor
    from .pool import Pool

    P = ParamSpec("P")

T = TypeVar("T")

_lib = _abi.lib
_NO_RULES = Rules()


class Group:
    """A set of tasks of one pool, as asyncio.TaskGroup is one of an event loop: leaving the with
    statement waits until all members have ended, those too that members have added meanwhile.

    The first member that fails (raises for good, expires or is shed) cancels the group: members
    that have not started are cancelled, those that run are asked to stop (task.should_stop), new
    ones are refused with CancelledError. What it raised is raised when the with statement is left.
    An exception that leaves the statement itself cancels the group as well, and comes first, unless
    it is only that a member was cancelled. A member that is cancelled is no failure.

    In a task of the same pool waiting for a group runs members that have not started, so that tasks
    may have groups of their own. Each member is a task with rules, and costs what these do; it
    comes under the limits of the pool like any other."""

    def __init__(self, pool: "Union[Pool, Executor]") -> None:
        handle = ctypes.c_uint64()
        errors.check(_lib.pool_group_create(pool._core.handle, None, ctypes.byref(handle)))
        self._handle = handle.value
        self._pool = pool
        self._left = False
        self._errors: List[BaseException] = []  # the first one, as a rule

    @property
    def handle(self) -> int:
        """The pool_group_t, for C functions that take one."""
        return self._handle

    def submit(self, fn: "Callable[P, T]", /, *args: "P.args",
               **kwargs: "P.kwargs") -> "TaskFuture[T]":
        """Runs fn(*args, **kwargs) on a worker, as a member."""
        self._check_open()
        return self._pool._submit_task(_NO_RULES, fn, args, kwargs, self)

    def submit_task(self, rules: Rules, fn: "Callable[P, T]", /, *args: "P.args",
                    **kwargs: "P.kwargs") -> "TaskFuture[T]":
        """Runs fn(*args, **kwargs) on a worker as rules say, as a member. A periodic one is waited
        for until it is cancelled."""
        self._check_open()
        return self._pool._submit_task(rules, fn, args, kwargs, self)

    def submit_native(self, fn: Any, arg: Any = None,
                      rules: Optional[Rules] = None) -> "NativeFuture":
        """Runs the native function fn(arg, ctx) as Pool.submit_native does, as a member."""
        self._check_open()
        return self._pool._submit_native(fn, arg, rules, self)

    def wait(self, timeout: Optional[float] = None) -> bool:
        """Waits until every member has ended; False: timeout seconds are over. What members raised
        stays in their futures, and error has the first. A member that calls this gets
        DeadlockError."""
        need_room()
        code = ctypes.c_int32()
        if not wait_in_pieces(lambda span: _lib.pool_group_wait(self._handle, span,
                                                                ctypes.byref(code)),
                              timeout_ns(timeout)):
            return False
        if code.value != 0 and not self._errors:
            # Its completion queue is detached: nobody told what it raised.
            self._errors.append(errors.make(code.value, "a member of the group failed"))
        return True

    def cancel(self) -> None:
        """Cancels members that have not started, asks those that run to stop, refuses new ones.
        Idempotent."""
        need_room()
        errors.check(_lib.pool_group_cancel(self._handle))

    @property
    def error(self) -> Optional[BaseException]:
        """What the first member that failed raised; None: none has, or the with statement has
        raised it."""
        return self._errors[0] if self._errors else None

    def __enter__(self) -> "Group":
        return self

    def __exit__(self, kind: Optional[Type[BaseException]], _value: Optional[BaseException],
                 _traceback: Optional[TracebackType]) -> None:
        try:
            if kind is not None:
                self.cancel()
            self.wait()
        except BaseException:  # Ctrl-C
            self.cancel()
            raise
        finally:
            self._left = True
        error = self.error
        if error is None or not (kind is None or issubclass(kind, futures.CancelledError)):
            return
        self._errors.clear()  # its traceback refers to who holds the group
        try:
            raise error
        finally:
            del self, error, _value, _traceback

    def __del__(self, _release: Any = _lib.pool_group_release) -> None:
        handle = getattr(self, "_handle", 0)
        if handle:
            _release(handle)

    def _check_open(self) -> None:
        if self._left:
            raise errors.make(_abi.E_CLOSED, "the with statement of the group has been left")

    # ---- called at the end of a member ------------------------------------------------------

    def member_failed(self, error: BaseException) -> None:
        if not self._errors:
            self._errors.append(error)
        try:
            need_room()
        except RecursionError:  # then the others run
            return
        _lib.pool_group_cancel(self._handle)
