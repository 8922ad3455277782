# SPDX-License-Identifier: Apache-2.0
"""The options of a pool, from Python's way to say them: seconds, and None for "without"."""

import ctypes
import logging
import threading
from typing import Any, Callable, Dict, List, NamedTuple, Optional, Tuple, Union

from . import _abi, errors
from ._core import FOREVER_NS, pieces
from ._native import DEAD_LETTER
from ._units import U32, U64, choice, nanoseconds, optional_ns, positive_ns, whole
from .budget import Budget
from .rules import DROPS, ON_FULL, ON_RATE, Rate, rate_of
from .scaling import AnyPolicy

_STRATEGIES: Dict[str, int] = {
    "stealing": _abi.STRATEGY_STEALING, "fifo": _abi.STRATEGY_FIFO, "lifo": _abi.STRATEGY_LIFO,
    "priority": _abi.STRATEGY_PRIORITY,
}

_ISOLATION: Dict[str, int] = {"none": _abi.ISOLATION_NONE, "fp": _abi.ISOLATION_FP,
                              "full": _abi.ISOLATION_FULL}
_ON_EXCEPTION: Dict[str, int] = {"capture": _abi.EXC_CAPTURE, "terminate": _abi.EXC_TERMINATE}
_LOG_LEVELS: Dict[str, int] = {"off": _abi.LOG_OFF, "error": _abi.LOG_ERROR,
                               "warn": _abi.LOG_WARN, "info": _abi.LOG_INFO,
                               "debug": _abi.LOG_DEBUG}
_OPTION_TYPES = {_abi.OPTION_UINT: "uint", _abi.OPTION_TIME: "time", _abi.OPTION_CHOICE: "choice"}

# What CPython gives its own threads where the system's limit is the usual one; its recursion limits
# are made for it. Pages that are not touched cost nothing.
STACK_BYTES = 8 << 20

# The library's default limit of waiting tasks.
QUEUE_LIMIT = 1 << 20


class Settings(NamedTuple):
    """Of one pool: what the library gets, and what stays here."""

    native: _abi.Options
    submit_timeout_ns: int
    one_by_one: bool  # see Core.one_by_one
    dead_letter: Optional[Callable[[Any], object]]
    watermark: Optional[Callable[[bool, int], object]]
    stuck: Optional[Callable[[Any], object]]
    log: Optional[Callable[[int, str], object]]
    policy: AnyPolicy  # if it is in Python


def make_settings(*, workers_min: int = 0, workers_max: int = 0, keep_alive: Optional[float] = 1.0,
                  queue_limit: Optional[int] = QUEUE_LIMIT, on_full: str = "reject",
                  submit_timeout: Optional[float] = None, strategy: str = "stealing",
                  lanes: int = 0, aging: Optional[float] = 0.1, lane_limit: Optional[int] = None,
                  queue_limit_bytes: Optional[int] = None, rate: Union[None, int, Rate] = None,
                  on_rate: str = "delay", codel_target: Optional[float] = None,
                  codel_interval: float = 0.1, retry_budget: Union[None, int, Rate] = None,
                  dead_letter: Optional[Callable[[Any], object]] = None, queue_high: int = 0,
                  queue_low: int = 0, watermark: Optional[Callable[[bool, int], object]] = None,
                  stuck_after: Optional[float] = None,
                  stuck: Optional[Callable[[Any], object]] = None,
                  task_isolation: str = "none", workers_limit: int = 0, prestart: int = 0,
                  inherit_affinity: bool = False, on_exception: str = "capture",
                  log: Union[None, logging.Logger, Callable[[int, str], object]] = None,
                  log_level: str = "info", policy: AnyPolicy = None,
                  budget: Optional[Budget] = None, budget_floor: int = 0,
                  budget_weight: int = 1) -> Settings:
    """Pool has the meaning of each."""
    options = _abi.Options()
    errors.check(_abi.lib.pool_options_init(ctypes.byref(options), ctypes.sizeof(options)))
    options.workers_min = whole("workers_min", workers_min, U32)
    options.workers_max = whole("workers_max", workers_max, U32)
    options.keep_alive_ns = _abi.FOREVER if keep_alive is None else nanoseconds(keep_alive)
    options.queue_limit = _limit("queue_limit", queue_limit, _abi.UNLIMITED)
    options.on_full = choice("on_full", on_full, ON_FULL)
    submit_timeout_ns = FOREVER_NS if submit_timeout is None else nanoseconds(submit_timeout)
    options.submit_timeout_ns = pieces(submit_timeout_ns)[1]  # who waits for room calls again
    options.stack_bytes = threading.stack_size() or STACK_BYTES
    options.strategy = choice("strategy", strategy, _STRATEGIES)
    options.lanes = whole("lanes", lanes, U32)
    options.aging_ns = _abi.FOREVER if aging is None else nanoseconds(aging)
    options.lane_limit = _limit("lane_limit", lane_limit, 0)
    options.queue_limit_bytes = _limit("queue_limit_bytes", queue_limit_bytes, 0)
    if rate is not None:
        rate = rate_of(rate)
        options.rate_count = rate.count
        options.rate_period_ns = nanoseconds(rate.per)
        options.rate_burst = rate.burst
    options.on_rate = choice("on_rate", on_rate, ON_RATE)
    if codel_target is not None:
        options.codel_target_ns = positive_ns("codel_target", codel_target)
    options.codel_interval_ns = positive_ns("codel_interval", codel_interval)
    if retry_budget is not None:
        retry_budget = rate_of(retry_budget)
        options.retry_count = retry_budget.count
        options.retry_period_ns = nanoseconds(retry_budget.per)
    if dead_letter is not None:
        options.dead_letter = DEAD_LETTER
    options.queue_high = whole("queue_high", queue_high, U64)
    options.queue_low = whole("queue_low", queue_low, U64)
    options.stuck_after_ns = optional_ns(stuck_after)
    options.task_isolation = choice("task_isolation", task_isolation, _ISOLATION)
    options.workers_limit = whole("workers_limit", workers_limit, U32)
    options.prestart = whole("prestart", prestart, U32)
    options.inherit_affinity = bool(inherit_affinity)
    options.on_exception = choice("on_exception", on_exception, _ON_EXCEPTION)
    level = choice("log_level", log_level, _LOG_LEVELS)
    if log is not None:
        options.log_level = level
    if isinstance(policy, str):
        options.policy = policy.encode("utf-8")
        policy = None
    options.budget_floor = whole("budget_floor", budget_floor, U32)
    if whole("budget_weight", budget_weight, U32, 1) != 1:  # which is the default
        options.budget_weight = budget_weight
    if budget is not None:
        options.budget = budget.handle
    one_by_one = (options.strategy in (_abi.STRATEGY_LIFO, _abi.STRATEGY_PRIORITY)
                  or options.on_full == _abi.ON_FULL_CALLER_RUNS or options.on_full in DROPS
                  or codel_target is not None or stuck_after is not None
                  or dead_letter is not None)
    return Settings(options, submit_timeout_ns, one_by_one, dead_letter, watermark, stuck,
                    log.log if isinstance(log, logging.Logger) else log, policy)


def _limit(name: str, value: Optional[int], without: int) -> int:
    return without if value is None else whole(name, value, U64, 1)


class Option(NamedTuple):
    """An option of a pool by its name, for configuration files and command lines."""

    name: str     # as set() and get() have it
    type: str     # "uint" in digits, "time" in milliseconds, "choice" one of the words of the range
    live: bool    # whether set() can change it
    default: str
    range: str
    doc: str


def options() -> List[Option]:
    """All options that have a name."""
    found: List[Option] = []
    row = _abi.Option()
    while True:
        status = _abi.lib.pool_option_list(len(found), ctypes.byref(row), ctypes.sizeof(row))
        if status == _abi.E_NOTFOUND:
            return found
        errors.check(status)
        name, default, values, doc = (text.decode("utf-8") for text in (
            row.name, row.default_value, row.range, row.doc))
        found.append(Option(name, _OPTION_TYPES.get(row.type, "?"), bool(row.live), default, values,
                            doc))


def to_text(name: str, value: Union[None, str, int, float]) -> str:
    """The value of an option by name as the library takes it. What it does not know, and what is
    out of range, it refuses itself."""
    option = next((one for one in options() if one.name == name), None)
    if value is None:
        if option is None:
            return ""
        word = option.range.rpartition(" or ")[2]
        if word in ("forever", "unlimited"):
            return word
        if option.default == "0":
            return "0"
        raise ValueError(f"{name} = None; there is no \"without\" for it, give one of "
                         f"{option.range}")
    if isinstance(value, float):
        return f"{value:f}"
    text = str(value)
    return text.replace("_", "-") if option is not None and option.type == "choice" else text


def preset(name: str, **others: Any) -> Dict[str, Any]:
    """Keyword arguments for a Pool or an Executor that suit a kind of task: Pool(**preset("io")).
    "cpu": tasks that compute, "io": tasks that wait for others, "batch": much at once, and then
    nothing. workpool.h (pool_options_preset) has the values; others take the place of those."""
    before, after = _abi.Options(), _abi.Options()
    for one in (before, after):
        errors.check(_abi.lib.pool_options_init(ctypes.byref(one), ctypes.sizeof(one)))
    errors.check(_abi.lib.pool_options_preset(ctypes.byref(after), name.encode("utf-8")))
    chosen = {}
    for field, _ in _abi.Options._fields_:
        value = getattr(after, field)
        if value != getattr(before, field):
            argument, convert = _PRESET_FIELDS[field]
            chosen[argument] = convert(value)
    chosen.update(others)
    return chosen


def _named(choices: Dict[str, int]) -> Callable[[int], str]:
    return {value: name for name, value in choices.items()}.__getitem__


# The fields that presets set: which argument that is, and what of it.
_PRESET_FIELDS: Dict[str, Tuple[str, Callable[[Any], Any]]] = {
    "workers_max": ("workers_max", int),
    "keep_alive_ns": ("keep_alive", lambda ns: None if ns == _abi.FOREVER else ns / 1e9),
    "queue_limit": ("queue_limit", lambda limit: None if limit == _abi.UNLIMITED else limit),
    "on_full": ("on_full", _named(ON_FULL)),
    "strategy": ("strategy", _named(_STRATEGIES)),
    "policy": ("policy", lambda name: name.decode("ascii")),
}
