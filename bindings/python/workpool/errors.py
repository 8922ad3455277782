# SPDX-License-Identifier: Apache-2.0
"""What a refused call raises.

The text is the library's own: it names function, field, value, limit and remedy. It is kept per
thread by the library, so check() must be called on the thread that made the call, right after it.
"""

import ctypes
import queue
from concurrent import futures
from typing import Dict, Tuple, Type

from . import _abi


class WorkpoolError(RuntimeError):
    """A call that libworkpool refused, or a native task that failed; code is its status."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(text)
        self.code = code

    def __reduce__(self) -> Tuple[Type["WorkpoolError"], Tuple[int, str]]:
        return type(self), (self.code, str(self))


class InvalidError(WorkpoolError, ValueError):
    """An argument is out of range."""


class FullError(WorkpoolError, queue.Full):
    """The queue limit is reached."""


class RateError(WorkpoolError):
    """A rate limit has no token."""


class SubmitTimeoutError(WorkpoolError, TimeoutError):
    """There was no room, or no token, for all of submit_timeout."""


class ExpiredError(WorkpoolError, TimeoutError):
    """The task's time to start has passed."""


class ShedError(WorkpoolError):
    """The task was dropped while it waited: to make room, or because the queue was too slow."""


class CancelledError(WorkpoolError, futures.CancelledError):
    """The cancel token of a new task was cancelled before. (The result() of a task that was
    cancelled raises concurrent.futures.CancelledError, as for every future.)"""


class ClosedError(WorkpoolError):
    """The pool takes no more tasks, or the completion queue no more completions."""


class DeadlockError(WorkpoolError):
    """The call would wait for its own caller."""


class ForkedError(WorkpoolError):
    """The pool belongs to the parent process."""


_TYPES: Dict[int, Type[WorkpoolError]] = {
    _abi.E_INVALID: InvalidError,
    _abi.E_FULL: FullError,
    _abi.E_TIMEOUT: SubmitTimeoutError,
    _abi.E_CLOSED: ClosedError,
    _abi.E_CANCELLED: CancelledError,
    _abi.E_EXPIRED: ExpiredError,
    _abi.E_RATE: RateError,
    _abi.E_DEADLOCK: DeadlockError,
    _abi.E_FORKED: ForkedError,
}


def strerror(code: int) -> str:
    """The library's sentence for a status."""
    text: bytes = _abi.lib.pool_strerror(code)
    return text.decode("utf-8", "replace")


def make(code: int, text: str) -> WorkpoolError:
    """The exception for a status."""
    return _TYPES.get(code, WorkpoolError)(code, text)


def last_error(code: int) -> WorkpoolError:
    """The exception for the call that has just returned code on this thread."""
    seen = ctypes.c_int32()
    text = ctypes.create_string_buffer(1024)
    _abi.lib.pool_last_error(ctypes.byref(seen), text, len(text), None)
    said = text.value.decode("utf-8", "replace") if seen.value == code else ""
    return make(code, said or strerror(code))


def check(code: int) -> None:
    """Raises unless the call that has just returned code on this thread succeeded."""
    if code != _abi.OK:
        raise last_error(code)
