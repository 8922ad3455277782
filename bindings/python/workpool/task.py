# SPDX-License-Identifier: Apache-2.0
"""What the running task may ask about itself. Outside a task nothing is asked of it, and these say
so: False, 0, None."""

from contextlib import contextmanager
from threading import get_ident
from typing import Iterator, Optional

from . import _abi
from ._core import running
from .tokens import CancelToken

_lib = _abi.lib


def should_stop() -> bool:
    """Whether the task was asked to stop: by cancel() of its future or its token, by its
    run_timeout, or by close(stop=True) of its pool."""
    here = running.get(get_ident())
    return here is not None and _lib.pool_ctx_should_stop(here[0]) != 0


def attempt() -> int:
    """Which run of its task this is, from 1."""
    here = running.get(get_ident())
    return 0 if here is None else int(_lib.pool_ctx_attempt(here[0]))


def deadline() -> Optional[float]:
    """The task's deadline, a point of time.monotonic()."""
    here = running.get(get_ident())
    if here is None:
        return None
    at_ns: int = _lib.pool_ctx_deadline_ns(here[0])
    return None if at_ns == 2**64 - 1 else at_ns / 1e9


def token() -> Optional[CancelToken]:
    """The task's cancel token."""
    here = running.get(get_ident())
    rules = None if here is None or here[1] is None else here[1]._rules
    return None if rules is None else rules.token


@contextmanager
def blocking() -> Iterator[None]:
    """Around what blocks for long without the processor: a query, a download, a lock. Meanwhile
    another worker may be up in this one's place at once; without it the pool finds that out by
    itself, within some milliseconds. They may be nested."""
    here = running.get(get_ident())
    if here is None:
        yield
        return
    _lib.pool_ctx_block_begin(here[0])
    try:
        yield
    finally:
        _lib.pool_ctx_block_end(here[0])
