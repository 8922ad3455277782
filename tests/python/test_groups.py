# SPDX-License-Identifier: Apache-2.0
"""Groups, and waiting for one or all of several futures, outside and inside tasks."""

import collections
import ctypes
import gc
import os
import signal
import threading
import time
import unittest
import weakref
from concurrent import futures

import workpool
from helper import BOUND_S, Gate, eventually, names, outcome, run_program, settled
from workpool import Group, Outcome, Retry, Rules, _abi, task, wait_all, wait_any

native = ctypes.CDLL(os.environ["WORKPOOL_NATIVE_TASKS"])
PLAIN = Rules()
LATE = 3600.0

MAKERS = (lambda workers, **options: workpool.Pool(workers_max=workers, **options),
          lambda workers, **options: workpool.Executor(workers, **options))


def raise_value_error(text="from the task"):
    raise ValueError(text)


def until_stopped():
    while not task.should_stop():
        time.sleep(0.001)
    return "stopped"


class Members(unittest.TestCase):
    def test_waits_for_all(self):
        """leaving the with statement waits for all members, of every kind"""
        for make in MAKERS:
            with settled(make(2)) as pool, Gate() as gate:
                opener = threading.Timer(0.01, gate.open)
                with Group(pool) as group:
                    given = [group.submit(gate.wait), group.submit(pow, 2, exp=10),
                             group.submit_task(Rules(delay=0.01, name="late"), int, "7"),
                             group.submit_native(native.task_square, 5),
                             group.submit_native(native.task_square, 6, Rules(priority=1))]
                    self.assertFalse(group.wait(0))
                    self.assertFalse(group.wait(0.001))
                    opener.start()
                self.assertTrue(all(future.done() for future in given))
                self.assertEqual([future.result(0) for future in given], [None, 1024, 7, 25, 36])
                self.assertTrue(group.wait())
                self.assertIsNone(group.error)

    def test_empty(self):
        """a group without members is over at once"""
        with settled(workpool.Pool(workers_max=1)) as pool:
            with Group(pool) as group:
                self.assertTrue(group.wait(0))

    def test_others_are_not_waited_for(self):
        """a group waits for its members only"""
        with settled(workpool.Pool(workers_max=2)) as pool, Gate() as gate:
            other = pool.submit_task(PLAIN, gate.wait)
            self.assertTrue(gate.await_arrivals(1))
            with Group(pool) as group:
                group.submit(int)
            self.assertFalse(other.done())
            gate.open()

    def test_members_add_members(self):
        """a member may add members, and those are waited for as well"""
        seen = []

        def grow(depth):
            if depth > 0:
                for _ in range(2):
                    group.submit(grow, depth - 1)
            seen.append(depth)
        for make in MAKERS:
            seen.clear()
            with settled(make(2)) as pool:
                with Group(pool) as group:
                    group.submit(grow, 6)
                self.assertEqual(len(seen), 2**7 - 1)

    def test_groups_in_tasks(self):
        """a task may have a group of its own, in a task of that, and so on, with one worker"""
        def tree(depth):
            if depth == 0:
                return 1
            with Group(pool) as group:
                children = [group.submit(tree, depth - 1) for _ in range(2)]
            return sum(child.result(0) for child in children)

        def chain(depth):
            if depth == 0:
                return 0
            with Group(pool) as group:
                child = group.submit(chain, depth - 1)
            return child.result(0) + 1
        for make in MAKERS:
            with settled(make(1)) as pool:
                self.assertEqual(pool.submit_task(PLAIN, tree, 5).result(BOUND_S), 32)
                # Deeper than the waits of futures help, less deep than the interpreter lets.
                self.assertEqual(pool.submit_task(PLAIN, chain, 40).result(BOUND_S), 40)

    def test_waits_for_oneself(self):
        """a member that waits for its group gets DeadlockError"""
        with settled(workpool.Pool(workers_max=1)) as pool:
            with self.assertRaises(workpool.DeadlockError):
                with Group(pool) as group:
                    group.submit(group.wait)

    def test_several_waiters(self):
        """many threads may wait for one group, and for it again"""
        with settled(workpool.Pool(workers_max=1)) as pool, Gate() as gate:
            group = Group(pool)
            group.submit(gate.wait)
            with futures.ThreadPoolExecutor(4) as waiters:
                waits = [waiters.submit(group.wait, BOUND_S) for _ in range(4)]
                self.assertTrue(gate.await_arrivals(1))
                gate.open()
                self.assertEqual([wait.result(BOUND_S) for wait in waits], [True] * 4)
            group.submit(int)
            self.assertTrue(group.wait(BOUND_S))

    def test_limits(self):
        """members come under the limits of the pool: what is refused is no member"""
        with settled(workpool.Pool(workers_max=1, queue_limit=1)) as pool, Gate() as gate:
            with Group(pool) as group:
                group.submit(gate.wait)
                self.assertTrue(gate.await_arrivals(1))
                group.submit(int)
                with self.assertRaises(workpool.FullError):
                    group.submit(int)
                gate.open()
            self.assertEqual(pool.stats().submitted, 2)


class Failures(unittest.TestCase):
    def test_first_error_cancels(self):
        """the first member that raises cancels the others, and is what the with statement raises"""
        for make in MAKERS:
            with settled(make(2)) as pool, Gate() as gate:
                def fail():
                    gate.wait()
                    raise_value_error("first")
                with self.assertRaisesRegex(ValueError, "first") as caught:
                    with Group(pool) as group:
                        failing = group.submit(fail)
                        running = group.submit(until_stopped)
                        self.assertTrue(gate.await_arrivals(1))
                        self.assertTrue(eventually(running.running))
                        waiting = [group.submit_task(Rules(delay=LATE), int),
                                   group.submit_task(Rules(delay=LATE, period=1), int)]
                        gate.open()
                self.assertEqual(names([failing, running, *waiting]),
                                 "failed done cancelled cancelled")
                self.assertEqual(running.result(0), "stopped")
                self.assertIs(caught.exception, failing.exception(0))
                self.assertIsNone(group.error)  # it was raised

    def test_refuses_after_an_error(self):
        """after a failure a new member is refused, and the with statement raises the failure"""
        with settled(workpool.Pool(workers_max=1)) as pool:
            with self.assertRaisesRegex(ValueError, "from the task"):
                with Group(pool) as group:
                    failing = group.submit(raise_value_error)
                    self.assertIsInstance(failing.exception(BOUND_S), ValueError)
                    self.assertTrue(group.wait(BOUND_S))
                    self.assertIs(group.error, failing.exception())
                    group.submit(int)
                    self.fail("it was accepted")
            self.assertEqual(pool.stats().submitted, 1)

    def test_result_of_a_cancelled_member(self):
        """CancelledError of a member that was cancelled for a failure gives way to the failure"""
        with settled(workpool.Pool(workers_max=1)) as pool:
            with self.assertRaises(ValueError):
                with Group(pool) as group:
                    late = group.submit_task(Rules(delay=LATE), int)
                    group.submit(raise_value_error)
                    late.result(BOUND_S)

    def test_error_of_the_body(self):
        """an exception of the with statement cancels the members, waits for them, comes first"""
        with settled(workpool.Pool(workers_max=2)) as pool:
            with self.assertRaises(ZeroDivisionError):
                with Group(pool) as group:
                    running = group.submit(until_stopped)
                    late = group.submit_task(Rules(delay=LATE), int)
                    self.assertTrue(eventually(running.running))
                    1 // 0
            self.assertEqual((running.result(0), late.cancelled()), ("stopped", True))
            with self.assertRaises(ZeroDivisionError):
                with Group(pool) as group:
                    group.submit(raise_value_error).exception(BOUND_S)
                    1 // 0

    def test_expired_and_shed(self):
        """a member that expires or is shed is a failure, too; one that is cancelled is none"""
        with settled(workpool.Pool(workers_max=1, strategy="fifo", queue_limit=1,
                                   on_full="drop_oldest")) as pool, Gate() as gate:
            pool.submit_task(PLAIN, gate.wait)
            self.assertTrue(gate.await_arrivals(1))
            with self.assertRaises(workpool.ExpiredError):
                with Group(pool) as group:
                    group.submit_task(Rules(queue_timeout=0.001), int)
            with self.assertRaises(workpool.ShedError):
                with Group(pool) as group:
                    group.submit(int)
                    pool.submit_task(PLAIN, int)
            with Group(pool) as group:
                cancelled = group.submit_task(Rules(delay=LATE), int)
                self.assertTrue(cancelled.cancel())
            self.assertTrue(cancelled.cancelled())

    def test_retries(self):
        """a member that is tried again fails when it has failed for good"""
        runs = []

        def third_time():
            runs.append(1)
            if len(runs) < 3:
                raise_value_error()
        with settled(workpool.Pool(workers_max=1)) as pool:
            with Group(pool) as group:
                group.submit_task(Rules(retry=Retry(5, first=0.001, on=ValueError)), third_time)
            self.assertEqual(len(runs), 3)

    def test_native_failure(self):
        """a native member that fails is raised with its code"""
        with settled(workpool.Pool(workers_max=1)) as pool:
            with self.assertRaises(workpool.WorkpoolError) as caught:
                with Group(pool) as group:
                    group.submit_native(native.task_fail, -1234)
            self.assertEqual(caught.exception.code, -1234)

    def test_with_completions(self):
        """a failure is raised although the completion queue of its task is detached"""
        with settled(workpool.Pool(workers_max=1)) as pool, Gate() as gate:
            def fail():
                gate.wait()
                raise_value_error()
            queue = workpool.CompletionQueue()
            with self.assertRaises(workpool.WorkpoolError) as caught:
                with Group(pool) as group:
                    group.submit_task(Rules(completions=queue), fail)
                    self.assertTrue(gate.await_arrivals(1))
                    queue.close()
                    gate.open()
            self.assertEqual(caught.exception.code, _abi.E_RAISED)

    def test_dead_letters(self):
        """dead_letter gets a member that failed, besides its group"""
        letters = collections.deque()
        with settled(workpool.Pool(workers_max=1, dead_letter=letters.append)) as pool:
            with self.assertRaises(ValueError):
                with Group(pool) as group:
                    failing = group.submit(raise_value_error)
        self.assertEqual(list(letters), [failing])


class Ends(unittest.TestCase):
    def test_cancel(self):
        """cancel cancels what has not started, asks what runs to stop, refuses new members"""
        for make in MAKERS:
            with settled(make(1)) as pool, Gate() as gate:
                def stop_then_wait():
                    until_stopped()
                    gate.wait()
                with Group(pool) as group:
                    running = group.submit(stop_then_wait)
                    waiting = [group.submit(int), group.submit_native(native.task_square, 3)]
                    other = pool.submit_task(PLAIN, int)
                    self.assertTrue(eventually(running.running))
                    group.cancel()
                    group.cancel()
                    self.assertEqual(names(waiting), "cancelled cancelled")
                    gate.open()
                    for submit in (group.submit, lambda fn: group.submit_task(PLAIN, fn)):
                        with self.assertRaises(workpool.CancelledError):
                            submit(int)
                self.assertEqual((outcome(running), outcome(other)), (Outcome.DONE, Outcome.DONE))

    def test_left(self):
        """when the with statement is left a new member is refused with ClosedError"""
        with settled(workpool.Pool(workers_max=1)) as pool:
            with Group(pool) as group:
                pass
            for call in (lambda: group.submit(int), lambda: group.submit_task(PLAIN, int),
                         lambda: group.submit_native(native.task_square, 1)):
                with self.assertRaises(workpool.ClosedError):
                    call()

    def test_pool_has_ended(self):
        """a group of a pool that is shut down refuses as the pool does, and is over"""
        executor = workpool.Executor(1)
        group = Group(executor)
        member = group.submit(int)
        executor.shutdown()
        with self.assertRaisesRegex(RuntimeError, "after shutdown"):
            group.submit(int)
        self.assertTrue(group.wait(BOUND_S))
        self.assertEqual(member.result(0), 0)
        pool = workpool.Pool(workers_max=1)
        pool.destroy()
        with self.assertRaises(workpool.WorkpoolError):
            Group(pool)

    def test_nobody_holds_it(self):
        """H12: a group that is dropped lets its members go on, and is free when they have ended"""
        with settled(workpool.Pool(workers_max=1)) as pool, Gate() as gate:
            group = Group(pool)
            gone = weakref.ref(group)
            members = [group.submit(gate.wait), group.submit_native(native.task_square, 4)]
            del group
            gate.open()
            self.assertEqual((members[0].result(BOUND_S), members[1].result(BOUND_S)), (None, 16))
            self.assertTrue(eventually(lambda: gc.collect() is not None and gone() is None))

    def test_raised_error_keeps_nothing(self):
        """H12: an error that a group has raised does not keep the group"""
        class Held:
            pass
        with settled(workpool.Pool(workers_max=1)) as pool:
            gc.disable()
            try:
                held = Held()
                gone = weakref.ref(held)

                def scope(held):
                    with Group(pool) as group:
                        group.held = held
                        group.submit(raise_value_error)
                try:
                    scope(held)
                except ValueError:
                    pass
                del held
                self.assertTrue(eventually(lambda: gone() is None))
            finally:
                gc.enable()

    def test_interrupt(self):
        """Ctrl-C while a group is waited for cancels it and comes through"""
        ended = run_program("""if True:
            import os, signal, threading, time, workpool
            from workpool import task
            said = []
            def until_stopped():
                started.set()
                while not task.should_stop():
                    time.sleep(0.001)
                said.append("stopped")
            def interrupt():
                started.wait()
                time.sleep(0.02)  # as a rule it is waited for then; sooner is as good
                os.kill(os.getpid(), signal.SIGINT)
            started = threading.Event()
            with workpool.Pool(workers_max=1) as pool:
                threading.Thread(target=interrupt).start()
                try:
                    with workpool.Group(pool) as group:
                        late = group.submit_task(workpool.Rules(delay=3600), int)
                        group.submit(until_stopped)
                except KeyboardInterrupt:
                    said.append("interrupted")
                pool.wait_idle()
            print(sorted(said), late.cancelled())
            """)
        self.assertEqual((ended.returncode, ended.stderr), (0, ""))
        self.assertEqual(ended.stdout, "['interrupted', 'stopped'] True\n")

    def test_fork(self):
        """in a forked child a group of the parent raises ForkedError"""
        with settled(workpool.Pool(workers_max=1)) as pool:
            group = Group(pool)
            group.submit(int).result(BOUND_S)
            child = os.fork()
            if child == 0:
                verdict = 1
                try:
                    refused = 0
                    for call in (lambda: group.submit(int), group.wait, group.cancel,
                                 lambda: Group(pool)):
                        try:
                            call()
                        except workpool.ForkedError:
                            refused += 1
                    verdict = 0 if refused == 4 else 2
                finally:
                    os._exit(verdict)
            self.assertEqual(os.waitpid(child, 0)[1], 0)


def submits(pool):
    """The ways to get a future from an Executor."""
    return (pool.submit, lambda fn, *args: pool.submit_task(PLAIN, fn, *args))


class Waits(unittest.TestCase):
    def test_outside(self):
        """outside a task they are concurrent.futures.wait, for any futures"""
        with settled(workpool.Executor(2)) as executor, Gate() as gate, \
                futures.ThreadPoolExecutor(1) as other:
            given = [executor.submit(gate.wait), executor.submit_task(PLAIN, gate.wait),
                     other.submit(gate.wait)]
            self.assertTrue(gate.await_arrivals(3))
            self.assertEqual(wait_any(given, 0), (set(), set(given)))
            self.assertEqual(wait_all(given, 0.001), (set(), set(given)))
            quick = other.submit(int)
            cancelled = executor.submit_task(Rules(delay=LATE), int)
            cancelled.cancel()
            self.assertEqual(wait_any([*given, cancelled, quick]),
                             ({cancelled}, {*given, quick}))
            gate.open()
            self.assertEqual(wait_all(iter([*given, *given, cancelled, quick]), BOUND_S),
                             ({*given, cancelled, quick}, set()))
        for wait in (wait_any, wait_all):
            self.assertEqual(wait([]), (set(), set()))

    def test_all_inside(self):
        """a task waits for all of what it submitted, with one worker, and what raised is done"""
        with settled(workpool.Executor(1)) as executor:
            for submit in submits(executor):
                def parent():
                    given = [submit(pow, 2, number) for number in range(20)]
                    given.append(submit(raise_value_error))
                    done, rest = wait_all(given)
                    return len(done), len(rest), sum(future.result(0) for future in given[:-1])
                self.assertEqual(submit(parent).result(BOUND_S), (21, 0, 2**20 - 1))

    def test_standard_wait_starves(self):
        """why: concurrent.futures.wait in a task of the only worker waits in vain"""
        with settled(workpool.Executor(1)) as executor:
            for submit in submits(executor):
                def parent(wait):
                    done, _ = wait([submit(int)], 0.05)
                    return len(done)
                self.assertEqual([submit(parent, wait).result(BOUND_S)
                                  for wait in (futures.wait, wait_all, wait_any)], [0, 1, 1])

    def test_any_inside(self):
        """a task takes what it submitted as it ends, in place of as_completed"""
        with settled(workpool.Executor(1)) as executor:
            for submit in submits(executor):
                def parent():
                    rest, total = {submit(pow, number, 2) for number in range(20)}, 0
                    while rest:
                        done, rest = wait_any(rest)
                        assert done
                        total += sum(future.result(0) for future in done)
                    return total
                self.assertEqual(submit(parent).result(BOUND_S), sum(n**2 for n in range(20)))

    def test_nested(self):
        """tasks wait for tasks that wait for tasks, deeper than they are run inside each other"""
        with settled(workpool.Executor(2)) as executor:
            for submit in submits(executor):
                for wait in (wait_any, wait_all):
                    def child(depth):
                        if depth == 0:
                            return 0
                        inner = submit(child, depth - 1)
                        done, _ = wait([inner])
                        assert done == {inner}
                        return inner.result(0) + 1
                    self.assertEqual(submit(child, 30).result(BOUND_S), 30)

    def test_running_one_comes_first(self):
        """one that runs gets its chance before another one is run by who waits"""
        with settled(workpool.Executor(2)) as executor, Gate() as gate:
            for submit in submits(executor):
                def parent():
                    running = submit(time.sleep, 0.001)
                    while not (running.running() or running.done()):
                        time.sleep(0)
                    return running in wait_any([running, late])[0]
                late = executor.submit_task(Rules(delay=LATE), int)
                self.assertTrue(submit(parent).result(BOUND_S))
                late.cancel()

    def test_helps_what_the_running_one_waits_for(self):
        """one that runs and waits for another one does not hold up who waits for both"""
        with settled(workpool.Executor(2)) as executor:
            for submit in submits(executor):
                event = threading.Event()

                def parent():
                    held = submit(event.wait, BOUND_S)
                    while not held.running():
                        time.sleep(0)
                    setter = submit(event.set)
                    done, _ = wait_any([held, setter])
                    return bool(done) and event.wait(BOUND_S)
                self.assertTrue(submit(parent).result(BOUND_S))

    def test_kinds_together(self):
        """futures of calls, of rules, native ones and strange ones may be waited for together"""
        with settled(workpool.Executor(1)) as executor, \
                settled(workpool.Pool(workers_max=1)) as pool, \
                futures.ThreadPoolExecutor(1) as other:
            def parent():
                with Gate() as gate:
                    strange = [other.submit(gate.wait), pool.submit_task(PLAIN, gate.wait)]
                    given = [executor.submit(int), executor.submit_task(PLAIN, int),
                             executor.submit_native(native.task_square, 2)]
                    done, rest = wait_any([*strange, *given])
                    assert done and not done & set(strange), done
                    done, rest = wait_any(strange, 0.01)
                    assert not done
                    late = executor.submit_task(Rules(delay=LATE), int)
                    gate.open()
                    done, rest = wait_any([*strange, late])
                    assert done and late in rest
                    late.cancel()
                    return len(wait_all([*strange, *given, late])[0])
            for submit in submits(executor):
                self.assertEqual(submit(parent).result(BOUND_S), 6)

    def test_timeouts_inside(self):
        """in a task a timeout ends the wait; 0 looks, and runs nothing"""
        with settled(workpool.Executor(1)) as executor:
            for submit in submits(executor):
                for wait in (wait_any, wait_all):
                    def parent():
                        one = submit(int)
                        looked = wait([one], 0), wait([one], -1)
                        late = executor.submit_task(Rules(delay=LATE), int)
                        begin = time.monotonic()
                        done, rest = wait([late], 0.03)
                        took = time.monotonic() - begin
                        late.cancel()
                        wait([one])
                        return ([len(done) for done, _ in looked], len(done), len(rest),
                                0.03 <= took < BOUND_S, one.done())
                    self.assertEqual(submit(parent).result(BOUND_S), ([0, 0], 0, 1, True, True))

    def test_waits_for_oneself(self):
        """a task that waits for itself gets DeadlockError, unless another one may end first"""
        with settled(workpool.Executor(2)) as executor:
            def outcome_of(wait, *others):
                with Gate() as gate:
                    def parent():
                        gate.wait()
                        return len(wait([mine, *others])[0])
                    mine = executor.submit_task(PLAIN, parent)
                    gate.open()
                    return mine.exception(BOUND_S) or mine.result()
            self.assertIsInstance(outcome_of(wait_any), workpool.DeadlockError)
            self.assertIsInstance(outcome_of(wait_all), workpool.DeadlockError)
            for submit in submits(executor):
                self.assertEqual(outcome_of(wait_any, submit(time.sleep, 0.01)), 1)

    def test_foreign_pool(self):
        """tasks of another pool are waited for, and never run by who waits"""
        threads = []
        with settled(workpool.Executor(1)) as one, settled(workpool.Executor(1)) as other:
            for submit in submits(other):
                def parent():
                    given = [submit(lambda: threads.append(threading.get_ident()))
                             for _ in range(5)]
                    return len(wait_all(given)[0]), len(wait_any(given)[0]), threading.get_ident()
                seen = one.submit(parent).result(BOUND_S)
                self.assertEqual(seen[:2], (5, 5))
                self.assertNotIn(seen[2], threads)


if __name__ == "__main__":
    unittest.main()
