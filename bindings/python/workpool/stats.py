# SPDX-License-Identifier: Apache-2.0
"""What a pool tells about itself: counters, and the tasks that run. pool_stats_t and pool_running_t
in workpool.h have the meaning of each field.

In every snapshot started >= ended_run, submitted >= started + ended_unrun, and
done + failed + cancelled + expired + shed == ended_run + ended_unrun.
"""

import ctypes
from typing import List, NamedTuple

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


class Running(NamedTuple):
    """A task that runs; times in seconds."""

    name: str        # that of its rules, or its function's; "" if it is native and has none
    worker: int      # index of the worker
    thread: int      # what threading.get_native_id() says there
    state: str       # of the thread: "R" runs, "S" sleeps, "D" waits for a device; "" not known
    wall_time: float
    cpu_time: float
    attempt: int


def to_running(seen: _abi.Running) -> Running:
    return Running(seen.name.decode("utf-8", "replace"), seen.worker, seen.thread,
                   chr(seen.state) if seen.state > 0 else "", seen.wall_ns / 1e9, seen.cpu_ns / 1e9,
                   seen.attempt)


def read_running(handle: int, longer_than_ns: int) -> List[Running]:
    places = (_abi.Running * _abi.WORKERS_MAX)()
    count = ctypes.c_uint32()
    errors.check(_abi.lib.pool_running(handle, longer_than_ns, places, ctypes.sizeof(_abi.Running),
                                       len(places), ctypes.byref(count)))
    return [to_running(place) for place in places[:count.value]]
