# SPDX-License-Identifier: Apache-2.0
"""libworkpool for Python: an elastic work-stealing pool behind concurrent.futures.

    with workpool.Executor() as executor:
        print(sum(executor.map(math.sqrt, range(100_000), chunksize=1_000)))
"""

from . import task
from ._abi import lib as _library
from ._native import NativeFuture
from .errors import (CancelledError, ClosedError, DeadlockError, ExpiredError, ForkedError,
                     FullError, InvalidError, RateError, ShedError, SubmitTimeoutError,
                     WorkpoolError)
from .executor import Executor
from ._future import Future
from ._options import Option, options, preset
from ._tasks import TaskFuture
from ._ticket import Attempt, Ended, Outcome, TicketFuture
from ._wait import wait_all, wait_any
from .budget import Budget
from .completions import CompletionQueue
from .group import Group
from .pool import Pool
from .rules import Rate, Retry, Rules, TryAgain
from .scaling import Decision, Load, Policy
from .stats import Running, Stats
from .tokens import CancelToken

__all__ = [
    "Attempt", "Budget", "CancelToken", "CancelledError", "ClosedError", "CompletionQueue",
    "DeadlockError", "Decision", "Ended", "Executor", "ExpiredError", "ForkedError", "FullError",
    "Future", "Group", "InvalidError", "Load", "NativeFuture", "Option", "Outcome", "Policy",
    "Pool", "Rate", "RateError", "Retry", "Rules", "Running", "ShedError", "Stats",
    "SubmitTimeoutError", "TaskFuture", "TicketFuture", "TryAgain", "WorkpoolError", "options",
    "preset", "task", "version", "wait_all", "wait_any",
]


def version() -> str:
    """The version of the loaded libworkpool."""
    text: bytes = _library.pool_version()
    return text.decode("ascii")
