# SPDX-License-Identifier: Apache-2.0
"""What the tests of the Python binding share: bounded waits, gates, and programs of their own."""

import os
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from typing import Any, Callable, Iterator, Optional

import workpool
from workpool import _abi, _native, _tasks

# Long enough that only a hang reaches it.
BOUND_S = 60.0


def eventually(condition: Callable[[], object], bound_s: float = BOUND_S) -> bool:
    """True as soon as the condition holds, False when the bound is reached."""
    end = time.monotonic() + bound_s
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.001)
    return True


class Gate:
    """Tasks that call wait() stand in line until open(), or the end of the with statement: there it
    comes after the executor, so that a failed test does not wait for its tasks."""

    def __init__(self) -> None:
        self._open = threading.Event()
        self._lock = threading.Lock()
        self.arrived = 0

    def wait(self) -> None:
        with self._lock:
            self.arrived += 1
        if not self._open.wait(BOUND_S):
            raise AssertionError("the gate was never opened")

    def open(self) -> None:
        self._open.set()

    def __enter__(self) -> "Gate":
        return self

    def __exit__(self, *_: object) -> None:
        self.open()

    def await_arrivals(self, count: int) -> bool:
        return eventually(lambda: self.arrived >= count)


def thread_count() -> int:
    """Threads of this process, native ones included."""
    return len(os.listdir("/proc/self/task"))


def run_program(text: str, *, timeout: float = BOUND_S,
                env: Optional[dict] = None) -> "subprocess.CompletedProcess[str]":
    """Runs a Python program of its own, with the binding and this folder importable."""
    here = os.path.dirname(os.path.abspath(__file__))
    environment = dict(os.environ, **(env or {}))
    environment["PYTHONPATH"] = os.pathsep.join(
        [here] + [place for place in environment.get("PYTHONPATH", "").split(os.pathsep) if place])
    return subprocess.run([sys.executable, "-X", "faulthandler", "-c", text], timeout=timeout,
                          env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          universal_newlines=True)


@contextmanager
def settled(pool: Any) -> "Iterator[Any]":
    """A Pool or an Executor that ends with the with statement: by then each accepted task must have
    exactly one outcome, and nobody keeps what it needed."""
    core = pool._core
    try:
        yield pool
        core.close(_abi.DRAIN, _abi.FOREVER)
        stats = pool.stats()
        outcomes = stats.done + stats.failed + stats.cancelled + stats.expired + stats.shed
        assert stats.submitted == outcomes, stats
        left = [future for future in _tasks._tasks.values() if future.is_of(core)]
        left += _native.native_futures(core)
        assert not left, left
    finally:
        core.wait_destroyed(_abi.CANCEL_ALL)


def outcome(future: Any) -> Any:
    """How a task ended, when it has: raises at the bound."""
    assert eventually(future.done), "the task does not end"
    return future.ended.outcome


def names(futures: Any) -> str:
    """The outcomes of tasks, in one line."""
    return " ".join(workpool.Outcome(outcome(future)).name.lower() for future in futures)
