# SPDX-License-Identifier: Apache-2.0
"""CompletionQueue: the futures of tasks in the order in which they end, for one reader."""

import ctypes
import time
from types import TracebackType
from typing import TYPE_CHECKING, Any, Dict, Iterator, List, Optional, Type

from . import _abi, errors
from ._core import wait_in_pieces
from ._units import timeout_ns, whole

if TYPE_CHECKING:
    from ._ticket import TicketFuture

_lib = _abi.lib


class CompletionQueue:
    """Tell of the end of at most capacity tasks at a time: tasks name it by Rules(completions=...),
    and a submit for which there is no place raises FullError, so that none is ever lost.

    Iterating yields the futures of its tasks as they end, until all submitted so far have been
    yielded. fileno() makes it fit for selectors and loop.add_reader; call poll(timeout=0) then. It
    serves tasks of several pools, and outlives them. Leaving a with statement closes it."""

    def __init__(self, capacity: int = 1024) -> None:
        handle = ctypes.c_uint64()
        errors.check(_lib.pool_cq_create(whole("capacity", capacity, _abi.CQ_CAPACITY_MAX, 1),
                                         ctypes.byref(handle)))
        self._handle = handle.value
        self._released = False
        self._detached = False
        # By ticket: what has not been taken. A reader may be quicker than the submit that it hears
        # of; it waits for those that are under way.
        self._futures: "Dict[int, TicketFuture[Any]]" = {}
        self._submitting: Dict[object, None] = {}

    @property
    def handle(self) -> int:
        """The pool_cq_t, for C functions that take one."""
        return self._handle

    def __len__(self) -> int:
        """Tasks that have not been taken, whether they have ended or not."""
        return len(self._futures)

    def fileno(self) -> int:
        """A descriptor that is readable while completions wait. Do not read or close it."""
        self.check_open()
        fd: int = _lib.pool_cq_fd(self._handle)
        if fd < 0:
            raise self.failure(errors.last_error(fd))
        return fd

    def poll(self, most: int = 256, timeout: Optional[float] = None) -> "List[TicketFuture[Any]]":
        """The futures of at most most tasks that have ended, the oldest first. Waits for the first
        one; [] if there is none in timeout seconds."""
        places = (_abi.Completion * whole("most", most, _abi.CQ_CAPACITY_MAX, 1))()
        count = ctypes.c_uint32()
        self.check_open()
        try:
            if not wait_in_pieces(lambda span: _lib.pool_cq_poll(
                    self._handle, places, ctypes.sizeof(_abi.Completion), most, span,
                    ctypes.byref(count)), timeout_ns(timeout)):
                return []
        except errors.WorkpoolError as error:
            raise self.failure(error) from None
        taken = [self._take(place.ticket) for place in places[:count.value]]
        # Those of which this package does not know were submitted by C functions.
        return [future for future in taken if future is not None]

    def __iter__(self) -> "Iterator[TicketFuture[Any]]":
        while self._futures:
            try:
                yield from self.poll(1)
            except errors.ClosedError:
                return

    def detach(self) -> None:
        """Nobody hears of its tasks any more: their futures raise ClosedError at once, new ones are
        refused, and what they have to tell is thrown away. The tasks go on. Idempotent."""
        if not self._released:
            errors.check(_lib.pool_cq_detach(self._handle))
            self._detached = True
            self._give_up()

    def close(self) -> None:
        """Detaches it and gives it back: poll() and a submit raise ClosedError. Idempotent."""
        self.detach()
        if not self._released:
            self._released = True
            errors.check(_lib.pool_cq_release(self._handle))

    def __enter__(self) -> "CompletionQueue":
        return self

    def __exit__(self, _type: Optional[Type[BaseException]], _value: Optional[BaseException],
                 _traceback: Optional[TracebackType]) -> None:
        self.close()

    def __del__(self, _release: Any = _lib.pool_cq_release) -> None:
        if not getattr(self, "_released", True):
            _release(self._handle)

    # ---- called by a submit -----------------------------------------------------------------

    def check_open(self) -> None:
        if self._released:
            raise errors.make(_abi.E_CLOSED, "the completion queue is closed")

    def failure(self, error: errors.WorkpoolError) -> errors.WorkpoolError:
        """error, unless it comes from a close() in the meantime."""
        if error.code == _abi.E_BADHANDLE and self._released:
            return errors.make(_abi.E_CLOSED, "the completion queue is closed")
        return error

    def begin_submit(self) -> object:
        self.check_open()
        mark = object()
        self._submitting[mark] = None
        return mark

    def end_submit(self, mark: object) -> None:
        del self._submitting[mark]

    def expect(self, ticket: int, future: "TicketFuture[Any]") -> None:
        self._futures[ticket] = future
        if self._detached:
            self._give_up()

    # -----------------------------------------------------------------------------------------

    def _take(self, ticket: int) -> "Optional[TicketFuture[Any]]":
        while True:
            last = not self._submitting  # looked at first: what has ended is in the table
            future = self._futures.pop(ticket, None)
            if future is not None or last:
                return future
            time.sleep(0.0001)

    def _give_up(self) -> None:
        while self._futures:
            try:
                future = self._futures.popitem()[1]
            except KeyError:  # another thread was quicker
                return
            future.give_up(errors.make(_abi.E_CLOSED, "the completion queue is detached"))
