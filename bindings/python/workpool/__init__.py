# SPDX-License-Identifier: Apache-2.0
"""libworkpool for Python: an elastic work-stealing pool behind concurrent.futures.

    with workpool.Executor() as executor:
        print(sum(executor.map(math.sqrt, range(100_000), chunksize=1_000)))
"""

from ._abi import lib as _library
from ._native import NativeFuture
from .errors import (ClosedError, DeadlockError, ForkedError, FullError, InvalidError,
                     WorkpoolError)
from .executor import Executor
from ._future import Future
from .pool import Pool
from .stats import Stats

__all__ = [
    "ClosedError", "DeadlockError", "Executor", "ForkedError", "FullError", "Future",
    "InvalidError", "NativeFuture", "Pool", "Stats", "WorkpoolError", "version",
]


def version() -> str:
    """The version of the loaded libworkpool."""
    text: bytes = _library.pool_version()
    return text.decode("ascii")
