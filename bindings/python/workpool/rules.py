# SPDX-License-Identifier: Apache-2.0
"""How a task is treated: Rules, and what they are made of. workpool.h has the meaning of each field
(pool_task_t); here times are seconds, and None stands for "without"."""

import ctypes
import dataclasses
from typing import Any, Dict, Hashable, Optional, Union

from . import _abi, errors
from ._units import I32, U32, U64, choice, nanoseconds, optional_ns, positive_ns, whole
from .completions import CompletionQueue
from .tokens import CancelToken

ON_FULL: Dict[str, int] = {
    "reject": _abi.ON_FULL_REJECT, "block": _abi.ON_FULL_BLOCK,
    "caller_runs": _abi.ON_FULL_CALLER_RUNS, "drop_oldest": _abi.ON_FULL_DROP_OLDEST,
    "drop_lowest": _abi.ON_FULL_DROP_LOWEST,
}
DROPS = (_abi.ON_FULL_DROP_OLDEST, _abi.ON_FULL_DROP_LOWEST)
ON_RATE: Dict[str, int] = {"reject": _abi.ON_RATE_REJECT, "block": _abi.ON_RATE_BLOCK,
                           "delay": _abi.ON_RATE_DELAY}
_JITTER: Dict[str, int] = {"full": _abi.JITTER_FULL, "equal": _abi.JITTER_EQUAL,
                           "none": _abi.JITTER_NONE}
_PERIOD: Dict[str, int] = {"fixed_rate": _abi.PERIOD_FIXED_RATE,
                           "fixed_delay": _abi.PERIOD_FIXED_DELAY}
# What ctypes makes of a native function, however it was found.
_NativeFunction: Any = type(_abi.lib.pool_version).__mro__[1]


class TryAgain(Exception):
    """Raised by a task that wants to be run again, as far as its Retry allows. After the last
    attempt it is what the future raises, so raise it from the cause."""


@dataclasses.dataclass(frozen=True)
class Rate:
    """At most count starts in each per seconds, and burst of them at once."""

    count: int
    per: float = 1.0
    burst: int = 1

    def __post_init__(self) -> None:
        whole("Rate.count", self.count, U64, 1)
        whole("Rate.burst", self.burst, U32, 1)
        positive_ns("Rate.per", self.per)


def rate_of(given: Union[int, Rate]) -> Rate:
    """A plain number is one for each second."""
    return given if isinstance(given, Rate) else Rate(given)


@dataclasses.dataclass(frozen=True)
class Retry:
    """Run a task again that raised TryAgain, or what on says. It waits in the pool, on no worker.

    max     runs beyond the first
    first   seconds before the first retry; each further delay is factor times the one before, and
            none is longer than cap
    jitter  how a delay is spread at random, so that not all come back at once: "full" (between 0
            and the delay), "equal" (between half of it and all of it), "none"
    on      exceptions: a class, several, or a function that is asked with the exception. For native
            tasks: Exception means every failure; or a native function (pool_retry_fn)"""

    max: int
    first: float = 0.01
    factor: float = 2.0
    cap: float = 30.0
    jitter: str = "full"
    on: Any = ()

    def __post_init__(self) -> None:
        self.fill(_abi.Task())

    @property
    def asks_python(self) -> bool:
        """Whether on is a Python function."""
        return not isinstance(self.on, (type, tuple, int, _NativeFunction))

    def wants(self, error: BaseException) -> bool:
        """Whether a Python task that raised error is to be run again."""
        if isinstance(error, TryAgain):
            return True
        if isinstance(self.on, (type, tuple)):
            return isinstance(error, self.on)
        return bool(self.on(error))

    def fill(self, fields: Any) -> None:
        """Sets the fields that pool_task_t and pool_class_options_t share; on request only."""
        fields.retries_max = whole("Retry.max", self.max, U32, 1)
        fields.backoff_factor_percent = whole("Retry.factor in percent", round(self.factor * 100),
                                              U32, 100)
        fields.backoff_first_ns = nanoseconds(self.first)
        fields.backoff_max_ns = nanoseconds(self.cap)
        fields.backoff_jitter = choice("Retry.jitter", self.jitter, _JITTER)

    def fill_native(self, fields: Any) -> None:
        """And what makes native functions run again."""
        self.fill(fields)
        if self.asks_python:
            raise TypeError("Retry.on is a Python function, and a native task has no exception to "
                            "ask it about; give exceptions or a native function")
        if not isinstance(self.on, (type, tuple)):
            fields.retry_on = _abi.RETRY_ON_FAILURE
            fields.retry_if = _abi.address(self.on)
        elif issubclass(errors.WorkpoolError, self.on):
            fields.retry_on = _abi.RETRY_ON_FAILURE


@dataclasses.dataclass(frozen=True)
class Rules:
    """What a task asks for: submit_task(Rules(priority=1), fn, *args). One object serves many
    tasks, of many pools; dataclasses.replace(rules, key=...) changes it for one.

    Times are in seconds, and None is "without". 0 is a time that is over at once, as in
    concurrent.futures: with queue_timeout=0 the task has expired when it could begin, with
    run_timeout=0 a run is asked to stop from its beginning, submit_timeout=0 does not wait, and
    delay=0 is no delay. A deadline that has passed, as 0 has, makes submit_task raise ExpiredError.

    priority       higher goes first; see strategy and lanes of the pool
    key            tasks of the same key run one after another, in the order of their submission;
                   any hashable value, numbers from 1 to 2**64 - 1 as they are
    class_id       see set_class
    deadline       no run begins after this point of time.monotonic()
    queue_timeout  seconds that it may wait for its first run; then it has expired
    run_timeout    seconds after which a run is asked to stop (task.should_stop)
    delay          seconds before the first run
    period         runs again and again, every so many seconds, more than 0, until it fails or is
                   cancelled
    period_mode    "fixed_rate": runs begin on a grid, missed ones are left out; "fixed_delay":
                   period lies between the end of a run and the beginning of the next
    retry          see Retry; None = that of its class
    token          see CancelToken
    completions    see CompletionQueue
    cost_bytes     counts against queue_limit_bytes of the pool while it waits
    on_full, on_rate, submit_timeout   instead of the pool's
    name           for logs and running()"""

    priority: int = 0
    key: Optional[Hashable] = None
    class_id: int = 0
    deadline: Optional[float] = None
    queue_timeout: Optional[float] = None
    run_timeout: Optional[float] = None
    delay: Optional[float] = None
    period: Optional[float] = None
    period_mode: str = "fixed_rate"
    retry: Optional[Retry] = None
    token: Optional[CancelToken] = None
    completions: Optional[CompletionQueue] = None
    cost_bytes: int = 0
    on_full: Optional[str] = None
    on_rate: Optional[str] = None
    submit_timeout: Optional[float] = None
    name: Optional[str] = None
    _made: _abi.Task = dataclasses.field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        task = _abi.Task()
        task.struct_size = ctypes.sizeof(task)
        task.priority = whole("priority", self.priority, I32, -I32 - 1)
        if self.key is not None:
            task.key = _key(self.key)
        task.class_id = whole("class_id", self.class_id, _abi.CLASS_MAX)
        if self.deadline is not None:
            task.deadline_ns = nanoseconds(max(self.deadline, 0.0))
        task.queue_timeout_ns = optional_ns(self.queue_timeout)
        task.run_timeout_ns = optional_ns(self.run_timeout)
        task.delay_ns = 0 if self.delay == 0 else optional_ns(self.delay)
        if self.period is not None:
            task.period_ns = positive_ns("period", self.period)
        task.period_mode = choice("period_mode", self.period_mode, _PERIOD)
        if self.retry is not None:
            self.retry.fill(task)
        if self.token is not None:
            task.token = self.token.handle
        if self.completions is not None:
            task.cq = self.completions.handle
        task.cost_bytes = whole("cost_bytes", self.cost_bytes, U64)
        if self.on_full is not None:
            task.on_full = choice("on_full", self.on_full, ON_FULL)
        if self.on_rate is not None:
            task.on_rate = choice("on_rate", self.on_rate, ON_RATE)
        optional_ns(self.submit_timeout)
        if self.name is not None:
            task.name = self.name.encode("utf-8")
        object.__setattr__(self, "_made", task)

    @property
    def drops(self) -> bool:
        """Whether its submit may drop other tasks."""
        return self._made.on_full in DROPS

    def to_task(self) -> _abi.Task:
        """A pool_task_t without its functions."""
        task = _abi.Task.from_buffer_copy(self._made)
        if self.name is not None:
            task.name = self._made.name  # the copy has the address, not what keeps it
        return task


def _key(key: Hashable) -> int:
    if isinstance(key, int) and 0 < key <= U64:
        return key
    # Two values with one hash only run one after another, too.
    return (hash(key) & U64) or U64
