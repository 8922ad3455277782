# SPDX-License-Identifier: Apache-2.0
"""A snapshot of a pool's counters; pool_stats_t in workpool.h has the meaning of each field.

In every snapshot started >= ended_run, submitted >= started + ended_unrun, and
done + failed + cancelled + expired + shed == ended_run + ended_unrun.
"""

import ctypes
from typing import NamedTuple

from . import _abi, errors


class Stats(NamedTuple):
    """Counts of workers (gauges) and of tasks (counters); times in nanoseconds."""

    workers_live: int
    workers_busy: int
    workers_parked: int
    workers_blocked: int
    workers_wanted: int
    queued: int
    submitted: int
    started: int
    ended_run: int
    ended_unrun: int
    done: int
    failed: int
    cancelled: int
    expired: int
    shed: int
    rejected: int
    attempts: int
    steals: int
    parks: int
    wakes: int
    retired: int
    start_failures: int
    misuse: int
    wait_p50_ns: int
    wait_p99_ns: int
    run_p50_ns: int
    run_p99_ns: int


def read(handle: int) -> Stats:
    raw = _abi.Stats()
    errors.check(_abi.lib.pool_stats(handle, ctypes.byref(raw), ctypes.sizeof(raw)))
    return Stats(*(getattr(raw, field) for field in Stats._fields))
