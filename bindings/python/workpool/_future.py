# SPDX-License-Identifier: Apache-2.0
"""The future of a Python call, which is also the call that a worker runs."""

import threading
from concurrent import futures
from concurrent.futures.thread import BrokenThreadPool
from typing import Any, Callable, Dict, Generic, Optional, Tuple, TypeVar, cast

from ._core import Call, Core

T = TypeVar("T")

# A task that waits runs what it waits for, which may wait and so on. Deeper than this it just
# waits, so that the interpreter's recursion limit stays the caller's.
HELP_DEPTH_MAX = 32

helping = threading.local()
_get_ident = threading.get_ident


class Future(futures.Future, Call, Generic[T]):  # type: ignore[type-arg]
    """result() and exception() without a timeout, called in a task of the same executor, run the
    call right there if it has not started, so that tasks may wait for tasks. In a chain of more
    than 32 such waits on one thread the next one just waits, as in the standard library."""

    def __init__(self, owner: object, core: Core, fn: Callable[..., T], args: Tuple[Any, ...],
                 kwargs: Dict[str, Any]) -> None:
        super().__init__()
        self._core: Optional[Core] = core
        # The owner lives until its last call has run.
        self._call: Optional[Tuple[object, Callable[..., T], Tuple[Any, ...], Dict[str, Any]]] = (
            owner, fn, args, kwargs)

    def run(self) -> bool:
        core, call = self._core, self._call
        self._core = self._call = None
        if core is None or call is None or not self.set_running_or_notify_cancel():
            return True
        if core.broken:
            self.set_exception(BrokenThreadPool(core.broken))
            return False
        del core
        try:
            result = call[1](*call[2], **call[3])
        except BaseException as exc:
            # The traceback refers to this frame; nothing in it may refer back, or keep what the
            # call held.
            del call
            self.set_exception(exc)
            del self
            return False
        del call
        self.set_result(result)
        return True

    def cancel(self) -> bool:
        """True: the call will not run, and what it held is free."""
        core = self._core
        if core is not None and core.claim(self):
            self.discard()
        return super().cancel()

    def discard(self) -> None:
        self._core = self._call = None
        if super().cancel():
            self.set_running_or_notify_cancel()

    def is_waited_for_inside(self) -> bool:
        """Whether it has not started, and the calling thread runs a task of the same executor."""
        core = self._core
        return core is not None and _get_ident() in core.busy

    def take_part(self) -> None:
        """Runs the call here if that is what it takes: see the class."""
        core = self._core
        if core is None or _get_ident() not in core.busy:
            return
        depth = getattr(helping, "depth", 0)
        if depth < HELP_DEPTH_MAX and core.claim(self):
            helping.depth = depth + 1
            try:
                self.run()
            finally:
                helping.depth = depth

    def result(self, timeout: Optional[float] = None) -> T:
        try:
            if timeout is None:
                self.take_part()
            return cast(T, super().result(timeout))
        finally:
            del self  # the traceback of an exception refers to this frame

    def exception(self, timeout: Optional[float] = None) -> Optional[BaseException]:
        if timeout is None:
            self.take_part()
        return super().exception(timeout)
