# SPDX-License-Identifier: Apache-2.0
"""The Python side of a native worker thread.

A native thread that calls into Python normally gets a Python thread state made and destroyed around
every single callback. The start hook takes one more PyGILState_Ensure() than it gives back, so that
the state stays with the thread when the hook returns (the interpreter lock does not: the hook's own
Ensure found it free and gives it up). The stop hook gives that one back. In between a callback only
takes the lock.
"""

import ctypes
import logging
import sys
import threading
from contextlib import contextmanager
from typing import Dict, Iterator, List, Optional

LOGGER = logging.getLogger("workpool")

# Own prototypes, because those that ctypes.pythonapi hands out are shared with the whole program.
# PYFUNCTYPE keeps the interpreter lock, which these two are about.
_ensure = ctypes.PYFUNCTYPE(ctypes.c_int)(("PyGILState_Ensure", ctypes.pythonapi))
_release = ctypes.PYFUNCTYPE(None, ctypes.c_int)(("PyGILState_Release", ctypes.pythonapi))
_GILSTATE_LOCKED = 0  # PyGILState_Release(LOCKED): drop one count and keep the lock

_set_async_exc = ctypes.PYFUNCTYPE(ctypes.c_int, ctypes.c_ulong, ctypes.py_object)(
    ("PyThreadState_SetAsyncExc", ctypes.pythonapi))

# All workers with a Python thread state, by thread identifier.
_all: Dict[int, "Worker"] = {}


class Worker:
    """One worker thread, from its start hook to its stop hook."""

    __slots__ = ("name", "index", "ident", "native_id", "_crew", "_ended")

    def __init__(self, name: str, index: int, crew: "Dict[int, Worker]") -> None:
        self.name = name
        self._crew = crew
        self.index = index
        self.ident = threading.get_ident()
        self.native_id = threading.get_native_id()
        self._ended = threading.Event()

    def is_alive(self) -> bool:
        return not self._ended.is_set()

    def join(self, timeout: Optional[float] = None) -> None:
        """Waits until the worker has left Python for good."""
        if self.ident == threading.get_ident():
            raise RuntimeError("cannot join current thread")
        self._ended.wait(timeout)

    def __repr__(self) -> str:
        return f"<Worker({self.name}, {'started' if self.is_alive() else 'stopped'} {self.ident})>"


def enter(name: str, index: int, crew: Dict[int, Worker]) -> None:
    """Makes the calling native thread a Python thread called name, and a member of crew, the
    workers of its pool. Start hook only."""
    _ensure()
    worker = Worker(name, index, crew)
    _all[worker.ident] = crew[worker.ident] = worker
    threading.current_thread().name = name
    # threading.settrace and setprofile are for "all threads started from threading": debuggers and
    # coverage tools mean these threads as well. (gettrace, getprofile: Python 3.10.)
    trace = getattr(threading, "_trace_hook", None)
    if trace is not None:
        sys.settrace(trace)
    profile = getattr(threading, "_profile_hook", None)
    if profile is not None:
        sys.setprofile(profile)


def leave() -> None:
    """Ends what enter() began, on the same thread. Stop hook only, as its last step."""
    ident = threading.get_ident()
    worker = _all.pop(ident, None)
    if worker is None:
        return
    sys.settrace(None)
    sys.setprofile(None)
    _forget_thread(ident)
    worker._crew.pop(ident, None)
    worker._ended.set()
    _release(_GILSTATE_LOCKED)


def _forget_thread(ident: int) -> None:
    """The threading module keeps its object for a foreign thread until the identifier is used
    again."""
    try:
        with threading._active_limbo_lock:  # type: ignore[attr-defined]
            threading._active.pop(ident, None)  # type: ignore[attr-defined]
    except AttributeError:
        pass


@contextmanager
def visit() -> Iterator[None]:
    """On whatever thread: what asks for the current thread inside leaves no object for it."""
    ident = threading.get_ident()
    known = ident in getattr(threading, "_active", {})
    try:
        yield
    finally:
        if not known:
            _forget_thread(ident)


def interrupt(ident: int) -> None:
    """Raises SystemExit in a thread, at its next step in Python."""
    _set_async_exc(ident, SystemExit)


def current() -> Optional[Worker]:
    """The worker that the calling thread is, of whatever pool."""
    return _all.get(threading.get_ident())


def alive() -> List[Worker]:
    return list(_all.values())


def forget_all() -> None:
    """In a forked child none of the workers exists."""
    workers = alive()
    _all.clear()
    for worker in workers:
        worker._ended = threading.Event()
        worker._ended.set()
