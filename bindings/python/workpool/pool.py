# SPDX-License-Identifier: Apache-2.0
"""Pool: the C API as one object, for calls whose result nobody waits for and for native functions.

Executor is what most programs want. A call through a Pool costs less, because it makes no future.
"""

import ctypes
import itertools
import sys
import threading
import weakref
from types import TracebackType
from typing import Any, Callable, Dict, Optional, Tuple, Type

from . import _abi, errors
from ._core import SIGNAL_CHECK_NS, Call, Core, wait_in_pieces
from ._native import NativeCalls

_lib = _abi.lib
_ON_FULL = {"reject": _abi.ON_FULL_REJECT, "block": _abi.ON_FULL_BLOCK}

# What CPython gives its own threads where the system's limit is the usual one; its recursion limits
# are made for it. Pages that are not touched cost nothing.
STACK_BYTES = 8 << 20

# The library's default limit of waiting tasks.
QUEUE_LIMIT = 1 << 20


def make_options(*, workers_min: int, workers_max: int, keep_alive: Optional[float],
                 queue_limit: Optional[int], on_full: str) -> _abi.Options:
    """The library's options from Python's way to say them: seconds, and None for "without"."""
    if on_full not in _ON_FULL:
        raise ValueError(f"on_full must be 'reject' or 'block', not {on_full!r}")
    options = _abi.Options()
    errors.check(_lib.pool_options_init(ctypes.byref(options), ctypes.sizeof(options)))
    options.workers_min = workers_min
    options.workers_max = workers_max
    options.keep_alive_ns = _abi.FOREVER if keep_alive is None else max(1, int(keep_alive * 1e9))
    options.queue_limit = _abi.UNLIMITED if queue_limit is None else queue_limit
    options.on_full = _ON_FULL[on_full]
    options.submit_timeout_ns = SIGNAL_CHECK_NS  # who waits for room calls again
    options.stack_bytes = threading.stack_size() or STACK_BYTES
    return options


class _PlainCall(Call):
    """fn(*args, **kwargs) whose result nobody waits for."""

    __slots__ = ("_fn", "_args", "_kwargs")

    def __init__(self, fn: Callable[..., object], args: Tuple[Any, ...],
                 kwargs: Dict[str, Any]) -> None:
        self._fn = fn
        self._args = args
        self._kwargs = kwargs

    def run(self) -> bool:
        try:
            self._fn(*self._args, **self._kwargs)
        except BaseException:
            # As for a thread's function: nobody else would hear of it.
            threading.excepthook(
                threading.ExceptHookArgs((*sys.exc_info(), threading.current_thread())))
            return False
        return True


_Hook = Callable[[int], object]


class _HookPair:
    """What to call on a worker, with its index, and which threads owe a stop."""

    def __init__(self, start: Optional[_Hook], stop: Optional[_Hook]) -> None:
        self.start = start
        self.stop = stop
        self.owing: Dict[int, bool] = {}
        self.given_up = False


# By the number that the library passes back. No lock: what goes from here may end another pool, on
# this thread and just then. Each step is one operation on a dictionary.
_hooks: Dict[int, _HookPair] = {}
_next_hook = itertools.count(1).__next__


def _on_start(number: int, _handle: int, index: int) -> None:
    pair = _hooks.get(number)
    if pair is None:
        return
    pair.owing[threading.get_ident()] = True
    _hooks[number] = pair  # it may have been given up since it was found, and a stop is owed now
    if pair.start is not None:
        _PlainCall(pair.start, (index,), {}).run()


def _on_stop(number: int, _handle: int, index: int) -> None:
    pair = _hooks.get(number)
    if pair is None:
        return
    if pair.stop is not None:
        _PlainCall(pair.stop, (index,), {}).run()
    pair.owing.pop(threading.get_ident(), None)
    if pair.given_up and not pair.owing:
        _hooks.pop(number, None)


def _give_up(hook_ids: Dict[int, int]) -> None:
    """The pool has ended, or will: the pairs go when no thread owes a stop any more."""
    numbers = list(hook_ids.values())
    hook_ids.clear()
    for number in numbers:
        pair = _hooks.get(number)
        if pair is None:
            continue
        pair.given_up = True
        if not pair.owing:
            _hooks.pop(number, None)


def _abandon(core: Core, hook_ids: Dict[int, int]) -> None:
    core.abandon()
    _give_up(hook_ids)


_start_callback = _abi.HOOK_FN(_on_start)
_stop_callback = _abi.HOOK_FN(_on_stop)
_START = _abi.address(_start_callback)
_STOP = _abi.address(_stop_callback)


class Pool(NativeCalls):
    """An elastic pool of native workers.

    workers_min    workers kept when idle
    workers_max    0 = automatic, from the CPUs that the process may use
    keep_alive     seconds that an idle worker above workers_min stays; None = for ever
    queue_limit    calls accepted and not yet started; None = without limit
    on_full        at the limit: "reject" raises FullError, "block" waits for room (stats().rejected
                   then counts the pieces of 0.1 s in which there was none)
    name           shown in thread names

    Use it in a with statement, or call destroy(). Dropping the last reference, also inside one of
    its own tasks, releases the pool: what waits is cancelled, what runs ends. At the end of the
    interpreter what waits is cancelled, and what runs is waited for, for a second."""

    def __init__(self, *, workers_min: int = 0, workers_max: int = 0,
                 keep_alive: Optional[float] = 1.0, queue_limit: Optional[int] = QUEUE_LIMIT,
                 on_full: str = "reject", name: str = "pool") -> None:
        self._core = Core(make_options(workers_min=workers_min, workers_max=workers_max,
                                       keep_alive=keep_alive, queue_limit=queue_limit,
                                       on_full=on_full), name)
        self._hook_ids: Dict[int, int] = {}
        finalizer = weakref.finalize(self, _abandon, self._core, self._hook_ids)
        finalizer.atexit = False

    @property
    def handle(self) -> int:
        """The pool_t, for C functions that take one. 0 when it is destroyed or released."""
        return self._core.handle

    def submit(self, fn: Callable[..., object], /, *args: Any, **kwargs: Any) -> None:
        """Runs fn(*args, **kwargs) on a worker. What it raises goes to threading.excepthook."""
        self._core.submit(_PlainCall(fn, args, kwargs))

    def wait_idle(self, timeout: Optional[float] = None) -> bool:
        """Waits until no task is queued or running; False: timeout seconds are over."""
        return wait_in_pieces(lambda span: _lib.pool_wait_idle(self._core.handle, span),
                              _nanoseconds(timeout))

    def add_hook(self, start: Optional[_Hook] = None, stop: Optional[_Hook] = None) -> int:
        """start(worker_index) runs on every worker before its next task, stop(worker_index) on
        every worker that ran start, when it ends or the hook is removed."""
        number = _next_hook()
        _hooks[number] = _HookPair(start, stop)
        hook = ctypes.c_uint64()
        status = _lib.pool_hook_add(self._core.handle, _START, _STOP, number, ctypes.byref(hook))
        if status != _abi.OK:
            del _hooks[number]
            errors.check(status)
        self._hook_ids[hook.value] = number
        return hook.value

    def remove_hook(self, hook: int) -> None:
        """Runs stop where start ran, and returns when neither runs or will run again."""
        errors.check(_lib.pool_hook_remove(self._core.handle, hook))
        _hooks.pop(self._hook_ids.pop(hook), None)

    def tune(self, workers: int) -> None:
        """Sets the number of workers by hand, also under load; 0 gives it back to the scaler."""
        errors.check(_lib.pool_tune(self._core.handle, workers))

    def pause(self) -> None:
        """Workers take no further task until resume()."""
        errors.check(_lib.pool_pause(self._core.handle))

    def resume(self) -> None:
        errors.check(_lib.pool_resume(self._core.handle))

    def close(self, *, cancel: bool = False, timeout: Optional[float] = None) -> bool:
        """Accepts no more tasks and waits for those accepted, or cancels those that have not
        started; False: timeout seconds are over and it is still closing."""
        mode = _abi.CANCEL_QUEUED if cancel else _abi.DRAIN
        return self._core.close(mode, _nanoseconds(timeout))

    def destroy(self) -> None:
        """Drains the pool, joins its threads and frees it. Idempotent; not from its own tasks."""
        self._core.wait_destroyed(_abi.DRAIN)
        _give_up(self._hook_ids)

    def release(self) -> None:
        """Gives the pool up: does not wait, cancels what waits, what runs ends. Idempotent."""
        self._core.release()
        _give_up(self._hook_ids)

    def __enter__(self) -> "Pool":
        return self

    def __exit__(self, _type: Optional[Type[BaseException]], _value: Optional[BaseException],
                 _traceback: Optional[TracebackType]) -> None:
        self.destroy()


def _nanoseconds(timeout: Optional[float]) -> int:
    """Saturates: a timeout of centuries is no error."""
    return _abi.FOREVER if timeout is None else min(max(0, int(timeout * 1e9)), 2**63 - 1)
