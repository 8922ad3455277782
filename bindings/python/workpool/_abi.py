# SPDX-License-Identifier: Apache-2.0
"""The C API of libworkpool as ctypes sees it: types, signatures, and where the library is found.

Everything here restates workpool/workpool.h and nothing else; tests/python/test_abi.py compares the
two. Every call goes through CDLL, which gives up the interpreter lock for its duration: a call that
waits for workers must not hold what the workers' callbacks need.
"""

import ctypes
import ctypes.util
import os
from ctypes import (CFUNCTYPE, POINTER, Structure, c_char, c_char_p, c_double, c_int32, c_int64,
                    c_size_t, c_uint32, c_uint64, c_void_p)
from pathlib import Path
from typing import Any, List

SONAME = "libworkpool.so.0.1"
ABI_VERSION = 1  # major * 1000 + minor; before 1.0 every minor version is an ABI of its own

# Statuses.
OK = 0
E_INVALID = -1
E_BADHANDLE = -2
E_TOOBIG = -3
E_NOMEM = -4
E_THREAD = -5
E_FULL = -6
E_TIMEOUT = -7
E_CLOSED = -8
E_CANCELLED = -9
E_EXPIRED = -10
E_RATE = -11
E_DEADLOCK = -12
E_FORKED = -13
E_EXCEPTION = -14
E_THREADEXIT = -15
E_ALREADY = -16
E_NOTFOUND = -17
E_SYSTEM = -18
E_STALLED = -19
E_INTERNAL = -20

# Outcomes of a task.
DONE = 0
FAILED = 1
CANCELLED = 2
EXPIRED = 3
SHED = 4

# What a task returns to be tried again.
RETRY = 1

ON_FULL_DEFAULT = 0
ON_FULL_REJECT = 1
ON_FULL_BLOCK = 2
ON_FULL_CALLER_RUNS = 3
ON_FULL_DROP_OLDEST = 4
ON_FULL_DROP_LOWEST = 5

ON_RATE_DEFAULT = 0
ON_RATE_REJECT = 1
ON_RATE_BLOCK = 2
ON_RATE_DELAY = 3

STRATEGY_STEALING = 0
STRATEGY_FIFO = 1
STRATEGY_LIFO = 2
STRATEGY_PRIORITY = 3

PERIOD_FIXED_RATE = 0
PERIOD_FIXED_DELAY = 1

JITTER_DEFAULT = 0
JITTER_FULL = 1
JITTER_EQUAL = 2
JITTER_NONE = 3

RETRY_ON_DEFAULT = 0
RETRY_ON_REQUEST = 1
RETRY_ON_FAILURE = 2

RESULT_OVERRAN = 1

EXC_CAPTURE = 0
EXC_TERMINATE = 1

ISOLATION_NONE = 0
ISOLATION_FP = 1
ISOLATION_FULL = 2

LOG_OFF = 0
LOG_ERROR = 1
LOG_WARN = 2
LOG_INFO = 3
LOG_DEBUG = 4

OPTION_UINT = 0
OPTION_TIME = 1
OPTION_CHOICE = 2

POLICY_SHADOW = 1
POLICY_KEEP = 2

DECISION_SHADOW = 1

# How a pool is closed.
DRAIN = 0
CANCEL_QUEUED = 1
CANCEL_ALL = 2

FOREVER = -1
UNLIMITED = 2**64 - 1
WAIT_HELP = 1
WORKERS_MAX = 4096
HISTORY_MAX = 8
NAME_MAX = 63
LANES_MAX = 16
CLASS_MAX = 255
CQ_CAPACITY_MAX = 16777216

# The code with which a task whose Python function raised ends: a task's own codes are <= -1000.
E_RAISED = -1000

# arg, ctx -> code
RUN_FN = CFUNCTYPE(c_int32, c_void_p, c_void_p)
# arg, begin, end, participant, ctx -> code
RANGE_FN = CFUNCTYPE(c_int32, c_void_p, c_uint64, c_uint64, c_uint32, c_void_p)
# user, pool, worker
HOOK_FN = CFUNCTYPE(None, c_void_p, c_uint64, c_int32)
# arg, outcome
DROP_FN = CFUNCTYPE(None, c_void_p, c_int32)
# user, pool, above, waiting
WATERMARK_FN = CFUNCTYPE(None, c_void_p, c_uint64, c_int32, c_uint64)
# user, level, text
LOG_FN = CFUNCTYPE(None, c_void_p, c_int32, c_char_p)


class Result(Structure):
    """pool_result_t"""

    _fields_ = [
        ("struct_size", c_uint32),
        ("outcome", c_int32),
        ("code", c_int32),
        ("attempts", c_uint32),
        ("worker", c_int32),
        ("flags", c_uint32),
        ("ticket", c_uint64),
        ("value", c_uint64),
        ("wait_ns", c_uint64),
        ("run_ns", c_uint64),
        ("text", c_char * 256),
    ]


class Running(Structure):
    """pool_running_t"""

    _fields_ = [
        ("struct_size", c_uint32),
        ("worker", c_int32),
        ("thread", c_int32),
        ("state", c_int32),
        ("ticket", c_uint64),
        ("wall_ns", c_uint64),
        ("cpu_ns", c_uint64),
        ("attempt", c_uint32),
        ("reserved", c_uint32),
        ("name", c_char * 64),
    ]


class Attempt(Structure):
    """pool_attempt_t"""

    _fields_ = [
        ("struct_size", c_uint32),
        ("code", c_int32),
        ("worker", c_int32),
        ("reserved", c_uint32),
        ("start_ns", c_uint64),
        ("run_ns", c_uint64),
    ]


class DeadLetter(Structure):
    """pool_dead_letter_t"""

    _fields_ = [
        ("struct_size", c_uint32),
        ("code", c_int32),
        ("attempts", c_uint32),
        ("worker", c_int32),
        ("flags", c_uint32),
        ("history_count", c_uint32),
        ("ticket", c_uint64),
        ("arg", c_void_p),
        ("value", c_uint64),
        ("wait_ns", c_uint64),
        ("run_ns", c_uint64),
        ("ended_ns", c_uint64),
        ("history", Attempt * 8),
        ("name", c_char * 64),
        ("text", c_char * 256),
    ]


class Load(Structure):
    """pool_load_t"""

    _fields_ = [
        ("struct_size", c_uint32),
        ("workers_live", c_uint32),
        ("workers_idle", c_uint32),
        ("workers_blocked", c_uint32),
        ("workers_hung", c_uint32),
        ("workers_min", c_uint32),
        ("workers_max", c_uint32),
        ("target", c_uint32),
        ("now_ns", c_uint64),
        ("wall_s", c_int64),
        ("dt_ns", c_uint64),
        ("queued", c_uint64),
        ("queue_limit", c_uint64),
        ("head_age_ns", c_uint64),
        ("arrived", c_uint64),
        ("started", c_uint64),
        ("ended", c_uint64),
        ("failed", c_uint64),
        ("wait_mean_s", c_double),
        ("wait_p99_s", c_double),
        ("service_s", c_double),
        ("cores", c_double),
        ("runnable", c_double),
        ("others", c_double),
    ]


class Policy(Structure):
    """pool_policy_t"""

    _fields_ = [
        ("struct_size", c_uint32),
        ("flags", c_uint32),
        ("name", c_char_p),
        ("signal", c_void_p),
        ("decide", c_void_p),
        ("cooldown", c_void_p),
        ("user", c_void_p),
        ("tick_ns", c_int64),
        ("patience_ns", c_int64),
        ("call_max_ns", c_int64),
        ("history", c_char_p),
    ]


class Decision(Structure):
    """pool_decision_t"""

    _fields_ = [
        ("struct_size", c_uint32),
        ("reason", c_int32),
        ("flags", c_uint32),
        ("workers_before", c_uint32),
        ("workers", c_uint32),
        ("workers_live", c_uint32),
        ("workers_idle", c_uint32),
        ("workers_hung", c_uint32),
        ("number", c_uint64),
        ("at_ns", c_uint64),
        ("queued", c_uint64),
        ("head_age_ns", c_uint64),
        ("runnable", c_double),
        ("cores", c_double),
        ("goodput", c_double),
        ("signal", c_double),
    ]


# arg, result
DONE_FN = CFUNCTYPE(None, c_void_p, POINTER(Result))
# user, arg, result, history, history_count
DEAD_LETTER_FN = CFUNCTYPE(None, c_void_p, c_void_p, POINTER(Result), POINTER(Attempt), c_uint32)
# user, pool, task
STUCK_FN = CFUNCTYPE(None, c_void_p, c_uint64, POINTER(Running))
# user, load
SIGNAL_FN = CFUNCTYPE(c_double, c_void_p, POINTER(Load))
# user, load, signal -> workers
DECIDE_FN = CFUNCTYPE(c_uint32, c_void_p, POINTER(Load), c_double)
# user, load, workers -> whether
COOLDOWN_FN = CFUNCTYPE(c_int32, c_void_p, POINTER(Load), c_uint32)


class Options(Structure):
    """pool_options_t"""

    _fields_ = [
        ("struct_size", c_uint32),
        ("workers_min", c_uint32),
        ("workers_max", c_uint32),
        ("workers_limit", c_uint32),
        ("keep_alive_ns", c_int64),
        ("queue_limit", c_uint64),
        ("submit_timeout_ns", c_int64),
        ("on_full", c_int32),
        ("prestart", c_uint32),
        ("on_exception", c_int32),
        ("inherit_affinity", c_uint32),
        ("stack_bytes", c_uint64),
        ("name", c_char_p),
        ("drop", c_void_p),
        ("log_fn", c_void_p),
        ("log_user", c_void_p),
        ("log_level", c_int32),
        ("reserved", c_uint32),
        ("strategy", c_int32),
        ("lanes", c_uint32),
        ("aging_ns", c_int64),
        ("lane_limit", c_uint64),
        ("queue_limit_bytes", c_uint64),
        ("rate_count", c_uint64),
        ("rate_period_ns", c_int64),
        ("rate_burst", c_uint32),
        ("on_rate", c_int32),
        ("codel_target_ns", c_int64),
        ("codel_interval_ns", c_int64),
        ("retry_count", c_uint64),
        ("retry_period_ns", c_int64),
        ("dead_letter", c_void_p),
        ("dead_letter_user", c_void_p),
        ("queue_high", c_uint64),
        ("queue_low", c_uint64),
        ("watermark", c_void_p),
        ("watermark_user", c_void_p),
        ("stuck_after_ns", c_int64),
        ("stuck", c_void_p),
        ("stuck_user", c_void_p),
        ("task_isolation", c_int32),
        ("dead_letter_limit", c_uint32),
        ("policy", c_char_p),
        ("budget", c_uint64),
        ("budget_floor", c_uint32),
        ("budget_weight", c_uint32),
    ]


class Option(Structure):
    """pool_option_t"""

    _fields_ = [
        ("struct_size", c_uint32),
        ("type", c_int32),
        ("live", c_uint32),
        ("reserved", c_uint32),
        ("name", c_char_p),
        ("default_value", c_char_p),
        ("range", c_char_p),
        ("doc", c_char_p),
    ]


# The tail of pool_task_t and of pool_class_options_t.
_RETRY_FIELDS: List[Any] = [
    ("retries_max", c_uint32),
    ("backoff_factor_percent", c_uint32),
    ("backoff_first_ns", c_int64),
    ("backoff_max_ns", c_int64),
    ("backoff_jitter", c_int32),
    ("retry_on", c_int32),
    ("retry_if", c_void_p),
]


class Task(Structure):
    """pool_task_t"""

    _fields_ = [
        ("struct_size", c_uint32),
        ("on_full", c_int32),
        ("run", c_void_p),
        ("done", c_void_p),
        ("drop", c_void_p),
        ("arg", c_void_p),
        ("group", c_uint64),
        ("submit_timeout_ns", c_int64),
        ("name", c_char_p),
        ("token", c_uint64),
        ("cq", c_uint64),
        ("key", c_uint64),
        ("priority", c_int32),
        ("class_id", c_uint32),
        ("cost_bytes", c_uint64),
        ("deadline_ns", c_uint64),
        ("queue_timeout_ns", c_int64),
        ("run_timeout_ns", c_int64),
        ("delay_ns", c_int64),
        ("period_ns", c_int64),
        ("period_mode", c_int32),
        ("on_rate", c_int32),
        *_RETRY_FIELDS,
    ]


class ClassOptions(Structure):
    """pool_class_options_t"""

    _fields_ = [
        ("struct_size", c_uint32),
        ("concurrency_max", c_uint32),
        ("rate_count", c_uint64),
        ("rate_period_ns", c_int64),
        ("rate_burst", c_uint32),
        ("on_rate", c_int32),
        *_RETRY_FIELDS,
    ]


class Completion(Structure):
    """pool_completion_t"""

    _fields_ = [
        ("struct_size", c_uint32),
        ("outcome", c_int32),
        ("code", c_int32),
        ("attempts", c_uint32),
        ("ticket", c_uint64),
        ("arg", c_void_p),
        ("value", c_uint64),
        ("wait_ns", c_uint64),
        ("run_ns", c_uint64),
    ]


class GroupOptions(Structure):
    """pool_group_options_t"""

    _fields_ = [("struct_size", c_uint32), ("reserved", c_uint32)]


class Fork(Structure):
    """pool_fork_t"""

    _fields_ = [("opaque", c_uint64 * 8)]


class Stats(Structure):
    """pool_stats_t"""

    _fields_ = [
        ("struct_size", c_uint32),
        ("workers_live", c_uint32),
        ("workers_busy", c_uint32),
        ("workers_parked", c_uint32),
        ("workers_blocked", c_uint32),
        ("workers_wanted", c_uint32),
        ("queued", c_uint64),
        ("submitted", c_uint64),
        ("started", c_uint64),
        ("ended_run", c_uint64),
        ("ended_unrun", c_uint64),
        ("done", c_uint64),
        ("failed", c_uint64),
        ("cancelled", c_uint64),
        ("expired", c_uint64),
        ("shed", c_uint64),
        ("rejected", c_uint64),
        ("attempts", c_uint64),
        ("steals", c_uint64),
        ("parks", c_uint64),
        ("wakes", c_uint64),
        ("retired", c_uint64),
        ("start_failures", c_uint64),
        ("misuse", c_uint64),
        ("wait_p50_ns", c_uint64),
        ("wait_p99_ns", c_uint64),
        ("run_p50_ns", c_uint64),
        ("run_p99_ns", c_uint64),
    ]


# Function pointers are passed as plain addresses (c_void_p), so that functions of any native
# library fit and no conversion is paid per call.
_SIGNATURES = {
    "pool_version": (c_char_p, []),
    "pool_abi_version": (c_uint32, []),
    "pool_strerror": (c_char_p, [c_int32]),
    "pool_last_error": (c_int32, [POINTER(c_int32), c_char_p, c_size_t, POINTER(c_size_t)]),
    "pool_now_ns": (c_uint64, []),
    "pool_options_init": (c_int32, [POINTER(Options), c_uint32]),
    "pool_create": (c_int32, [POINTER(Options), POINTER(c_uint64)]),
    "pool_shared": (c_int32, [POINTER(c_uint64)]),
    "pool_close": (c_int32, [c_uint64, c_int32, c_int64]),
    "pool_dead_letters": (c_int32, [c_uint64, c_void_p, c_uint32, c_uint32, POINTER(c_uint32),
                                    POINTER(c_uint64)]),
    "pool_destroy": (c_int32, [c_uint64]),
    "pool_release": (c_int32, [c_uint64]),
    "pool_pause": (c_int32, [c_uint64]),
    "pool_resume": (c_int32, [c_uint64]),
    "pool_option_list": (c_int32, [c_uint32, POINTER(Option), c_uint32]),
    "pool_options_set": (c_int32, [POINTER(Options), c_char_p, c_char_p]),
    "pool_options_preset": (c_int32, [POINTER(Options), c_char_p]),
    "pool_set": (c_int32, [c_uint64, c_char_p, c_char_p]),
    "pool_get": (c_int32, [c_uint64, c_char_p, c_char_p, c_size_t, POINTER(c_size_t)]),
    "pool_submit": (c_int32, [c_uint64, c_void_p, c_void_p]),
    "pool_submit_many": (c_int32, [c_uint64, c_void_p, POINTER(c_void_p), c_uint32,
                                   POINTER(c_uint32)]),
    "pool_task_init": (c_int32, [POINTER(Task), c_uint32]),
    "pool_submit_task": (c_int32, [c_uint64, POINTER(Task), POINTER(c_uint64)]),
    "pool_submit_batch": (c_int32, [c_uint64, POINTER(Task), c_uint32, c_uint32, POINTER(c_uint64),
                                    POINTER(c_uint32)]),
    "pool_parallel_for": (c_int32, [c_uint64, c_uint64, c_uint64, c_uint64, c_uint32, c_void_p,
                                    c_void_p, POINTER(c_int32)]),
    "pool_participants": (c_int32, [c_uint64]),
    "pool_ctx_fork": (c_int32, [c_void_p, POINTER(Fork), c_void_p, c_void_p]),
    "pool_ctx_join": (c_int32, [c_void_p, POINTER(Fork), POINTER(c_int32)]),
    "pool_ctx_submit": (c_int32, [c_void_p, c_void_p, c_void_p]),
    "pool_ctx_should_stop": (c_int32, [c_void_p]),
    "pool_ctx_set_value": (c_int32, [c_void_p, c_uint64]),
    "pool_ctx_attempt": (c_uint32, [c_void_p]),
    "pool_ctx_deadline_ns": (c_uint64, [c_void_p]),
    "pool_ctx_token": (c_uint64, [c_void_p]),
    "pool_ctx_block_begin": (c_int32, [c_void_p]),
    "pool_ctx_block_end": (c_int32, [c_void_p]),
    "pool_wait": (c_int32, [c_uint64, c_uint32, c_int64, POINTER(Result), c_uint32]),
    "pool_wait_many": (c_int32, [POINTER(c_uint64), c_uint32, c_int32, c_int64, POINTER(c_uint32)]),
    "pool_wait_idle": (c_int32, [c_uint64, c_int64]),
    "pool_cancel": (c_int32, [c_uint64]),
    "pool_ticket_release": (c_int32, [c_uint64]),
    "pool_group_create": (c_int32, [c_uint64, POINTER(GroupOptions), POINTER(c_uint64)]),
    "pool_group_submit": (c_int32, [c_uint64, c_void_p, c_void_p]),
    "pool_group_wait": (c_int32, [c_uint64, c_int64, POINTER(c_int32)]),
    "pool_group_cancel": (c_int32, [c_uint64]),
    "pool_group_release": (c_int32, [c_uint64]),
    "pool_token_create": (c_int32, [c_uint64, POINTER(c_uint64)]),
    "pool_token_cancel": (c_int32, [c_uint64, c_int32]),
    "pool_token_reason": (c_int32, [c_uint64]),
    "pool_token_release": (c_int32, [c_uint64]),
    "pool_cq_create": (c_int32, [c_uint32, POINTER(c_uint64)]),
    "pool_cq_fd": (c_int32, [c_uint64]),
    "pool_cq_poll": (c_int32, [c_uint64, c_void_p, c_uint32, c_uint32, c_int64, POINTER(c_uint32)]),
    "pool_cq_detach": (c_int32, [c_uint64]),
    "pool_cq_release": (c_int32, [c_uint64]),
    "pool_class_options_init": (c_int32, [POINTER(ClassOptions), c_uint32]),
    "pool_class_set": (c_int32, [c_uint64, c_uint32, POINTER(ClassOptions)]),
    "pool_worker_index": (c_int32, [c_uint64]),
    "pool_hook_add": (c_int32, [c_uint64, c_void_p, c_void_p, c_void_p, POINTER(c_uint64)]),
    "pool_hook_remove": (c_int32, [c_uint64, c_uint64]),
    "pool_tune": (c_int32, [c_uint64, c_uint32]),
    "pool_policy_init": (c_int32, [POINTER(Policy), c_uint32]),
    "pool_set_policy": (c_int32, [c_uint64, POINTER(Policy)]),
    "pool_policy_history": (c_int32, [c_uint64, c_char_p, c_size_t, POINTER(c_size_t)]),
    "pool_decisions": (c_int32, [c_uint64, c_uint64, c_void_p, c_uint32, c_uint32,
                                 POINTER(c_uint32)]),
    "pool_budget_create": (c_int32, [c_uint32, POINTER(c_uint64)]),
    "pool_budget_jobserver": (c_int32, [POINTER(c_uint64)]),
    "pool_budget_set": (c_int32, [c_uint64, c_uint32]),
    "pool_budget_release": (c_int32, [c_uint64]),
    "pool_reason_name": (c_char_p, [c_int32]),
    "pool_health": (c_int32, [c_uint64]),
    "pool_stats": (c_int32, [c_uint64, POINTER(Stats), c_uint32]),
    "pool_running": (c_int32, [c_uint64, c_int64, c_void_p, c_uint32, c_uint32, POINTER(c_uint32)]),
}


def _candidates() -> List[str]:
    """Where the library may be, the most explicit place first."""
    override = os.environ.get("WORKPOOL_LIBRARY")
    if override:
        return [override]
    here = Path(__file__).resolve().parent
    places = [str(here / name) for name in (SONAME, "libworkpool.so") if (here / name).exists()]
    found = ctypes.util.find_library("workpool")
    if found:
        places.append(found)
    places.append(SONAME)
    return places


def _load() -> ctypes.CDLL:
    failures = []
    for place in _candidates():
        try:
            library = ctypes.CDLL(place)
        except OSError as error:
            failures.append(str(error))
            continue
        offered = getattr(library, "pool_abi_version", None)
        if offered is None or offered() != ABI_VERSION:
            failures.append(f"{place}: not libworkpool with ABI version {ABI_VERSION}")
            continue
        return library
    raise ImportError("workpool: libworkpool is not usable; set WORKPOOL_LIBRARY to its path ("
                      + "; ".join(failures) + ")")


def _declare(library: ctypes.CDLL) -> None:
    for name, (result, arguments) in _SIGNATURES.items():
        function = getattr(library, name)
        function.restype = result
        function.argtypes = arguments


def address(function: Any) -> int:
    """The address behind a ctypes function object, or an address as it is."""
    if isinstance(function, int):
        return function
    value = ctypes.cast(function, c_void_p).value
    if not value:
        raise ValueError("a NULL function pointer")
    return value


lib = _load()
_declare(lib)
