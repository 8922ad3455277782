# SPDX-License-Identifier: Apache-2.0
"""From Python's numbers to the library's. ctypes cuts an integer that does not fit without a word,
so that every one is looked at here first."""

from typing import Dict, Optional

from . import _abi

_MOST_NS = 2**63 - 1


def nanoseconds(seconds: float) -> int:
    """Saturates: a time of centuries is no error. At least 1: to the library 0 often stands for
    "none" or for a default, and here it is a time that is over at once."""
    if seconds < 0 or seconds != seconds:
        raise ValueError(f"a time of {seconds} s; give a positive number of seconds")
    return max(1, int(seconds * 1e9)) if seconds < 2**33 else _MOST_NS


def optional_ns(seconds: Optional[float]) -> int:
    """0 for None, which is how the library says "none", or "the default"."""
    return 0 if seconds is None else nanoseconds(seconds)


def positive_ns(name: str, seconds: float) -> int:
    """For a time that makes no sense as 0."""
    if not seconds > 0:
        raise ValueError(f"{name} = {seconds} s; give more than 0")
    return nanoseconds(seconds)


def timeout_ns(seconds: Optional[float]) -> int:
    """For a wait: None is without limit, and what is over is a look."""
    return _abi.FOREVER if seconds is None else nanoseconds(seconds) if seconds > 0 else 0


def whole(name: str, value: int, most: int, least: int = 0) -> int:
    if not least <= value <= most:
        raise ValueError(f"{name} = {value} is outside {least} ... {most}")
    return value


def choice(name: str, value: str, choices: Dict[str, int]) -> int:
    """As the options by name have it, too: with "-"."""
    try:
        return choices[str(value).replace("-", "_")]
    except KeyError:
        raise ValueError(f"{name} must be one of {', '.join(map(repr, choices))}, not {value!r}"
                         ) from None


def name_of(text: str) -> bytes:
    """As much of it as a name may have."""
    encoded = text.encode("utf-8", "replace")[:_abi.NAME_MAX]
    return encoded.decode("utf-8", "ignore").encode("utf-8")


U32 = 2**32 - 1
U64 = 2**64 - 1
I32 = 2**31 - 1
