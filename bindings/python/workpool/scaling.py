# SPDX-License-Identifier: Apache-2.0
"""How many workers a pool has: policies, also of one's own, and what they have decided. pool_load_t
and pool_decision_t in workpool.h have the meaning of each field; here times are seconds."""

import ctypes
import itertools
import operator
from typing import (TYPE_CHECKING, Any, Callable, Dict, List, NamedTuple, Optional, Protocol,
                    TypeVar, Union)

from . import _abi, _worker, errors
from ._units import U32, U64, optional_ns, positive_ns, whole

if TYPE_CHECKING:
    from ._core import Core

T = TypeVar("T")

_lib = _abi.lib
_next_number = itertools.count(1).__next__
# A policy here waits for the interpreter lock, which each of the threads that compute may keep for
# 5 ms (sys.getswitchinterval).
_CALL_MAX = 0.1
# As many decisions as a pool keeps.
_KEPT = 256


class Load(NamedTuple):
    """What a policy sees of a pool. Counts are of the dt seconds since the load before."""

    workers_live: int      # those being started included
    workers_idle: int      # asleep, or looking for a task
    workers_blocked: int   # wait inside a task, and are stood in for beyond the target
    workers_hung: int      # in one task for long, and off the CPU
    workers_min: int
    workers_max: int
    target: int            # as many may be up now
    now: float             # a point of time.monotonic()
    wall: int              # one of time.time()
    dt: float              # 0: the time before was not watched
    queued: int
    queue_limit: Optional[int]
    head_age: float        # the oldest waiting task has waited at least so long
    arrived: int
    started: int
    ended: int
    failed: int            # of these
    wait_mean: float       # over about a second
    wait_p99: float
    service_time: float    # a worker's time for one task
    cores: float           # CPUs that the process may use
    runnable: float        # threads of the pool that ran or waited for a CPU
    others: float          # the same of other pools of the process


class Decision(NamedTuple):
    """A decision that changed the number of workers."""

    number: int            # from 1, without gaps: one that is missing was overwritten
    reason: str            # "starved", "expired", "manual", ...: POOL_REASON_ in workpool.h
    shadow: bool           # what a policy in the shadow would have done
    workers_before: int    # the target before, and since
    workers: int
    workers_live: int      # these as in Load
    workers_idle: int
    workers_hung: int
    at: float              # a point of time.monotonic()
    queued: int
    head_age: float
    runnable: float
    cores: float
    goodput: float         # tasks that ended well in a second
    signal: float          # of a policy of one's own


class Policy:
    """A policy of one's own: any object with decide(). The other two may be left out. Instead of
    decide() there may be a name, of one of the library's with its options: cooldown() holds that
    too, and signal() leads it where it reads one ("ewma,signal=own").

    They are called on a thread that other pools share, one at a time, and have to be quick: where
    three decisions in a row take longer than call_max of set_policy, the wait for the interpreter
    lock included, the policy goes, "auto" takes its place, and the log tells. What they raise goes
    to sys.unraisablehook, the first time, and the number of workers stays."""

    name: Optional[str] = None

    def signal(self, load: Load) -> float:
        """A figure for decide(); it is listed with the decision."""
        return 0.0

    def decide(self, load: Load, signal: float) -> int:
        """How many workers there should be. signal is 0 if there is no signal()."""
        raise NotImplementedError

    def cooldown(self, load: Load, workers: int) -> bool:
        """Whether the number may change from load.target to workers now."""
        return True


class _Decides(Protocol):
    """What there has to be of it."""

    def decide(self, load: Load, signal: float) -> int:
        """See Policy."""


AnyPolicy = Union[None, str, Policy, _Decides, Callable[[Load], int]]


class _Own:
    """A policy that the library calls."""

    __slots__ = ("_policy", "name", "decide", "signal", "cooldown", "asked", "_told", "_stays")

    def __init__(self, policy: Any) -> None:
        self._policy = policy
        self.decide: Optional[Callable[[Load, float], int]] = _own_method(policy, "decide")
        name = getattr(policy, "name", None)
        self.name = name if self.decide is None and isinstance(name, str) else None
        if self.decide is None and self.name is None:
            if not callable(policy):
                raise TypeError(f"{policy!r} is no policy; give a name, a function of a Load, or "
                                "an object with decide(load, signal)")
            self.decide = self._decide_alone
        self.signal: Optional[Callable[[Load], float]] = _own_method(policy, "signal")
        self.cooldown: Optional[Callable[[Load, int], bool]] = _own_method(policy, "cooldown")
        self.asked = False   # one of its functions is running
        self._told = False   # of what it has raised
        self._stays = False  # the signal of this look is missing

    def _decide_alone(self, load: Load, _signal: float) -> int:
        workers: int = self._policy(load)
        return workers

    def measure(self, load: Load) -> float:
        assert self.signal is not None
        self._stays = True
        value = float(self.signal(load))
        self._stays = False
        return value

    def choose(self, load: Load, signal: float) -> int:
        assert self.decide is not None
        if self._stays:
            self._stays = False
            return load.target
        workers = operator.index(self.decide(load, signal))
        return whole("what decide() returns", min(workers, U32), U32)

    def allow(self, load: Load, workers: int) -> bool:
        assert self.cooldown is not None
        return bool(self.cooldown(load, workers))

    def tell(self, error: BaseException) -> None:
        if self._told:
            return
        self._told = True
        # Only the interpreter can make what sys.unraisablehook is given. It does for a callback.
        _FAILURE_FN(_Failure(self._policy, error))()


def _own_method(policy: Any, name: str) -> Any:
    """None if there is none, or it says nothing: each call takes the interpreter lock."""
    if getattr(type(policy), name, None) is getattr(Policy, name):
        return None
    return getattr(policy, name, None)


class _Failure:
    """What a policy has raised, raised where nobody can catch it."""

    def __init__(self, policy: object, error: BaseException) -> None:
        self._policy = policy
        self._error = error

    def __call__(self) -> None:
        raise self._error

    def __repr__(self) -> str:
        return f"policy {self._policy!r}"


_FAILURE_FN = ctypes.CFUNCTYPE(None)

# By the number that the library passes back. What is not here is not called any more.
_own: Dict[int, _Own] = {}


class PolicySeats:
    """The policies of one pool that are in Python: that which holds, and that in the shadow."""

    def __init__(self) -> None:
        # By whether it is in the shadow: numbers in _own that the library may call. More than one
        # where two were set at the same time: nobody knows which of them is the later one. No lock:
        # a policy may set another one while that one's setter waits for its end.
        self._numbers: Dict[bool, Dict[int, None]] = {False: {}, True: {}}
        self._setting: Dict[int, None] = {}
        self._last = 0

    def set(self, handle: int, policy: AnyPolicy, keep: bool = False, shadow: bool = False,
            tick: Optional[float] = None, patience: Optional[float] = None,
            call_max: Optional[float] = None, history: Optional[str] = None) -> None:
        fields = _abi.Policy()
        errors.check(_lib.pool_policy_init(ctypes.byref(fields), ctypes.sizeof(fields)))
        if tick is not None:
            fields.tick_ns = positive_ns("tick", tick)
        fields.patience_ns = optional_ns(patience)
        fields.call_max_ns = positive_ns("call_max", _CALL_MAX if call_max is None else call_max)
        fields.history = None if history is None else history.encode("ascii")
        fields.flags = (_abi.POLICY_SHADOW if shadow else 0) | (_abi.POLICY_KEEP if keep else 0)
        number = self._last = _next_number()
        if policy is None or isinstance(policy, str):
            if keep:
                raise ValueError("keep = True is for a policy of your own")
            fields.name = None if policy is None else policy.encode("utf-8")
        else:
            own = _Own(policy)
            fields.user = number
            fields.name = None if own.name is None else own.name.encode("utf-8")
            fields.decide = None if own.decide is None else _DECIDE
            fields.signal = None if own.signal is None else _SIGNAL
            fields.cooldown = None if own.cooldown is None else _COOLDOWN
            _own[number] = own
        numbers = self._numbers[shadow]
        before = list(numbers)
        self._setting[number] = numbers[number] = None
        try:
            errors.check(_lib.pool_set_policy(handle, ctypes.byref(fields)))
        except BaseException:
            _forget([number], numbers)
            raise
        finally:
            del self._setting[number]
        if self._last == number and not self._setting:
            _forget(before, numbers)

    def give_up(self, handle: int, wait: bool) -> None:
        """The pool is about to be given up, or the interpreter ends: the library is to call nothing
        here any more."""
        for shadow, numbers in self._numbers.items():
            found = [_own.get(number) for number in numbers]
            _forget(list(numbers), numbers)
            owns = [own for own in found if own is not None]
            if not owns or (not wait and any(own.asked for own in owns)):
                continue  # what is asked would be waited for, and may wait for who calls this
            fields = _abi.Policy()
            fields.struct_size = ctypes.sizeof(fields)
            fields.flags = _abi.POLICY_SHADOW if shadow else 0
            _lib.pool_set_policy(handle, ctypes.byref(fields))

    def forget(self) -> None:
        """The pool has ended."""
        for numbers in self._numbers.values():
            _forget(list(numbers), numbers)


def _forget(given: List[int], numbers: Dict[int, None]) -> None:
    for number in given:
        numbers.pop(number, None)
        _own.pop(number, None)


def _to_load(seen: _abi.Load) -> Load:
    return Load(
        seen.workers_live, seen.workers_idle, seen.workers_blocked, seen.workers_hung,
        seen.workers_min, seen.workers_max, seen.target, seen.now_ns / 1e9, seen.wall_s,
        seen.dt_ns / 1e9, seen.queued,
        None if seen.queue_limit == _abi.UNLIMITED else seen.queue_limit, seen.head_age_ns / 1e9,
        seen.arrived, seen.started, seen.ended, seen.failed, seen.wait_mean_s, seen.wait_p99_s,
        seen.service_s, seen.cores, seen.runnable, seen.others)


def _ask(number: int, question: Callable[..., T], otherwise: T, load: Any, *more: Any) -> T:
    """What it answers, or otherwise if it raises or has been given up."""
    own = _own.get(number)
    if own is None:
        return otherwise
    own.asked = True
    try:
        if number not in _own:  # given up before it was seen to be asked
            return otherwise
        with _worker.visit():
            return question(own, _to_load(load.contents), *more)
    except BaseException as error:
        own.tell(error)
        return otherwise
    finally:
        own.asked = False


def _on_signal(number: int, load: Any) -> float:
    return _ask(number, _Own.measure, 0.0, load)


def _on_decide(number: int, load: Any, signal: float) -> int:
    target: int = load.contents.target
    return _ask(number, _Own.choose, target, load, signal)


def _on_cooldown(number: int, load: Any, workers: int) -> int:
    return _ask(number, _Own.allow, False, load, workers)


_signal_callback = _abi.SIGNAL_FN(_on_signal)
_decide_callback = _abi.DECIDE_FN(_on_decide)
_cooldown_callback = _abi.COOLDOWN_FN(_on_cooldown)
_SIGNAL = _abi.address(_signal_callback)
_DECIDE = _abi.address(_decide_callback)
_COOLDOWN = _abi.address(_cooldown_callback)


def _reason(number: int) -> str:
    name: bytes = _lib.pool_reason_name(number)
    return name.decode("ascii")


class ScalingCalls:
    """The part of the C API that Pool and Executor share: what finds the number of workers."""

    _core: "Core"

    def set_policy(self, policy: AnyPolicy, *, keep: bool = False, shadow: bool = False,
                   tick: Optional[float] = None, patience: Optional[float] = None,
                   call_max: Optional[float] = None, history: Optional[str] = None) -> None:
        """Another policy from now on: the name of one, with its options ("pid,setpoint=0.6"), None
        for "auto", or one's own: a function of a Load that returns the number of workers, or an
        object as Policy says. What it asks for is bounded by workers_min and workers_max. When this
        returns, nothing of the policy before is running (but a call that sets another one).

        keep      of one's own: exactly so many workers are kept, idle or not
        shadow    it decides beside the policy that holds, and is only listed by decisions(); the
                  name "none" takes it away
        tick      seconds after which to look again while tasks wait; None = as the policy says
        patience  seconds that a task waits before somebody looks; None = as the policy says
        call_max  of one's own: seconds that a decision may take; None = 0.1
        history   with "seasonal": what policy_history() returned, and it goes on from there"""
        self._core.policies.set(self._core.handle, policy, keep, shadow, tick, patience, call_max,
                                history)

    def policy_history(self) -> str:
        """What the policy has learned, as text for set_policy. ValueError if it learns nothing."""
        needed = ctypes.c_size_t(0)
        while True:
            room = needed.value
            text = ctypes.create_string_buffer(room) if room else None
            errors.check(_lib.pool_policy_history(self._core.handle, text, room,
                                                  ctypes.byref(needed)))
            if text is not None and needed.value <= room:
                return text.value.decode("ascii")

    def decisions(self, after: int = 0) -> List[Decision]:
        """The decisions after number after, of those that are kept, the last 256; oldest first."""
        places = (_abi.Decision * _KEPT)()
        count = ctypes.c_uint32()
        errors.check(_lib.pool_decisions(self._core.handle, whole("after", after, U64), places,
                                         ctypes.sizeof(_abi.Decision), len(places),
                                         ctypes.byref(count)))
        return [Decision(one.number, _reason(one.reason), bool(one.flags & _abi.DECISION_SHADOW),
                         one.workers_before, one.workers, one.workers_live, one.workers_idle,
                         one.workers_hung, one.at_ns / 1e9, one.queued, one.head_age_ns / 1e9,
                         one.runnable, one.cores, one.goodput, one.signal)
                for one in places[:count.value]]

    def health(self) -> bool:
        """Whether the pool does its work; to be asked at least once a second. False: since the call
        before, and for a second or more, tasks have waited beside workers that sleep or could be
        started. It has been put right, and the log tells; it must not be: please report it."""
        status = _lib.pool_health(self._core.handle)
        if status == _abi.E_STALLED:
            return False
        errors.check(status)
        return True
