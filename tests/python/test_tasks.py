# SPDX-License-Identifier: Apache-2.0
"""Tasks with rules: results, times, retries, keys, classes, tokens."""

import asyncio
import ctypes
import dataclasses
import gc
import logging
import os
import sys
import threading
import time
import unittest
import weakref
from concurrent import futures

import workpool
from helper import BOUND_S, Gate, eventually, names, outcome, settled
from workpool import Outcome, Retry, Rules, TryAgain, _abi, task

native = ctypes.CDLL(os.environ["WORKPOOL_NATIVE_TASKS"])
PLAIN = Rules()
SOON = Retry(100, first=0.001, jitter="none", factor=1.0)
LATE = 3600.0


def raise_value_error():
    raise ValueError("from the task")


class Results(unittest.TestCase):
    def test_result(self):
        """a task's future has the result of its call, and tells how it ended"""
        for make in (lambda: workpool.Executor(1), lambda: workpool.Pool(workers_max=1)):
            with settled(make()) as pool, Gate() as gate:
                first = pool.submit_task(PLAIN, gate.wait)
                self.assertTrue(gate.await_arrivals(1))
                future = pool.submit_task(PLAIN, divmod, 17, 5)
                self.assertIsNone(future.ended)
                begin = time.monotonic()
                gate.open()
                self.assertEqual(future.result(BOUND_S), (3, 2))
                took = time.monotonic() - begin
                ended = future.ended
                self.assertEqual((ended.outcome, ended.code, ended.attempts, ended.worker,
                                  ended.overran), (Outcome.DONE, 0, 1, 0, False))
                self.assertTrue(0 < ended.run_time <= took)
                self.assertGreater(ended.wait_time, 0)
                self.assertGreaterEqual(first.ended.run_time, ended.wait_time - took)

    def test_exception(self):
        """an exception comes through, and neither it nor its future keeps what the call held"""
        with settled(workpool.Executor(1)) as executor:
            gone = weakref.ref(executor)
            future = executor.submit_task(PLAIN, raise_value_error)
            of_future = weakref.ref(future)
            gc.disable()
            try:
                kept = None
                try:
                    future.result(BOUND_S)
                except ValueError as error:
                    kept = error
                self.assertEqual((future.ended.outcome, future.ended.code, future.call),
                                 (Outcome.FAILED, _abi.E_RAISED, None))
                del future
                self.assertIsNotNone(kept.__traceback__)
                self.assertTrue(eventually(lambda: of_future() is None))
                self.assertIsNotNone(gone())
            finally:
                gc.enable()

    def test_keywords(self):
        """keyword arguments are the call's, whatever their name"""
        with settled(workpool.Executor(1)) as executor:
            future = executor.submit_task(PLAIN, dict, rules=1, fn=2, self=3)
            self.assertEqual(future.result(BOUND_S), {"rules": 1, "fn": 2, "self": 3})

    def test_running(self):
        """running() is true while the call runs"""
        with settled(workpool.Pool(workers_max=1)) as pool, Gate() as gate:
            future = pool.submit_task(PLAIN, gate.wait)
            waiting = pool.submit_task(PLAIN, int)
            self.assertTrue(gate.await_arrivals(1))
            self.assertTrue(future.running())
            self.assertFalse(waiting.running())
            gate.open()
            future.result(BOUND_S)
            self.assertFalse(future.running())

    def test_cancel(self):
        """cancel wins against the start, or asks the running task to stop"""
        stopped = []

        def until_stopped():
            while not task.should_stop():
                time.sleep(0.001)
            stopped.append(True)
        with settled(workpool.Pool(workers_max=1)) as pool:
            running = pool.submit_task(PLAIN, until_stopped)
            waiting = pool.submit_task(PLAIN, stopped.append, False)
            self.assertTrue(eventually(running.running))
            self.assertTrue(waiting.cancel())
            self.assertTrue(waiting.cancelled())
            self.assertEqual((waiting.ended.outcome, waiting.ended.attempts),
                             (Outcome.CANCELLED, 0))
            with self.assertRaises(futures.CancelledError):
                waiting.result(BOUND_S)
            self.assertFalse(running.cancel())
            self.assertEqual(outcome(running), Outcome.DONE)
            self.assertFalse(running.cancel())
        self.assertEqual(stopped, [True])

    def test_no_stack(self):
        """a task that is awaited where the recursion limit is near fails, and nothing hangs"""
        def deep(left):
            if left > 0:
                return deep(left - 1)
            inner = pool.submit_task(PLAIN, int, "7")
            try:
                return inner.result()
            finally:
                del inner
        with settled(workpool.Pool(workers_max=1)) as pool:
            limit = sys.getrecursionlimit()
            results = [pool.submit_task(PLAIN, deep, depth).exception(BOUND_S)
                       for depth in range(limit - 60, limit)]
            self.assertIsNone(results[0])
            self.assertIsInstance(results[-1], RecursionError)
            self.assertIsNone(pool.submit_task(PLAIN, task.attempt).exception(BOUND_S))

    def test_wait_in_task(self):
        """a task that waits for another one of its pool runs it if it has not started"""
        threads = []

        def child(depth):
            threads.append(threading.get_ident())
            return depth if depth == 0 else pool.submit_task(PLAIN, child, depth - 1).result()
        with settled(workpool.Pool(workers_max=1)) as pool:
            self.assertEqual(pool.submit_task(PLAIN, child, 20).result(BOUND_S), 0)
        self.assertEqual(len(set(threads)), 1)

    def test_wait_for_oneself(self):
        """a task that waits for itself gets DeadlockError; one that is too slow a TimeoutError"""
        with settled(workpool.Pool(workers_max=2)) as pool, Gate() as gate:
            mine = []

            def wait_for(which, timeout):
                gate.wait()
                return mine[which].exception(timeout)
            mine.append(pool.submit_task(PLAIN, wait_for, 0, None))
            self.assertTrue(gate.await_arrivals(1))
            mine.append(pool.submit_task(Rules(delay=LATE), int))
            mine.append(pool.submit_task(PLAIN, wait_for, 1, 0.01))
            gate.open()
            self.assertIsInstance(mine[0].exception(BOUND_S), workpool.DeadlockError)
            self.assertIsInstance(mine[2].exception(BOUND_S), futures.TimeoutError)
            mine[1].cancel()

    def test_stdlib_waits(self):
        """concurrent.futures.wait and as_completed, and asyncio, take these futures"""
        async def gather(futures_given):
            return await asyncio.gather(*map(asyncio.wrap_future, futures_given))
        with settled(workpool.Executor(2)) as executor:
            given = [executor.submit_task(PLAIN, pow, number, 2) for number in range(20)]
            done, rest = futures.wait(given, BOUND_S)
            self.assertEqual((len(done), len(rest)), (20, 0))
            self.assertEqual({future.result() for future in futures.as_completed(given)},
                             {number**2 for number in range(20)})
            given = [executor.submit_task(PLAIN, pow, number, 3) for number in range(20)]
            self.assertEqual(asyncio.run(gather(given)), [number**3 for number in range(20)])

    def test_pool_is_kept(self):
        """tasks keep their pool: all run although nobody else holds it"""
        ran = []
        pool = workpool.Pool(workers_max=1)
        gate = Gate()
        self.addCleanup(gate.open)
        given = [pool.submit_task(PLAIN, gate.wait)]
        given += [pool.submit_task(PLAIN, ran.append, number) for number in range(10)]
        gone = weakref.ref(pool)
        del pool
        gc.collect()
        gate.open()
        for future in given:
            future.result(BOUND_S)
        self.assertEqual(len(ran), 10)
        self.assertTrue(eventually(lambda: gone() is None))

    def test_broken_executor(self):
        """a task of an executor whose initializer raised fails with BrokenThreadPool"""
        logging.disable(logging.CRITICAL)
        self.addCleanup(logging.disable, logging.NOTSET)
        with settled(workpool.Executor(1, initializer=raise_value_error)) as executor:
            self.assertIsInstance(executor.submit_task(PLAIN, int).exception(BOUND_S),
                                  futures.thread.BrokenThreadPool)
            with self.assertRaises(futures.thread.BrokenThreadPool):
                executor.submit_task(PLAIN, int)

    def test_after_shutdown(self):
        """submit_task on an executor that was shut down raises as submit does"""
        executor = workpool.Executor(1)
        executor.shutdown()
        with self.assertRaisesRegex(RuntimeError, "after shutdown"):
            executor.submit_task(PLAIN, int)


class Times(unittest.TestCase):
    def test_deadline(self):
        """a task whose deadline passes while it waits has expired; one that is over is refused"""
        with settled(workpool.Pool(workers_max=1)) as pool, Gate() as gate:
            pool.submit_task(PLAIN, gate.wait)
            self.assertTrue(gate.await_arrivals(1))
            late = pool.submit_task(Rules(deadline=time.monotonic() + 0.02), raise_value_error)
            in_time = pool.submit_task(Rules(deadline=time.monotonic() + LATE), task.deadline)
            self.assertIsInstance(late.exception(BOUND_S), workpool.ExpiredError)
            self.assertIsInstance(late.exception(), TimeoutError)
            self.assertEqual((late.ended.outcome, late.ended.attempts), (Outcome.EXPIRED, 0))
            with self.assertRaises(workpool.ExpiredError):
                pool.submit_task(Rules(deadline=time.monotonic() - 0.001), int)
            gate.open()
            self.assertAlmostEqual(in_time.result(BOUND_S), time.monotonic() + LATE, delta=BOUND_S)

    def test_queue_timeout(self):
        """a task that has waited for its queue_timeout has expired"""
        with settled(workpool.Pool(workers_max=1)) as pool, Gate() as gate:
            pool.submit_task(PLAIN, gate.wait)
            self.assertTrue(gate.await_arrivals(1))
            given = [pool.submit_task(Rules(queue_timeout=0.02), int),
                     pool.submit_native(native.task_square, 3, Rules(queue_timeout=0.02)),
                     pool.submit_task(Rules(queue_timeout=LATE), int)]
            for future in given[:2]:
                self.assertIsInstance(future.exception(BOUND_S), workpool.ExpiredError)
                self.assertGreaterEqual(future.ended.wait_time, 0.02)
            gate.open()
            self.assertEqual(names(given), "expired expired done")

    def test_run_timeout(self):
        """a run that lasts longer than run_timeout is asked to stop, and its end says so"""
        def until_stopped():
            while not task.should_stop():
                time.sleep(0.001)
            return "stopped"
        with settled(workpool.Pool(workers_max=1)) as pool:
            future = pool.submit_task(Rules(run_timeout=0.02), until_stopped)
            self.assertEqual(future.result(BOUND_S), "stopped")
            self.assertTrue(future.ended.overran)
            self.assertGreaterEqual(future.ended.run_time, 0.02)
            in_time = pool.submit_task(Rules(run_timeout=LATE), int)
            in_time.result(BOUND_S)
            self.assertFalse(in_time.ended.overran)

    def test_zero(self):
        """a time of 0 is over at once: it expires, asks to stop, does not wait; no period is 0"""
        def asked_to_stop():
            return eventually(task.should_stop)
        with settled(workpool.Pool(workers_max=1, queue_limit=1, on_full="block")) as pool, \
                Gate() as gate:
            for rules in (Rules(queue_timeout=0), Rules(queue_timeout=0.0, delay=0.01)):
                future = pool.submit_task(rules, raise_value_error)
                self.assertIsInstance(future.exception(BOUND_S), workpool.ExpiredError)
            with self.assertRaises(workpool.ExpiredError):
                pool.submit_task(Rules(deadline=0), int)
            overran = pool.submit_task(Rules(run_timeout=0), asked_to_stop)
            self.assertTrue(overran.result(BOUND_S))
            self.assertTrue(overran.ended.overran)
            self.assertEqual(Rules(delay=0).to_task().delay_ns, 0)
            with self.assertRaisesRegex(ValueError, "period = 0"):
                Rules(period=0)
            pool.submit(gate.wait)
            self.assertTrue(gate.await_arrivals(1))
            waiting = pool.submit_task(PLAIN, int)
            begin = time.monotonic()
            with self.assertRaises(workpool.SubmitTimeoutError):
                pool.submit_task(Rules(submit_timeout=0), int)
            self.assertLess(time.monotonic() - begin, BOUND_S)
            with self.assertRaises(futures.TimeoutError):
                waiting.result(0)
            gate.open()
            self.assertEqual(waiting.result(BOUND_S), 0)

    def test_zero_of_a_pool(self):
        """submit_timeout=0 does not wait, keep_alive=0 keeps nothing, codel has no time of 0"""
        with settled(workpool.Pool(workers_max=1, queue_limit=1, on_full="block", submit_timeout=0,
                                   keep_alive=0)) as pool:
            with Gate() as gate:
                pool.submit(gate.wait)
                self.assertTrue(gate.await_arrivals(1))
                pool.submit(int)
                with self.assertRaises(workpool.SubmitTimeoutError):
                    pool.submit(int)
            self.assertTrue(eventually(lambda: pool.stats().workers_live == 0))
        for given in ({"codel_target": 0}, {"codel_target": 0.1, "codel_interval": 0}):
            with self.assertRaises(ValueError, msg=str(given)):
                workpool.Pool(**given)

    def test_delay(self):
        """a delayed task begins after its delay, without a worker in the meantime"""
        with settled(workpool.Pool(workers_max=1)) as pool:
            begin = time.monotonic()
            delayed = pool.submit_task(Rules(delay=0.05), time.monotonic)
            self.assertLess(pool.submit_task(PLAIN, time.monotonic).result(BOUND_S),
                            delayed.result(BOUND_S))
            self.assertGreaterEqual(delayed.result(), begin + 0.05)

    def test_period(self):
        """a periodic task runs again and again until it is cancelled; then it is done"""
        for mode in ("fixed_rate", "fixed_delay"):
            begins = []

            def note(begins=begins):
                begins.append(time.monotonic())
                return len(begins)
            with settled(workpool.Pool(workers_max=2)) as pool:
                begin = time.monotonic()
                future = pool.submit_task(Rules(period=0.005, period_mode=mode), note)
                self.assertTrue(eventually(lambda: len(begins) >= 5))
                while not future.cancel():
                    if eventually(future.done, 0.01):  # it ran, and was asked to stop
                        break
                self.assertEqual(outcome(future), Outcome.DONE)
                self.assertEqual(future.result(), len(begins))
                self.assertEqual(future.ended.attempts, len(begins))
                # Before the n-th run n - 1 periods have passed.
                self.assertGreaterEqual(begins[4] - begin, 4 * 0.005)

    def test_fixed_delay(self):
        """with fixed_delay the period lies between the end of a run and the next one"""
        runs = []

        def long_run():
            begin = time.monotonic()
            time.sleep(0.01)
            runs.append((begin, time.monotonic()))
        with settled(workpool.Pool(workers_max=2)) as pool:
            future = pool.submit_task(Rules(period=0.02, period_mode="fixed_delay"), long_run)
            self.assertTrue(eventually(lambda: len(runs) >= 3))
            future.cancel()
        for one, next_one in zip(runs, runs[1:]):
            self.assertGreaterEqual(next_one[0] - one[1], 0.0199)

    def test_period_ends(self):
        """a periodic task ends when it raises, and when its pool closes"""
        runs = []

        def fail_in_the_third():
            runs.append(1)
            if len(runs) == 3:
                raise_value_error()
        pool = workpool.Pool(workers_max=1)
        with settled(pool):
            failing = pool.submit_task(Rules(period=0.001), fail_in_the_third)
            self.assertIsInstance(failing.exception(BOUND_S), ValueError)
            self.assertEqual((len(runs), failing.ended.attempts), (3, 3))
            lasting = pool.submit_task(Rules(period=0.001), int)
            late = pool.submit_task(Rules(delay=LATE), int)
            self.assertTrue(pool.wait_idle(0) is False)
            self.assertTrue(late.cancel())
        self.assertEqual(outcome(lasting), Outcome.DONE if lasting.ended.attempts
                         else Outcome.CANCELLED)

    def test_stop(self):
        """close with stop asks running calls to stop, whichever way they were submitted"""
        stopped = []

        def until_stopped():
            while not task.should_stop():
                time.sleep(0.001)
            stopped.append(1)
        with settled(workpool.Pool(workers_max=2)) as pool:
            pool.submit(until_stopped)
            future = pool.submit_task(PLAIN, until_stopped)
            self.assertTrue(eventually(lambda: pool.stats().workers_busy == 2))
            self.assertTrue(pool.close(stop=True, timeout=BOUND_S))
            self.assertEqual((stopped, future.result()), ([1, 1], None))

    def test_outside(self):
        """outside a task there is nothing to stop, and nothing to know"""
        self.assertEqual((task.should_stop(), task.attempt(), task.deadline(), task.token()),
                         (False, 0, None, None))
        with settled(workpool.Executor(1)) as executor:
            self.assertEqual(executor.submit(task.attempt).result(BOUND_S), 1)
            self.assertIsNone(executor.submit(task.deadline).result(BOUND_S))
            self.assertIsNone(executor.submit(task.token).result(BOUND_S))


class Retries(unittest.TestCase):
    def test_try_again(self):
        """a task that raises TryAgain runs again, and is done when it no longer does"""
        def third_time():
            if task.attempt() < 3:
                raise TryAgain
            return task.attempt()
        with settled(workpool.Pool(workers_max=1)) as pool:
            future = pool.submit_task(Rules(retry=SOON), third_time)
            self.assertEqual(future.result(BOUND_S), 3)
            self.assertEqual(future.ended.attempts, 3)
            self.assertEqual(pool.stats().attempts, 3)

    def test_attempts_are_used_up(self):
        """after max retries the future raises the last TryAgain, with its cause"""
        def never():
            try:
                raise_value_error()
            except ValueError as error:
                raise TryAgain(f"attempt {task.attempt()}") from error
        with settled(workpool.Pool(workers_max=1)) as pool:
            future = pool.submit_task(Rules(retry=dataclasses.replace(SOON, max=2)), never)
            error = future.exception(BOUND_S)
            self.assertIsInstance(error, TryAgain)
            self.assertEqual(str(error), "attempt 3")
            self.assertIsInstance(error.__cause__, ValueError)
            self.assertEqual((future.ended.outcome, future.ended.code, future.ended.attempts),
                             (Outcome.FAILED, _abi.RETRY, 3))
            without = pool.submit_task(PLAIN, never)
            self.assertEqual(str(without.exception(BOUND_S)), "attempt 1")

    def test_on(self):
        """on says which exceptions are tried again: a class, several, or a function"""
        logging.disable(logging.CRITICAL)
        self.addCleanup(logging.disable, logging.NOTSET)

        def ask_twice(error):
            return task.attempt() < 3 and isinstance(error, ValueError)

        def attempts(on, fn):
            retry = dataclasses.replace(SOON, max=5, on=on)
            future = pool.submit_task(Rules(retry=retry), fn)
            error = future.exception(BOUND_S)
            self.assertIsInstance(error, ZeroDivisionError if fn is divide else ValueError)
            return future.ended.attempts

        def divide():
            return 1 // 0
        with settled(workpool.Pool(workers_max=1)) as pool:
            self.assertEqual(attempts((), raise_value_error), 1)
            self.assertEqual(attempts(ValueError, raise_value_error), 6)
            self.assertEqual(attempts(ValueError, divide), 1)
            self.assertEqual(attempts((OSError, ArithmeticError), divide), 6)
            self.assertEqual(attempts(ask_twice, raise_value_error), 3)
            self.assertEqual(attempts(ask_twice, divide), 1)
            self.assertEqual(attempts(lambda error: error.nothing, divide), 1)

    def test_cancel_in_back_off(self):
        """a task cancelled between two attempts gets no further one"""
        def again():
            raise TryAgain
        with settled(workpool.Pool(workers_max=1)) as pool:
            late = Rules(retry=Retry(9, first=LATE, cap=LATE, jitter="none"))
            future = pool.submit_task(late, again)
            self.assertTrue(eventually(lambda: pool.stats().attempts == 1 and not future.running()))
            self.assertTrue(eventually(future.cancel))
            self.assertTrue(future.cancelled())
            self.assertEqual((future.ended.outcome, future.ended.attempts), (Outcome.CANCELLED, 1))
            self.assertIsNone(future._error)

    def test_delays(self):
        """each delay is factor times the one before, up to the cap"""
        begins = []

        def again():
            begins.append(time.monotonic())
            raise TryAgain
        with settled(workpool.Pool(workers_max=1)) as pool:
            future = pool.submit_task(
                Rules(retry=Retry(4, first=0.01, factor=3.0, cap=0.04, jitter="none")), again)
            self.assertEqual(outcome(future), Outcome.FAILED)
        delays = [after - before for before, after in zip(begins, begins[1:])]
        for delay, least in zip(delays, (0.01, 0.03, 0.04, 0.04)):
            self.assertGreaterEqual(delay, least)

    def test_native(self):
        """native functions are tried again when they ask for it, when they fail, or when asked"""
        with settled(workpool.Executor(1)) as executor:
            def attempts(fn, retry):
                future = executor.submit_native(fn, 3, Rules(retry=retry))
                return future.exception(BOUND_S), future.ended.attempts
            self.assertEqual(attempts(native.task_again, SOON), (None, 3))
            error, count = attempts(native.task_fail_first, SOON)
            self.assertEqual((error.code, count), (-1001, 1))
            for on in (Exception, (OSError, workpool.WorkpoolError)):
                self.assertEqual(attempts(native.task_fail_first, dataclasses.replace(SOON, on=on)),
                                 (None, 3))
            for on in (native.retry_once, _abi.address(native.retry_once)):
                error, count = attempts(native.task_fail_first, dataclasses.replace(SOON, on=on))
                self.assertEqual((error.code, count), (-1002, 2))
            with self.assertRaises(TypeError):
                attempts(native.task_again, dataclasses.replace(SOON, on=lambda error: True))

    def test_class(self):
        """tasks of a class are tried again as the class says, if they do not say it themselves"""
        with settled(workpool.Executor(1)) as executor:
            executor.set_class(1, retry=dataclasses.replace(SOON, max=2, on=ValueError))
            own = Rules(class_id=1, retry=dataclasses.replace(SOON, max=1, on=ValueError))
            for rules, attempts in ((Rules(class_id=1), 3), (own, 2), (PLAIN, 1)):
                future = executor.submit_task(rules, raise_value_error)
                self.assertIsInstance(future.exception(BOUND_S), ValueError)
                self.assertEqual(future.ended.attempts, attempts)
            for on, attempts in (((), 1), (Exception, 3), (native.retry_once, 2)):
                executor.set_class(2, retry=dataclasses.replace(SOON, on=on))
                future = executor.submit_native(native.task_fail_first, 3, Rules(class_id=2))
                future.exception(BOUND_S)
                self.assertEqual(future.ended.attempts, attempts)
            executor.set_class(1)
            future = executor.submit_task(Rules(class_id=1), raise_value_error)
            self.assertIsInstance(future.exception(BOUND_S), ValueError)
            self.assertEqual(future.ended.attempts, 1)

    def test_class_exceptions(self):
        """a class that tries failures again does not try exceptions again that it does not name"""
        with settled(workpool.Executor(1)) as executor:
            executor.set_class(1, retry=dataclasses.replace(SOON, max=3, on=RuntimeError))
            future = executor.submit_task(Rules(class_id=1), raise_value_error)
            self.assertIsInstance(future.exception(BOUND_S), ValueError)
            self.assertEqual(future.ended.attempts, 1)

    def test_budget(self):
        """the retries of a pool are limited by its budget"""
        with settled(workpool.Pool(workers_max=1, retry_budget=workpool.Rate(3, per=LATE))) as pool:
            rules = Rules(retry=dataclasses.replace(SOON, max=2, on=ValueError))
            given = [pool.submit_task(rules, raise_value_error) for _ in range(4)]
            self.assertEqual(names(given), "failed failed failed failed")
            self.assertEqual(sum(future.ended.attempts for future in given), 4 + 3)


class Keys(unittest.TestCase):
    def test_one_after_another(self):
        """tasks of one key run one after another in the order of their submission"""
        keys = ("text", 7, ("a", 1), 2**64 - 1, 0, -1)
        inside = {key: 0 for key in keys}
        order = {key: [] for key in keys}

        def note(key, number):
            inside[key] += 1
            one = inside[key] == 1
            order[key].append(number)
            time.sleep(0)
            inside[key] -= 1
            return one
        with settled(workpool.Pool(workers_max=4)) as pool:
            given = [pool.submit_task(Rules(key=key), note, key, number)
                     for number in range(50) for key in keys]
            self.assertTrue(all(future.result(BOUND_S) for future in given))
        for key in keys:
            self.assertEqual(order[key], list(range(50)))

    def test_different_keys(self):
        """tasks of different keys run beside each other; one of the same key waits"""
        with settled(workpool.Pool(workers_max=3)) as pool, Gate() as gate:
            for key in ("a", "b"):
                pool.submit_task(Rules(key=key), gate.wait)
            self.assertTrue(gate.await_arrivals(2))
            behind = pool.submit_task(Rules(key="a"), gate.wait)
            pool.submit_task(PLAIN, int).result(BOUND_S)  # there is a worker for it
            self.assertEqual((gate.arrived, behind.running()), (2, False))
            gate.open()
            behind.result(BOUND_S)


class Classes(unittest.TestCase):
    def test_concurrency(self):
        """at most so many tasks of a class run at once"""
        with settled(workpool.Pool(workers_max=4)) as pool, Gate() as gate:
            pool.set_class(7, concurrency=2)
            given = [pool.submit_task(Rules(class_id=7), gate.wait) for _ in range(4)]
            self.assertTrue(gate.await_arrivals(2))
            pool.submit_task(PLAIN, int).result(BOUND_S)
            self.assertEqual((gate.arrived, sum(future.running() for future in given)), (2, 2))
            pool.set_class(7, concurrency=4)
            self.assertTrue(gate.await_arrivals(4))
            gate.open()

    def test_rate(self):
        """a class has a rate of its own, and says what happens without a token"""
        with settled(workpool.Pool(workers_max=1)) as pool:
            pool.set_class(1, rate=workpool.Rate(1, per=LATE, burst=2), on_rate="reject")
            given = [pool.submit_task(Rules(class_id=1), int) for _ in range(2)]
            with self.assertRaises(workpool.RateError):
                pool.submit_task(Rules(class_id=1), int)
            delayed = pool.submit_task(Rules(class_id=1, on_rate="delay"), int)
            begin = time.monotonic()
            with self.assertRaises(workpool.SubmitTimeoutError):
                pool.submit_task(Rules(class_id=1, on_rate="block", submit_timeout=0.15), int)
            self.assertTrue(0.15 <= time.monotonic() - begin < BOUND_S)
            self.assertTrue(delayed.cancel())
            self.assertEqual(names(given), "done done")

    def test_unknown(self):
        """a class that was not set is refused, and so is a number that none can have"""
        with settled(workpool.Pool(workers_max=1)) as pool:
            with self.assertRaises(workpool.WorkpoolError) as caught:
                pool.submit_task(Rules(class_id=3), int)
            self.assertEqual(caught.exception.code, _abi.E_NOTFOUND)
            for number in (0, 256):
                with self.assertRaises(workpool.InvalidError):
                    pool.set_class(number)


class Tokens(unittest.TestCase):
    def test_cancel(self):
        """a token cancels what waits under it with its reason, and asks what runs to stop"""
        def until_stopped():
            while not task.should_stop():
                time.sleep(0.001)
            gate.wait()  # the worker is not free before cancel() has found what waits
            return task.token()
        with settled(workpool.Pool(workers_max=1)) as pool, workpool.CancelToken() as token, \
                Gate() as gate:
            rules = Rules(token=token)
            running = pool.submit_task(rules, until_stopped)
            self.assertTrue(eventually(running.running))
            waiting = [pool.submit_task(rules, int),
                       pool.submit_native(native.task_square, 3, rules),
                       pool.submit_task(Rules(token=token, delay=LATE), int)]
            other = pool.submit_task(PLAIN, int)
            self.assertEqual((token.cancelled, token.reason), (False, 0))
            token.cancel(-1234)
            token.cancel()
            gate.open()
            self.assertEqual((token.cancelled, token.reason), (True, -1234))
            self.assertIs(running.result(BOUND_S), token)
            self.assertEqual(names(waiting), "cancelled cancelled cancelled")
            self.assertEqual([future.ended.code for future in waiting], [-1234] * 3)
            self.assertEqual(outcome(other), Outcome.DONE)
            with self.assertRaises(workpool.CancelledError) as caught:
                pool.submit_task(rules, int)
            self.assertIsInstance(caught.exception, futures.CancelledError)
        self.assertEqual(token.reason, -1234)

    def test_children(self):
        """a child is cancelled with its parent, not the other way round"""
        with workpool.CancelToken() as parent, parent.child() as child:
            grandchild = workpool.CancelToken(child)
            child.cancel()
            self.assertEqual((parent.cancelled, grandchild.cancelled), (False, True))
            self.assertEqual(grandchild.reason, _abi.E_CANCELLED)
            parent.cancel(-1005)
            self.assertEqual(parent.child().reason, -1005)

    def test_context(self):
        """leaving a with statement by an exception cancels; otherwise the tasks go on"""
        with settled(workpool.Pool(workers_max=1)) as pool, Gate() as gate:
            pool.submit_task(PLAIN, gate.wait)
            with workpool.CancelToken() as quiet:
                goes_on = pool.submit_task(Rules(token=quiet), int)
            with self.assertRaises(ValueError), workpool.CancelToken() as loud:
                stops = pool.submit_task(Rules(token=loud), int)
                raise_value_error()
            self.assertEqual((quiet.cancelled, loud.cancelled), (False, True))
            gate.open()
            self.assertEqual(names([goes_on, stops]), "done cancelled")

    def test_released(self):
        """a token that was given back is refused, not taken for none"""
        token = workpool.CancelToken()
        token.release()
        token.release()
        with settled(workpool.Pool(workers_max=1)) as pool:
            for call in (lambda: pool.submit_task(Rules(token=token), int), token.cancel,
                         token.child):
                with self.assertRaises(workpool.WorkpoolError) as caught:
                    call()
                self.assertEqual(caught.exception.code, _abi.E_BADHANDLE)

    def test_reason(self):
        """a reason is the user's own code"""
        with workpool.CancelToken() as token:
            for reason in (1, -5, -2**31 - 1):
                with self.assertRaises(ValueError):
                    token.cancel(reason)
            self.assertFalse(token.cancelled)


class Fields(unittest.TestCase):
    def test_every_field(self):
        """every rule reaches the field of pool_task_t that it is for"""
        retry = Retry(7, first=0.5, factor=1.5, cap=60, jitter="equal")
        with workpool.CancelToken() as token, workpool.CompletionQueue() as queue:
            cases = {
                "priority": (-5, {"priority": -5}),
                "key": (9, {"key": 9}),
                "class_id": (255, {"class_id": 255}),
                "deadline": (2.5, {"deadline_ns": 2_500_000_000}),
                "queue_timeout": (0.25, {"queue_timeout_ns": 250_000_000}),
                "run_timeout": (1, {"run_timeout_ns": 1_000_000_000}),
                "delay": (0.5, {"delay_ns": 500_000_000}),
                "period": (1e30, {"period_ns": 2**63 - 1}),
                "period_mode": ("fixed_delay", {"period_mode": _abi.PERIOD_FIXED_DELAY}),
                "retry": (retry, {"retries_max": 7, "backoff_factor_percent": 150,
                                  "backoff_first_ns": 500_000_000, "backoff_max_ns": 60_000_000_000,
                                  "backoff_jitter": _abi.JITTER_EQUAL}),
                "token": (token, {"token": token.handle}),
                "completions": (queue, {"cq": queue.handle}),
                "cost_bytes": (2**40, {"cost_bytes": 2**40}),
                "on_full": ("drop_lowest", {"on_full": _abi.ON_FULL_DROP_LOWEST}),
                "on_rate": ("reject", {"on_rate": _abi.ON_RATE_REJECT}),
                "name": ("näme", {"name": "näme".encode()}),
            }
            without = {"submit_timeout"}  # looked at by submit
            fields = {field.name for field in dataclasses.fields(Rules) if field.init}
            self.assertEqual(set(cases) | without, fields)
            plain = PLAIN.to_task()
            for name, (value, expected) in cases.items():
                made = Rules(**{name: value}).to_task()
                changed = {field: getattr(made, field) for field, _ in _abi.Task._fields_
                           if getattr(made, field) != getattr(plain, field)}
                self.assertEqual((name, changed), (name, expected))

    def test_out_of_range(self):
        """what the library's integers cannot hold is refused, not cut"""
        for given in ({"priority": 2**31}, {"priority": -2**31 - 1}, {"class_id": 2**32 + 1},
                      {"cost_bytes": -1}, {"delay": -0.1}, {"period": float("nan")},
                      {"period": -1}, {"deadline": float("nan")}, {"delay": float("nan")},
                      {"queue_timeout": -1}, {"submit_timeout": -1}, {"period_mode": "often"},
                      {"on_full": "hope"}, {"on_rate": ""}):
            with self.assertRaises(ValueError, msg=str(given)):
                Rules(**given)
        for given in ({"max": 0}, {"max": 2**32}, {"first": -1}, {"factor": 0.5}, {"factor": 1e9},
                      {"jitter": "much"}, {"cap": -1}):
            with self.assertRaises(ValueError, msg=str(given)):
                Retry(**{"max": 1, **given})
        for given in ((0,), (2**64,), (1, -1.0), (1, 0), (1, 1.0, 0), (1, 1.0, 2**32)):
            with self.assertRaises(ValueError, msg=str(given)):
                workpool.Rate(*given)

    def test_lanes(self):
        """a priority outside the lanes is refused by the pool, with its text"""
        with settled(workpool.Pool(workers_max=1)) as pool:
            with self.assertRaises(workpool.InvalidError) as caught:
                pool.submit_task(Rules(priority=2), int)
            for word in ("pool_submit_task", "priority", "2", "-1", "lanes"):
                self.assertIn(word, str(caught.exception))

    def test_rules_are_values(self):
        """rules can be compared, changed by dataclasses.replace, and serve many tasks"""
        rules = Rules(priority=1, key="a")
        self.assertEqual(dataclasses.replace(rules, key="b"), Rules(priority=1, key="b"))
        self.assertEqual(dataclasses.replace(rules, key="b").to_task().priority, 1)
        with self.assertRaises(dataclasses.FrozenInstanceError):
            rules.priority = 2


if __name__ == "__main__":
    unittest.main()
