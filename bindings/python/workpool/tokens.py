# SPDX-License-Identifier: Apache-2.0
"""CancelToken: asks many tasks to stop, of any pools."""

import ctypes
from types import TracebackType
from typing import Any, Optional, Type

from . import _abi, errors
from ._core import need_room

_lib = _abi.lib


class CancelToken:
    """Cancels the tasks under it that wait, asks those that run to stop (task.should_stop), and
    lets no new ones in. Tasks come under it by Rules(token=...). Cancelling it cancels its children
    too, never its parent.

    As a context manager it is cancelled when the with statement is left by an exception, and in any
    case given back at its end; the tasks go on."""

    def __init__(self, parent: "Optional[CancelToken]" = None) -> None:
        handle = ctypes.c_uint64()
        errors.check(_lib.pool_token_create(0 if parent is None else parent.handle,
                                            ctypes.byref(handle)))
        self._handle = handle.value
        self._reason = 0
        self._released = False

    @property
    def handle(self) -> int:
        """The pool_token_t, for C functions that take one."""
        return self._handle

    def child(self) -> "CancelToken":
        """A token that is cancelled with this one."""
        return CancelToken(self)

    def cancel(self, reason: int = 0) -> None:
        """reason is the code of the tasks cancelled by it: <= -1000, or 0 for the usual one. That
        of the first cancel stays."""
        if not -2**31 <= reason <= 0:
            raise ValueError(f"reason = {reason} is none of yours; use 0, or a code <= -1000")
        need_room()
        errors.check(_lib.pool_token_cancel(self._handle, reason))

    @property
    def reason(self) -> int:
        """What it was cancelled for; 0: it was not."""
        if not self._released:
            reason: int = _lib.pool_token_reason(self._handle)
            if reason in (_abi.E_BADHANDLE, _abi.E_FORKED):
                raise errors.last_error(reason)
            return reason
        return self._reason

    @property
    def cancelled(self) -> bool:
        return self.reason != 0

    def release(self) -> None:
        """Gives the token back; the tasks go on. Idempotent."""
        if not self._released:
            self._reason = self.reason
            self._released = True
            errors.check(_lib.pool_token_release(self._handle))

    def __enter__(self) -> "CancelToken":
        return self

    def __exit__(self, kind: Optional[Type[BaseException]], _value: Optional[BaseException],
                 _traceback: Optional[TracebackType]) -> None:
        if kind is not None and not self._released:
            self.cancel()
        self.release()

    def __del__(self, _release: Any = _lib.pool_token_release) -> None:
        if not getattr(self, "_released", True):
            _release(self._handle)
