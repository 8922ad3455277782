# SPDX-License-Identifier: Apache-2.0
"""How many workers a pool has: policies by name and in Python, what they have decided, bounds,
budgets, and tasks that block."""

import ctypes
import gc
import os
import sys
import threading
import time
import unittest
import weakref
from contextlib import contextmanager

import workpool
from helper import BOUND_S, Gate, eventually, run_program, settled
from workpool import Budget, Load, Policy, Rules, _abi, scaling, task

KEPT = 256


class Crew(Policy):
    """Asks for so many workers, and notes what it is asked."""

    def __init__(self, workers, signal=0.0, allowed=True):
        self.workers = workers
        self.figure = signal
        self.allowed = allowed
        self.loads = []
        self.signals = []
        self.asked = []

    def signal(self, load):
        self.loads.append(load)
        return self.figure

    def decide(self, load, signal):
        self.signals.append(signal)
        return self.workers

    def cooldown(self, load, workers):
        self.asked.append((load.target, workers))
        return self.allowed


@contextmanager
def crowded(pool, tasks=20):
    """A pool with so many tasks that wait at a gate as long as the with statement lasts."""
    with Gate() as gate:
        for _ in range(tasks):
            pool.submit(gate.wait)
        yield gate


@contextmanager
def unraisable():
    """What goes to sys.unraisablehook."""
    told = []
    before = sys.unraisablehook
    sys.unraisablehook = lambda seen: told.append((seen.exc_type, str(seen.exc_value),
                                                   repr(seen.object)))
    try:
        yield told
    finally:
        sys.unraisablehook = before


def changes(pool, reason):
    """The targets of the decisions for this reason."""
    return [one.workers for one in pool.decisions() if one.reason == reason and not one.shadow]


class Named(unittest.TestCase):
    def test_names(self):
        """a policy by name decides, as an argument or set later, of a Pool and of an Executor"""
        for make in (workpool.Pool, workpool.Executor):
            with settled(make(workers_max=9, policy="fixed,n=3")) as pool:
                with Gate() as gate:
                    for _ in range(20):
                        pool.submit(gate.wait)
                    self.assertTrue(gate.await_arrivals(3))
                    pool.set_policy("fixed,n=7")
                    self.assertTrue(gate.await_arrivals(7))
                    time.sleep(0.05)
                    self.assertEqual(gate.arrived, 7)
                    pool.set_policy(None)
                    self.assertTrue(gate.await_arrivals(9))

    def test_refusals(self):
        """what is no policy is refused, with the names of those there are, and nothing changes"""
        with self.assertRaisesRegex(workpool.InvalidError, "there is no policy 'best'; .*pid"):
            workpool.Pool(policy="best")
        with settled(workpool.Pool(policy="fixed,n=2")) as pool:
            with self.assertRaisesRegex(workpool.InvalidError, "colour"):
                pool.set_policy("pid,colour=red")
            for wrong in (5, object(), b"pid"):
                with self.assertRaisesRegex(TypeError, "is no policy"):
                    pool.set_policy(wrong)
            with self.assertRaises(ValueError):
                pool.set_policy("pid", keep=True)
            for times in ({"tick": 0}, {"tick": -1}, {"patience": -1}):
                with self.assertRaises(ValueError):
                    pool.set_policy("pid", **times)
            pool.set_policy("pid", tick=0.02, patience=0)
        self.assertEqual(scaling._own, {})
        with self.assertRaises(TypeError):
            workpool.Pool(policy=5)


class Own(unittest.TestCase):
    def test_decides(self):
        """an object decides from what it sees, and what it says is done and listed"""
        crew = Crew(5, signal=0.25)
        before = time.monotonic(), time.time()
        with settled(workpool.Pool(workers_max=12, policy=crew)) as pool:
            with crowded(pool) as gate:
                self.assertTrue(gate.await_arrivals(5))
                self.assertTrue(eventually(lambda: changes(pool, "load") == [5]))
                crew.workers = 100  # bounded by workers_max
                self.assertTrue(gate.await_arrivals(12))
                time.sleep(0.05)
                self.assertEqual(gate.arrived, 12)
                self.assertTrue(eventually(lambda: any(load.queued == 8 and load.head_age > 0
                                                       for load in list(crew.loads))))
                self.assertEqual(set(crew.signals), {0.25})
                self.assertEqual(crew.asked[0][1], 5)
            last = crew.loads[-1]
            self.assertIs(type(last), Load)
            self.assertEqual((last.workers_min, last.workers_max, last.queue_limit),
                             (0, 12, 2**20))
            self.assertTrue(before[0] <= last.now <= time.monotonic())
            self.assertTrue(int(before[1]) <= last.wall <= time.time())
            self.assertGreaterEqual(last.cores, 1.0)
            decision = pool.decisions()[0]
            self.assertEqual((decision.number, decision.reason, decision.shadow, decision.workers),
                             (1, "load", False, 5))
            self.assertEqual(decision.signal, 0.25)
            self.assertTrue(before[0] <= decision.at <= time.monotonic())

    def test_unlimited(self):
        """a pool without a limit of its queue has None in its load"""
        crew = Crew(3)
        with settled(workpool.Executor(4, policy=crew)) as executor:
            with crowded(executor):
                self.assertTrue(eventually(lambda: crew.loads))
        self.assertIsNone(crew.loads[0].queue_limit)

    def test_function(self):
        """a function of the load is a policy; so is an object with decide alone"""
        class Decides:
            def decide(self, load, signal):
                return 6 if signal == 0.0 else 1
        with settled(workpool.Pool(workers_max=8)) as pool:
            with crowded(pool) as gate:
                pool.set_policy(lambda load: min(load.workers_max, 4))
                self.assertTrue(gate.await_arrivals(4))
                pool.set_policy(Decides())
                self.assertTrue(gate.await_arrivals(6))

    def test_cooldown(self):
        """cooldown is asked before a change, and may forbid it"""
        crew = Crew(5, allowed=False)
        with settled(workpool.Pool(workers_min=1, workers_max=8)) as pool:
            pool.set_policy("fixed,n=2")
            with crowded(pool) as gate:
                self.assertTrue(gate.await_arrivals(2))
                pool.set_policy(crew, tick=0.002)
                self.assertTrue(eventually(lambda: len(crew.asked) > 3))
                self.assertEqual(set(crew.asked), {(2, 5)})
                self.assertEqual(gate.arrived, 2)
                crew.allowed = True
                self.assertTrue(gate.await_arrivals(5))

    def test_beside_a_name(self):
        """signal and cooldown lead and hold a policy by name that an object gives"""
        class Led(Policy):
            name = "ewma,signal=own,alpha=1,cooldown=0s"
            allowed = False
            asked = 0

            def signal(self, load):
                return 2.0

            def cooldown(self, load, workers):
                self.asked += 1
                return self.allowed

        led = Led()
        with settled(workpool.Pool(workers_max=8, policy="fixed,n=2")) as pool:
            with crowded(pool) as gate:
                self.assertTrue(gate.await_arrivals(2))
                pool.set_policy(led, tick=0.002)
                self.assertTrue(eventually(lambda: led.asked > 3))
                self.assertEqual(gate.arrived, 2)
                led.allowed = True
                self.assertTrue(gate.await_arrivals(8))
                self.assertEqual(pool.decisions()[-1].signal, 2.0)
            with self.assertRaisesRegex(workpool.InvalidError, "policy.signal"):
                pool.set_policy("ewma,signal=own")

    def test_history(self):
        """what seasonal has learned is a text, from which another pool goes on"""
        text = "season 1 86400 288\n300x288\n"
        with settled(workpool.Pool(workers_max=8, policy="seasonal")) as pool:
            self.assertEqual(pool.policy_history(), "season 1 86400 288\n-x288\n")
            pool.set_policy("seasonal", history=text)
            self.assertTrue(eventually(lambda: pool.stats().workers_live == 3))
            self.assertEqual(pool.policy_history(), text)
            with self.assertRaises(workpool.InvalidError):
                pool.set_policy("seasonal", history="season 1")
            pool.set_policy("auto")
            with self.assertRaises(workpool.InvalidError):
                pool.policy_history()

    def test_call_max(self):
        """call_max is how long a decision may take, three times in a row"""
        def slow(calls):
            def decide(load):
                calls.append(load)
                time.sleep(0.03)
                return 1
            return decide

        stays, goes = [], []
        with settled(workpool.Pool(workers_max=8)) as pool:
            with crowded(pool):
                pool.set_policy(slow(stays), tick=0.002)
                self.assertTrue(eventually(lambda: len(stays) > 5))
                pool.set_policy(slow(goes), tick=0.002, call_max=0.01)
                self.assertTrue(eventually(lambda: len(goes) == 3))
                time.sleep(0.2)
                self.assertEqual(len(goes), 3)

    def test_keep(self):
        """with keep exactly so many workers are there, without a task, too"""
        with settled(workpool.Pool(workers_max=8, keep_alive=0.001)) as pool:
            pool.set_policy(lambda load: 3, keep=True)
            self.assertTrue(eventually(lambda: pool.stats().workers_live == 3))
            time.sleep(0.05)
            self.assertEqual(pool.stats().workers_live, 3)
            pool.set_policy("auto")
            self.assertTrue(eventually(lambda: pool.stats().workers_live == 0))

    def test_shadow(self):
        """one in the shadow is asked and listed, and changes nothing"""
        crew = Crew(7, signal=1.5)
        with settled(workpool.Pool(workers_max=8, policy="fixed,n=2")) as pool:
            with crowded(pool) as gate:
                pool.set_policy(crew, shadow=True)
                self.assertTrue(eventually(lambda: any(one.shadow for one in pool.decisions())))
                self.assertEqual([one.workers for one in pool.decisions() if one.shadow], [7])
                pool.set_policy("fixed,n=4", tick=0.002)  # the shadow stays
                self.assertTrue(gate.await_arrivals(4))
                asked = len(crew.loads)
                self.assertTrue(eventually(lambda: len(crew.loads) > asked))
                self.assertEqual(gate.arrived, 4)
                pool.set_policy("auto", shadow=True)
                asked = len(crew.loads)
                time.sleep(0.05)
                self.assertEqual(len(crew.loads), asked)
        self.assertEqual(scaling._own, {})


class Failure(unittest.TestCase):
    def asked(self, policy, calls):
        """How the number and sys.unraisablehook are after so many calls of a policy that fails."""
        with settled(workpool.Pool(workers_max=8, policy="fixed,n=3")) as pool:
            with crowded(pool) as gate, unraisable() as told:
                self.assertTrue(gate.await_arrivals(3))
                pool.set_policy(policy, tick=0.002)
                self.assertTrue(eventually(lambda: policy.calls >= calls))
                pool.set_policy("fixed,n=3")
                return gate.arrived, told

    def test_raises(self):
        """what a policy raises goes to sys.unraisablehook once, and the number stays"""
        for place in ("signal", "decide", "cooldown"):
            class Fails(Crew):
                calls = 0

                def fail(self, *_):
                    self.calls += 1
                    raise LookupError("from the policy")

                def __repr__(self):
                    return "Fails()"
            policy = Fails(6)
            setattr(policy, place, policy.fail)
            arrived, told = self.asked(policy, 3)
            self.assertEqual((place, arrived), (place, 3))
            self.assertEqual(told, [(LookupError, "from the policy", "policy Fails()")])
            if place == "signal":
                self.assertEqual(policy.signals, [])  # it was not asked without its figure

    def test_returns_nonsense(self):
        """a number that is none is told like an exception; one beyond all bounds is the bound"""
        for wrong, error in ((None, TypeError), (2.5, TypeError), ("5", TypeError),
                             (-1, ValueError)):
            class Wrong(Policy):
                calls = 0

                def decide(self, load, signal):
                    self.calls += 1
                    return wrong
            arrived, told = self.asked(Wrong(), 3)
            self.assertEqual((wrong, arrived, [one[0] for one in told]), (wrong, 3, [error]))
        with settled(workpool.Pool(workers_max=8, policy=lambda load: 2**70)) as pool:
            with crowded(pool) as gate:
                self.assertTrue(gate.await_arrivals(8))


class Life(unittest.TestCase):
    def test_not_running_afterwards(self):
        """when set_policy returns, no function of the policy before runs or is called again"""
        class Slow(Policy):
            def __init__(self):
                self.inside = False
                self.calls = 0

            def decide(self, load, signal):
                self.inside = True
                self.calls += 1
                time.sleep(0.002)
                self.inside = False
                return load.target
        with settled(workpool.Pool(workers_max=4)) as pool:
            with crowded(pool):
                for _ in range(50):
                    policy = Slow()
                    pool.set_policy(policy, tick=0.001)
                    self.assertTrue(eventually(lambda: policy.inside))
                    pool.set_policy("auto")
                    inside, calls = policy.inside, policy.calls
                    time.sleep(0.003)
                    self.assertEqual((inside, policy.calls), (False, calls))

    def test_lets_go(self):
        """a policy that has been replaced, or whose pool has ended, is not kept"""
        with settled(workpool.Pool(workers_max=4)) as pool:
            for _ in range(300):
                policy = Crew(2)
                pool.set_policy(policy)
                pool.set_policy(policy, shadow=True)
            self.assertLessEqual(len(scaling._own), 2)
            gone = weakref.ref(policy)
            del policy
            pool.set_policy("auto")
            self.assertIsNotNone(gone())
            pool.set_policy("auto", shadow=True)
            gc.collect()
            self.assertIsNone(gone())
            last = Crew(2)
            gone = weakref.ref(last)
            pool.set_policy(last)
            del last
            with self.assertRaises(workpool.InvalidError):
                pool.set_policy("no such policy")
            self.assertIsNotNone(gone())
        gc.collect()
        self.assertIsNone(gone())
        self.assertEqual(scaling._own, {})

    def test_set_by_itself(self):
        """a policy may set another one, also while somebody else does"""
        class Hands(Policy):
            def __init__(self, pool):
                self.pool = pool
                self.calls = 0

            def decide(self, load, signal):
                self.calls += 1
                self.pool.set_policy(lambda load: 5)
                return 1
        with settled(workpool.Pool(workers_max=8)) as pool:
            with crowded(pool) as gate:
                hands = Hands(pool)
                pool.set_policy(hands)
                self.assertTrue(gate.await_arrivals(5))
                self.assertEqual(hands.calls, 1)
                for _ in range(100):
                    pool.set_policy(Hands(pool), tick=0.001)
                    pool.set_policy(lambda load: 5, tick=0.001)
                pool.set_policy(lambda load: 7)
                self.assertTrue(gate.await_arrivals(7))
        self.assertEqual(scaling._own, {})

    def test_set_by_many(self):
        """threads may set policies at once: one of them holds, none is lost or kept"""
        with settled(workpool.Pool(workers_max=4)) as pool:
            with crowded(pool):
                def change():
                    for _ in range(100):
                        pool.set_policy(Crew(2), tick=0.001)
                threads = [threading.Thread(target=change) for _ in range(4)]
                for thread in threads:
                    thread.start()
                for thread in threads:
                    thread.join()
                self.assertTrue(scaling._own)
                crew = Crew(3)
                pool.set_policy(crew, tick=0.001)
                self.assertEqual(len(scaling._own), 1)
                self.assertTrue(eventually(lambda: len(crew.loads) > 2))
        self.assertEqual(scaling._own, {})

    def test_dropped_by_its_policy(self):
        """a pool whose last reference its own policy drops ends without a trace"""
        holder = [workpool.Pool(workers_max=2)]
        gone = weakref.ref(holder[0])

        def drop(load):
            holder.clear()
            gc.collect()
            return 1
        with Gate() as gate:
            holder[0].submit(gate.wait)
            self.assertTrue(gate.await_arrivals(1))
            holder[0].set_policy(drop)
            self.assertTrue(eventually(lambda: gone() is None))
            self.assertTrue(eventually(lambda: not scaling._own))

    def test_released_while_it_runs(self):
        """release() does not wait for a policy, and nothing of it is called afterwards"""
        inside, leave = threading.Event(), threading.Event()
        calls = []

        def decide(load):
            calls.append(load)
            inside.set()
            leave.wait(BOUND_S)
            return 1
        pool = workpool.Pool(workers_max=2)
        with Gate() as gate:
            pool.submit(gate.wait)
            pool.set_policy(decide, tick=0.001)
            self.assertTrue(inside.wait(BOUND_S))
            pool.release()
            count = len(calls)
            leave.set()
            time.sleep(0.02)
            self.assertEqual(len(calls), count)

    def test_interpreter_exit(self):
        """an interpreter may end with a policy in Python, whatever the pool does"""
        program = """if True:
            import time, workpool
            from workpool import _core
            _core.EXIT_WAIT_S = 0.01
            class Mine(workpool.Policy):
                calls = 0
                def signal(self, load):
                    return 1.0
                def decide(self, load, signal):
                    self.calls += 1
                    return 2
            def endless():
                while True:
                    time.sleep(0.001)
            mine = Mine()
            pool = workpool.{make}(4, policy=mine) if "{make}" == "Executor" else workpool.Pool(
                workers_max=4, policy=mine)
            pool.set_policy(mine, tick=0.001)
            pool.set_policy(Mine(), shadow=True)
            for _ in range(20):
                pool.submit({task})
            while mine.calls == 0:
                time.sleep(0.001)
            {end}
            print("end")
            """
        for make, work, end in (("Pool", "endless", ""), ("Pool", "endless", "pool.release()"),
                                ("Pool", "endless", "pool.close(timeout=0)"),
                                ("Pool", "time.sleep, 0.01", "del pool"),
                                ("Executor", "time.sleep, 0.01", ""),
                                ("Executor", "time.sleep, 0.01", "pool.shutdown(wait=False)")):
            for _ in range(4):
                ended = run_program(program.format(make=make, task=work, end=end))
                self.assertEqual((make, end, ended.returncode, ended.stdout, ended.stderr),
                                 (make, end, 0, "end\n", ""))

    def test_fork(self):
        """in a forked child the calls of an inherited pool raise ForkedError, and it can be left"""
        with settled(workpool.Pool(workers_max=4, policy=Crew(2))) as pool, crowded(pool):
            child = os.fork()
            if child == 0:
                refused = 0
                try:
                    for call in (lambda: pool.set_policy("auto"), pool.decisions, pool.health,
                                 lambda: pool.set_policy(Crew(2))):
                        try:
                            call()
                        except workpool.ForkedError:
                            refused += 1
                    pool.release()
                finally:
                    os._exit(0 if refused == 4 else 1)
            self.assertEqual(os.waitpid(child, 0)[1], 0)


class Decisions(unittest.TestCase):
    def test_list(self):
        """decisions are numbered in order, the last 256 are kept, and one asks for what is new"""
        with settled(workpool.Pool(workers_max=8)) as pool:
            for number in range(150):
                pool.tune(6 + number % 2)
            found = pool.decisions()
            self.assertEqual([one.number for one in found], list(range(1, 151)))
            self.assertEqual({one.reason for one in found}, {"manual"})
            self.assertEqual([one.workers for one in found[:3]], [6, 7, 6])
            self.assertEqual([one.workers_before for one in found[1:4]], [6, 7, 6])
            for number in range(150):
                pool.tune(6 + number % 2)
            found = pool.decisions()
            self.assertEqual(len(found), KEPT)
            last = found[-1].number
            self.assertEqual([one.number for one in found], list(range(last - KEPT + 1, last + 1)))
            self.assertEqual([one.number for one in pool.decisions(last - 2)], [last - 1, last])
            self.assertEqual(pool.decisions(after=last), [])
            with self.assertRaises(ValueError):
                pool.decisions(-1)

    def test_health(self):
        """a pool that works is healthy, an ended one is an error"""
        with settled(workpool.Pool(workers_max=2)) as pool:
            for _ in range(100):
                pool.submit(int)
                self.assertIs(pool.health(), True)
            self.assertTrue(pool.wait_idle(BOUND_S))
        with self.assertRaises(workpool.WorkpoolError):
            pool.health()


class Bounds(unittest.TestCase):
    def test_live(self):
        """workers_min and workers_max can be set while the pool works"""
        with settled(workpool.Pool(workers_max=2, keep_alive=0.001)) as pool:
            with crowded(pool) as gate:
                self.assertTrue(gate.await_arrivals(2))
                time.sleep(0.02)
                self.assertEqual(gate.arrived, 2)
                pool.set("workers_max", 4)
                pool.set("workers_min", 4)
                pool.set("workers_max", 6)
                self.assertTrue(gate.await_arrivals(6))
            self.assertTrue(eventually(lambda: pool.stats().workers_live == 4))
            with self.assertRaises(workpool.InvalidError):
                pool.set("workers_max", 3)
            self.assertEqual((pool.get("workers_min"), pool.get("workers_max")), ("4", "6"))

    def test_executor(self):
        """an Executor goes by another workers_max as well"""
        with settled(workpool.Executor(1)) as executor:
            with crowded(executor, 6) as gate:
                executor.set("workers_max", 3)
                self.assertTrue(gate.await_arrivals(3))
                self.assertEqual((executor._max_workers, len(executor._threads)), (3, 3))
                executor.set("workers_max", 0)
                self.assertTrue(gate.await_arrivals(6))
                self.assertGreater(executor._max_workers, 6)

    def test_automatic(self):
        """workers_max=0 lets as many tasks block as there are"""
        with settled(workpool.Pool()) as pool, crowded(pool, 100) as gate:
            self.assertTrue(gate.await_arrivals(100))


class Blocking(unittest.TestCase):
    def test_stood_in_for(self):
        """in a task that says that it blocks, another one has its worker's place"""
        for rules in (None, Rules()):
            with settled(workpool.Pool(workers_max=1)) as pool, Gate() as gate:
                left = []

                def wait():
                    with task.blocking():
                        with task.blocking():
                            gate.wait()
                        left.append(threading.get_ident())

                def submit(fn):
                    if rules is None:
                        pool.submit(fn)
                    else:
                        pool.submit_task(rules, fn)
                submit(wait)
                self.assertTrue(gate.await_arrivals(1))
                submit(gate.wait)  # runs beside it,
                self.assertTrue(gate.await_arrivals(2))
                submit(gate.wait)  # and this one waits
                time.sleep(0.02)
                self.assertEqual(gate.arrived, 2)
                self.assertEqual(pool.stats().workers_live, 2)
                gate.open()
                self.assertTrue(pool.wait_idle(BOUND_S))
                self.assertEqual(len(left), 1)

    def test_raises(self):
        """it ends by an exception, too, and then the next task waits its turn again"""
        with settled(workpool.Pool(workers_max=1)) as pool, Gate() as gate:
            order = []

            def fail():
                with self.assertRaises(KeyError), task.blocking():
                    raise KeyError("from inside")
                pool.submit(order.append, "second")
                time.sleep(0.02)
                order.append("first")
            pool.submit(fail)
            self.assertTrue(pool.wait_idle(BOUND_S))
            self.assertEqual(order, ["first", "second"])

    def test_outside(self):
        """outside a task it is nothing"""
        with task.blocking(), task.blocking():
            pass


class Budgets(unittest.TestCase):
    def test_cap(self):
        """the workers of all pools of a budget are at most its cap, which may change"""
        budget = Budget(3)
        with Gate() as gate:
            with settled(workpool.Pool(budget=budget, workers_max=8)) as one, \
                    settled(workpool.Executor(8, budget=budget, budget_weight=2)) as other:
                try:
                    for pool in (one, other):
                        for _ in range(10):
                            pool.submit(gate.wait)
                    self.assertTrue(gate.await_arrivals(3))
                    time.sleep(0.05)
                    self.assertEqual(gate.arrived, 3)
                    budget.set(5)
                    self.assertTrue(gate.await_arrivals(5))
                    budget.release()
                    budget.release()
                    time.sleep(0.05)
                    self.assertEqual(gate.arrived, 5)
                finally:
                    gate.open()

    def test_floor(self):
        """a pool with tasks that wait gets its floor, though another one would take all"""
        budget = Budget(4)
        with Gate() as gate, Gate() as late:
            with settled(workpool.Pool(budget=budget, workers_max=8)) as greedy, \
                    settled(workpool.Pool(budget=budget, budget_floor=2, workers_max=8)) as modest:
                try:
                    for _ in range(400):
                        greedy.submit(time.sleep, 0.005)
                    self.assertTrue(eventually(lambda: greedy.stats().workers_live > 0))
                    for _ in range(4):
                        modest.submit(late.wait)
                    self.assertTrue(late.await_arrivals(2))
                finally:
                    late.open()
                    gate.open()

    def test_refusals(self):
        """what contradicts a budget is refused"""
        for cap in (0, _abi.WORKERS_MAX + 1, -1, 2**32):
            with self.assertRaises(ValueError):
                Budget(cap)
        budget = Budget(2)
        with self.assertRaises(workpool.InvalidError):
            budget.set(0)
        for wrong in ({"prestart": 1}, {"budget_weight": 0}, {"budget_weight": 1001}):
            with self.assertRaises(ValueError, msg=str(wrong)):
                workpool.Pool(workers_max=2, budget=budget, **wrong)
        for wrong in ({"budget_floor": 1}, {"budget_weight": 2}):
            with self.assertRaises(ValueError):
                workpool.Pool(workers_max=2, **wrong)
        with settled(workpool.Pool(workers_max=2, budget=budget)) as pool:
            with self.assertRaises(workpool.InvalidError):
                pool.tune(2)
        budget.release()
        with self.assertRaises(workpool.WorkpoolError) as caught:
            workpool.Pool(workers_max=2, budget=budget)
        self.assertEqual(caught.exception.code, _abi.E_BADHANDLE)

    def test_jobserver(self):
        """without make there is no jobserver, with one its tokens bound the workers"""
        with self.assertRaises(workpool.WorkpoolError) as caught:
            Budget.jobserver()
        self.assertEqual(caught.exception.code, _abi.E_NOTFOUND)
        reader, writer = os.pipe()
        os.write(writer, b"++")  # with the one that needs none, three
        os.set_inheritable(reader, True)
        os.set_inheritable(writer, True)
        try:
            child = os.fork()
            if child == 0:
                os.environ["MAKEFLAGS"] = f" -j --jobserver-auth={reader},{writer}"
                os.execve(sys.executable, [sys.executable, "-c", """if True:
                    import sys, time, workpool
                    sys.path.insert(0, %r)
                    from helper import Gate
                    budget = workpool.Budget.jobserver()
                    try:
                        budget.set(5)
                    except workpool.InvalidError:
                        pass
                    else:
                        sys.exit(3)
                    with Gate() as gate, workpool.Pool(workers_max=8, budget=budget) as pool:
                        for _ in range(10):
                            pool.submit(gate.wait)
                        good = gate.await_arrivals(3)
                        time.sleep(0.05)
                        good = good and gate.arrived == 3
                        gate.open()
                    sys.exit(0 if good else 4)
                    """ % os.path.dirname(os.path.abspath(__file__))], os.environ)
            self.assertEqual(os.waitpid(child, 0)[1], 0)
            os.set_blocking(reader, False)
            self.assertEqual(os.read(reader, 9), b"++")  # all given back
        finally:
            os.close(reader)
            os.close(writer)


if __name__ == "__main__":
    unittest.main()
