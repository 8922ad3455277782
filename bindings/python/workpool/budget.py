# SPDX-License-Identifier: Apache-2.0
"""Budget: a cap on the workers of several pools."""

import ctypes
from typing import Any

from . import _abi, errors
from ._units import U32, whole

_lib = _abi.lib


class Budget:
    """At most workers_max workers in all pools that were made with it: Pool(budget=budget).

    What one pool does not need the others have meanwhile, and give back between two tasks. A pool
    with tasks that wait gets its budget_floor, and of the rest a share by its budget_weight.
    Workers that wait inside a task do not count."""

    def __init__(self, workers_max: int) -> None:
        handle = ctypes.c_uint64()
        errors.check(_lib.pool_budget_create(whole("workers_max", workers_max, U32),
                                             ctypes.byref(handle)))
        self._handle = handle.value
        self._released = False

    @classmethod
    def jobserver(cls) -> "Budget":
        """One whose cap is what GNU make leaves to this process, if it runs in a recipe that may
        have jobs of make's -j: one worker, and one more for each token. WorkpoolError: there is
        none, or it cannot be used; the text says why."""
        handle = ctypes.c_uint64()
        errors.check(_lib.pool_budget_jobserver(ctypes.byref(handle)))
        budget = cls.__new__(cls)
        budget._handle = handle.value
        budget._released = False
        return budget

    @property
    def handle(self) -> int:
        """The pool_budget_t, for C functions that take one."""
        return self._handle

    def set(self, workers_max: int) -> None:
        """Another cap, for what starts from now on. Not for that of a jobserver."""
        errors.check(_lib.pool_budget_set(self._handle, whole("workers_max", workers_max, U32)))

    def release(self) -> None:
        """Gives it back; pools that have it keep it. Idempotent."""
        if not self._released:
            self._released = True
            errors.check(_lib.pool_budget_release(self._handle))

    def __del__(self, _release: Any = _lib.pool_budget_release) -> None:
        if not getattr(self, "_released", True):
            _release(self._handle)
