# SPDX-License-Identifier: Apache-2.0
"""What a pool decides: order, admission, limits, and what it tells about failures and load."""

import collections
import ctypes
import logging
import os
import threading
import time
import unittest

import workpool
from helper import BOUND_S, Gate, eventually, names, run_program, settled, thread_count
from workpool import Outcome, Rate, Rules, TryAgain, _abi, _core, _options, task

native = ctypes.CDLL(os.environ["WORKPOOL_NATIVE_TASKS"])
PLAIN = Rules()
LATE = 3600.0


def raise_value_error():
    raise ValueError("from the task")


class Order(unittest.TestCase):
    def order(self, calls, **options):
        """What one worker runs in which order. calls: pairs of rules or None, and a name."""
        ran = []
        with settled(workpool.Pool(workers_max=1, aging=None, **options)) as pool:
            pool.pause()
            for rules, name in calls:
                if rules is None:
                    pool.submit(ran.append, name)
                else:
                    pool.submit_task(rules, ran.append, name)
            pool.resume()
            self.assertTrue(pool.wait_idle(BOUND_S))
        return "".join(ran)

    def test_strategies(self):
        """calls start in the order of the pool's strategy, with rules or without"""
        for rules in (None, PLAIN):
            calls = [(rules, name) for name in "abcdef"]
            self.assertEqual(self.order(calls, strategy="fifo"), "abcdef")
            self.assertEqual(self.order(calls, strategy="lifo"), "fedcba")
        calls = [(Rules(priority=number), name)
                 for number, name in ((0, "c"), (-2**31, "f"), (2**31 - 1, "a"), (7, "b"),
                                      (-1, "e"))]
        calls.insert(3, (None, "d"))
        self.assertEqual(self.order(calls, strategy="priority"), "abcdef")

    def test_lanes(self):
        """a worker takes tasks of higher lanes first"""
        calls = [(Rules(priority=priority), name)
                 for priority, name in ((-2, "e"), (0, "c"), (2, "a"), (-1, "d"), (1, "b"))]
        self.assertEqual(self.order(calls, lanes=5), "abcde")

    def test_executor(self):
        """an Executor has the options of a Pool; map and submit keep to them"""
        order = []
        with settled(workpool.Executor(1, strategy="lifo")) as executor, Gate() as gate:
            executor.submit(gate.wait)
            self.assertTrue(gate.await_arrivals(1))
            first = executor.submit(order.append, "first")
            results = executor.map(lambda name: order.append(name) or name, "abcdef", chunksize=2)
            gate.open()
            self.assertEqual("".join(results), "abcdef")
            self.assertIsNone(first.result(BOUND_S))
        self.assertEqual("".join(order), "efcdabfirst")
        with self.assertRaises(TypeError):
            workpool.Executor(1, speed=9)


class Admission(unittest.TestCase):
    def test_drop_oldest(self):
        """at the limit the call that has waited longest is shed, and its future says so"""
        for make in (workpool.Pool, workpool.Executor):
            ran = []
            with settled(make(workers_max=1, strategy="fifo", queue_limit=3,
                              on_full="drop_oldest")) as pool, Gate() as gate:
                pool.submit(gate.wait)
                self.assertTrue(gate.await_arrivals(1))
                given = [pool.submit_task(PLAIN, ran.append, number) for number in range(5)]
                pool.submit(ran.append, 5)
                gate.open()
                self.assertEqual(names(given), "shed shed shed done done")
                error = given[0].exception()
                self.assertIsInstance(error, workpool.ShedError)
                self.assertEqual(error.code, _abi.E_FULL)
            self.assertEqual(ran, [3, 4, 5])

    def test_executor_futures(self):
        """futures of plain calls are shed, too"""
        with settled(workpool.Executor(1, strategy="fifo", queue_limit=1,
                                       on_full="drop_oldest")) as executor, Gate() as gate:
            executor.submit(gate.wait)
            self.assertTrue(gate.await_arrivals(1))
            first, second = executor.submit(int), executor.submit(int)
            self.assertIsInstance(first.exception(BOUND_S), workpool.ShedError)
            gate.open()
            self.assertEqual(second.result(BOUND_S), 0)

    def test_drop_lowest(self):
        """drop_lowest sheds a waiting task of lower priority, or refuses the new one"""
        with settled(workpool.Pool(workers_max=1, strategy="priority", queue_limit=2,
                                   on_full="drop_lowest")) as pool, Gate() as gate:
            pool.submit(gate.wait)
            self.assertTrue(gate.await_arrivals(1))
            given = [pool.submit_task(Rules(priority=priority), int) for priority in (1, 2, 3)]
            with self.assertRaises(workpool.FullError):
                pool.submit_task(Rules(priority=1), int)
            gate.open()
            self.assertEqual(names(given), "shed done done")

    def test_drop_by_task(self):
        """a task may drop others of a pool that rejects, if all are tasks with rules"""
        with settled(workpool.Pool(workers_max=1, strategy="fifo", queue_limit=1)) as pool, \
                Gate() as gate:
            pool.submit_task(PLAIN, gate.wait)
            self.assertTrue(gate.await_arrivals(1))
            first = pool.submit_task(PLAIN, int)
            second = pool.submit_task(Rules(on_full="drop_oldest"), int)
            with self.assertRaises(workpool.FullError):
                pool.submit(int)
            gate.open()
            self.assertEqual(names([first, second]), "shed done")
        for make in (lambda: workpool.Pool(workers_max=1), lambda: workpool.Executor(1)):
            with settled(make()) as pool:
                pool.submit(int)
                for submit in (lambda rules: pool.submit_task(rules, int),
                               lambda rules: pool.submit_native(native.task_square, 0, rules)):
                    with self.assertRaisesRegex(ValueError, "submit_task"):
                        submit(Rules(on_full="drop_lowest"))
                pool.submit(int)

    def test_caller_runs(self):
        """with caller_runs submit runs the very call for which there is no room"""
        ran = []

        def note(name):
            ran.append((name, threading.get_ident()))
        own = threading.get_ident()
        with settled(workpool.Pool(workers_max=1, queue_limit=1,
                                   on_full="caller_runs")) as pool, Gate() as gate:
            pool.submit(gate.wait)
            self.assertTrue(gate.await_arrivals(1))
            pool.submit(note, "waits")
            pool.submit(note, "plain")
            future = pool.submit_task(PLAIN, note, "task")
            self.assertTrue(future.done())
            self.assertEqual(future.ended.worker, -1)
            self.assertEqual(ran, [("plain", own), ("task", own)])
            gate.open()
            self.assertTrue(pool.wait_idle(BOUND_S))
            self.assertEqual(ran[2][0], "waits")

    def test_submit_timeout(self):
        """a blocking submit gives up after submit_timeout, the pool's or the task's"""
        with settled(workpool.Pool(workers_max=1, queue_limit=1, on_full="block",
                                   submit_timeout=0.15)) as pool, Gate() as gate:
            pool.submit(gate.wait)
            self.assertTrue(gate.await_arrivals(1))
            pool.submit(int)
            patient = Rules(submit_timeout=0.22)
            for submit, least in ((lambda: pool.submit(int), 0.15),
                                  (lambda: pool.submit_task(PLAIN, int), 0.15),
                                  (lambda: pool.submit_native(native.task_square, 1), 0.15),
                                  (lambda: pool.submit_task(patient, int), 0.22)):
                begin = time.monotonic()
                with self.assertRaises(workpool.SubmitTimeoutError) as caught:
                    submit()
                self.assertGreaterEqual(time.monotonic() - begin, least)
                self.assertIsInstance(caught.exception, TimeoutError)
            gate.open()
            self.assertTrue(eventually(lambda: pool.stats().queued == 0))
            pool.submit_task(PLAIN, int).result(BOUND_S)

    def test_bytes(self):
        """queue_limit_bytes bounds the cost of what waits"""
        with settled(workpool.Pool(workers_max=1, queue_limit_bytes=1000)) as pool, Gate() as gate:
            pool.submit(gate.wait)
            self.assertTrue(gate.await_arrivals(1))
            given = [pool.submit_task(Rules(cost_bytes=400), int) for _ in range(2)]
            with self.assertRaises(workpool.FullError):
                pool.submit_task(Rules(cost_bytes=201), int)
            given.append(pool.submit_task(Rules(cost_bytes=200), int))
            pool.submit(int)
            gate.open()
            self.assertEqual(names(given), "done done done")

    def test_lane_limit(self):
        """lane_limit bounds every lane but the middle one"""
        with settled(workpool.Pool(workers_max=1, lane_limit=1)) as pool:
            pool.pause()
            for priority in (1, -1):
                pool.submit_task(Rules(priority=priority), int)
                with self.assertRaises(workpool.FullError):
                    pool.submit_task(Rules(priority=priority), int)
            for _ in range(3):
                pool.submit_task(PLAIN, int)
            pool.resume()

    def test_rate(self):
        """a rate limit delays, refuses or blocks what comes too fast"""
        with settled(workpool.Pool(workers_max=2, rate=Rate(20, burst=2))) as pool:
            begin = time.monotonic()
            starts = []
            for _ in range(6):
                pool.submit(lambda: starts.append(time.monotonic()))
            self.assertTrue(pool.wait_idle(BOUND_S))
            # Two at once, then one every 50 ms.
            for number, start in enumerate(sorted(starts)[2:], 1):
                self.assertGreaterEqual(start, begin + number * 0.05 - 0.001)
        with settled(workpool.Executor(1, rate=Rate(1, per=LATE, burst=1),
                                       on_rate="reject")) as executor:
            executor.submit(int).result(BOUND_S)
            with self.assertRaises(workpool.RateError):
                executor.submit(int)
            with self.assertRaises(workpool.SubmitTimeoutError):
                executor.submit_task(Rules(on_rate="block", submit_timeout=0.01), int)

    def test_rate_of_a_number(self):
        """a plain number is a rate for each second"""
        native_options = _options.make_settings(rate=5, retry_budget=7).native
        self.assertEqual((native_options.rate_count, native_options.rate_period_ns,
                          native_options.rate_burst, native_options.retry_count,
                          native_options.retry_period_ns), (5, 10**9, 1, 7, 10**9))

    def test_codel(self):
        """tasks are shed while all have waited longer than codel_target for codel_interval"""
        with settled(workpool.Executor(1, codel_target=0.001, codel_interval=0.01)) as executor:
            given = [executor.submit(time.sleep, 0.002) for _ in range(200)]
            self.assertIn("shed", names(given))
            self.assertEqual(executor.stats().shed, names(given).split().count("shed"))

    def test_shutdown_cancels(self):
        """shutdown with cancel_futures does not wait for tasks that wait for their time"""
        executor = workpool.Executor(4)
        delayed = executor.submit_task(Rules(delay=LATE), int)
        periodic = executor.submit_task(Rules(delay=LATE, period=1), int)
        self.assertEqual(_abi.lib.pool_pause(executor._core.handle), _abi.OK)
        spared = executor.submit(int)  # there is a worker for it
        executor.shutdown(cancel_futures=True)
        self.assertEqual(names([delayed, periodic]), "cancelled cancelled")
        self.assertEqual(spared.result(BOUND_S), 0)


class Told(unittest.TestCase):
    def setUp(self):
        logging.disable(logging.CRITICAL)
        self.addCleanup(logging.disable, logging.NOTSET)

    def test_dead_letters(self):
        """what failed for good comes to dead_letter once, with its call and its exception"""
        letters = collections.deque(maxlen=10)
        calls = {}

        def letter(future):
            letters.append(future)
            calls[future] = future.call
        retry = workpool.Retry(2, first=0.001, on=ValueError)
        with settled(workpool.Pool(workers_max=1, dead_letter=letter)) as pool:
            failed = pool.submit_task(Rules(retry=retry), raise_value_error)
            pool.submit_task(PLAIN, int).result(BOUND_S)
            of_native = pool.submit_native(native.task_fail, -1234)
            pool.submit(int, "no number")
            pool.submit_task(Rules(delay=LATE), int).cancel()
            self.assertTrue(pool.wait_idle(BOUND_S))
            self.assertEqual(len(letters), 3)
            self.assertEqual(set(letters) & {failed, of_native}, {failed, of_native})
            (plain,) = set(letters) - {failed, of_native}
            self.assertEqual(calls[plain], (int, ("no number",), {}))
            self.assertEqual(calls[failed], (raise_value_error, (), {}))
            self.assertIsNone(calls[of_native])
            self.assertEqual((failed.ended.attempts, of_native.exception().code), (3, -1234))
            self.assertIsNone(failed.call)

    def test_history(self):
        """a dead letter has the last attempts of its task, with what each raised and its times"""
        told = {}
        retry = workpool.Retry(9, first=0.001, on=Exception)

        def fail():
            raise ValueError(task.attempt())
        with settled(workpool.Pool(workers_max=1, dead_letter=lambda future: told.setdefault(
                future, future.history))) as pool:
            begun = time.monotonic()
            failed = pool.submit_task(Rules(retry=retry), fail)
            of_native = pool.submit_native(native.task_fail_first, 11, Rules(retry=retry))
            for future in (failed, of_native):
                # Known as soon as what it raised is.
                last = future.exception(BOUND_S)
                attempts = future.history
                over = time.monotonic()
                self.assertEqual([one.number for one in attempts], list(range(3, 11)))
                self.assertEqual([one.worker for one in attempts], [0] * 8)
                times = [begun]
                for one in attempts:
                    times += (one.start, one.start + one.run_time)
                self.assertEqual(times + [over], sorted(times + [over]))
                if future is failed:
                    self.assertEqual([one.error.args for one in attempts],
                                     [(number,) for number in range(3, 11)])
                    self.assertIs(attempts[-1].error, last)
                else:
                    self.assertEqual([one.error.code for one in attempts],
                                     [-1000 - number for number in range(3, 11)])
                    self.assertEqual(attempts[-1].error.code, last.code)
            self.assertTrue(pool.wait_idle(BOUND_S))
            self.assertEqual(told, {failed: failed.history, of_native: of_native.history})

    def test_history_without_dead_letters(self):
        """a call that failed for good has its history in every pool, and only such a call"""
        retry = workpool.Retry(1, first=0.001, on=ValueError)

        def lucky():
            return task.attempt() if task.attempt() > 1 else raise_value_error()
        runs = []

        def periodic():
            runs.append(None)
            if len(runs) in (1, 4, 5):
                raise_value_error()
        with settled(workpool.Executor(1)) as executor:
            failed = executor.submit_task(Rules(retry=retry), raise_value_error)
            done = executor.submit_task(Rules(retry=retry), lucky)
            served = executor.submit_task(Rules(retry=retry, period=0.001), periodic)
            self.assertEqual(done.result(BOUND_S), 2)
            self.assertIsInstance(served.exception(BOUND_S), ValueError)
            self.assertIsInstance(failed.exception(BOUND_S), ValueError)
            self.assertEqual([one.number for one in failed.history], [1, 2])
            self.assertEqual(done.history, ())
            self.assertEqual([one.number for one in served.history], [4, 5])
            late = executor.submit_task(Rules(delay=LATE), int)
            late.cancel()
            self.assertEqual(late.history, ())

    def test_dead_letters_of_a_completion_queue(self):
        """a dead letter comes with its history also if its task has a completion queue; one that
        was detached has given the future up"""
        letters = collections.deque()
        with settled(workpool.Pool(workers_max=1, dead_letter=letters.append)) as pool:
            with Gate() as gate, workpool.CompletionQueue(9) as queue:
                rules = Rules(completions=queue)
                given = [pool.submit_task(rules, raise_value_error),
                         pool.submit_native(native.task_fail, -1234, rules)]
                self.assertEqual(list(queue), given)
                self.assertEqual(list(letters), given)
                self.assertEqual([len(one.history) for one in given], [1, 1])
                pool.submit(gate.wait)
                self.assertTrue(gate.await_arrivals(1))
                given = [pool.submit_task(rules, raise_value_error),
                         pool.submit_native(native.task_fail, -1234, rules)]
                queue.detach()
            for one in given:
                self.assertIsInstance(one.exception(BOUND_S), workpool.ClosedError)
            self.assertTrue(pool.wait_idle(BOUND_S))
            self.assertEqual(len(letters), 2)
            # The next native task looks whether those of a detached queue have ended.
            pool.submit_native(native.task_fail).result(BOUND_S)

    def test_dead_letter_runs_again(self):
        """a dead letter may be handed over again"""
        with_luck = [False]

        def lucky():
            return "done" if with_luck[0] else raise_value_error()

        def once_more(future):
            with_luck[0] = True
            again.append(executor.submit_task(PLAIN, *future.call[:1]))
        again = []
        with settled(workpool.Executor(1, dead_letter=once_more)) as executor:
            self.assertIsInstance(executor.submit(lucky).exception(BOUND_S), ValueError)
            self.assertTrue(eventually(lambda: again))
            self.assertEqual(again[0].result(BOUND_S), "done")

    def test_watermarks(self):
        """watermark tells that many tasks wait, and that they no longer do"""
        told = []
        with settled(workpool.Pool(workers_max=1, queue_high=10, queue_low=2,
                                   watermark=lambda above, waiting: told.append(
                                       (above, waiting)))) as pool, Gate() as gate:
            pool.submit(gate.wait)
            self.assertTrue(gate.await_arrivals(1))
            for _ in range(10):
                pool.submit(int)
            self.assertTrue(eventually(lambda: len(told) == 1))
            gate.open()
            self.assertTrue(eventually(lambda: len(told) == 2))
        self.assertEqual(told[0], (True, 10))
        self.assertFalse(told[1][0])
        self.assertLessEqual(told[1][1], 2)

    def test_stuck(self):
        """stuck is called once for a run that lasts too long, and running() lists it by name"""
        told = []

        def named():
            gate.wait()
        with settled(workpool.Pool(workers_max=2, stuck_after=0.01,
                                   stuck=told.append)) as pool, Gate() as gate:
            pool.submit_task(Rules(name="näme"), named)
            self.assertTrue(gate.await_arrivals(1))
            pool.submit_task(PLAIN, named)
            self.assertTrue(eventually(lambda: len(told) == 2))
            running = pool.running(0.01)
            self.assertEqual([one.name for one in running], ["näme", named.__qualname__])
            for one in running:
                self.assertIn(one.worker, (0, 1))
                self.assertGreaterEqual(one.wall_time, 0.01)
                self.assertLessEqual(one.cpu_time, one.wall_time)
                self.assertEqual((one.attempt, one.state), (1, "S"))
                self.assertTrue(os.path.exists(f"/proc/self/task/{one.thread}"))
            self.assertEqual(pool.running(LATE), [])
            gate.open()
        self.assertEqual(sorted(one.name for one in told), sorted(["näme", named.__qualname__]))

    def test_stuck_calls_have_names(self):
        """a call without rules is listed by the name of its function, too"""
        for make in (workpool.Pool, workpool.Executor):
            with settled(make(workers_max=1, stuck_after=LATE)) as pool, Gate() as gate:
                pool.submit(gate.wait)
                self.assertTrue(gate.await_arrivals(1))
                self.assertEqual([one.name for one in pool.running()], ["Gate.wait"])
        with settled(workpool.Pool(workers_max=1)) as pool:
            with self.assertRaises(workpool.InvalidError):
                pool.running()

    def test_log(self):
        """log gets the lines of the level and above, with the levels of logging"""
        said = []

        def log(level, text):
            said.append((level, text))
        for make in (lambda level: workpool.Pool(workers_max=1, name="löud", log=log,
                                                 log_level=level),
                     lambda level: workpool.Executor(1, "löud", log=log, log_level=level)):
            for level, expected in (("info", {logging.INFO}),
                                    ("debug", {logging.INFO, logging.DEBUG}), ("warn", set())):
                said.clear()
                with settled(make(level)) as pool:
                    pool.submit(int)
                self.assertEqual({level for level, _ in said}, expected)
                self.assertTrue(all(text.startswith("löud: ") for _, text in said), said)
                texts = " ".join(text for _, text in said)
                for words in ("created", "closed") if expected else ():
                    self.assertIn(words, texts)
                for words in ("worker 0 started", "worker 0 ended"):
                    self.assertEqual(words in texts, logging.DEBUG in expected)

    def test_log_of_a_failure(self):
        """a failed task is told to the log at debug, a pool that ends is forgotten"""
        said = []
        with settled(workpool.Pool(workers_max=1, log=lambda *line: said.append(line),
                                   log_level="debug")) as pool:
            failing = pool.submit_task(Rules(name="bad"), raise_value_error)
            self.assertEqual(names([failing]), "failed")
        lines = [text for level, text in said if level == logging.DEBUG and "bad" in text]
        self.assertEqual(len(lines), 1, said)
        self.assertIn("-1000", lines[0])
        self.assertNotIn(pool._core.id, _core._logging)

    def test_logger(self):
        """a Logger is fine as log; a function that raises ends nothing"""
        logging.disable(logging.NOTSET)
        logger = logging.Logger("of the test")
        before = set(threading._active)
        with self.assertLogs(logger, logging.DEBUG) as seen:
            with settled(workpool.Pool(workers_max=1, log=logger, log_level="debug")) as pool:
                pool.submit(int)
        self.assertEqual({record.levelno for record in seen.records},
                         {logging.INFO, logging.DEBUG})
        self.assertRegex(seen.output[0], "pool: created")
        # A logger asks for the current thread, also where a worker has just left Python.
        self.assertEqual(set(threading._active), before)

        def fail(*_):
            failures.append(1)
            raise_value_error()
        failures = []
        logging.disable(logging.CRITICAL)
        with settled(workpool.Pool(workers_max=1, log=fail, log_level="debug")) as pool:
            self.assertEqual(pool.submit_task(PLAIN, int).result(BOUND_S), 0)
        self.assertGreaterEqual(len(failures), 4)

    def test_released_logs(self):
        """a pool with a log that is given up leaves the log behind, and is forgotten in the end"""
        said = []
        threads = thread_count()
        pool = workpool.Pool(workers_max=1, log=lambda *line: said.append(line), log_level="debug")
        number = pool._core.id
        self.assertEqual(pool.submit_task(PLAIN, int).result(BOUND_S), 0)
        pool.release()
        self.assertTrue(eventually(lambda: thread_count() == threads))
        self.assertIn("worker 0 ended", said[-1][1])
        with settled(workpool.Pool(workers_max=1, log=print, log_level="off")):
            self.assertNotIn(number, _core._logging)

    def test_callbacks_that_raise(self):
        """a callback that raises ends nothing"""
        def fail(*_):
            failures.append(1)
            raise_value_error()
        failures = []
        with settled(workpool.Pool(workers_max=1, dead_letter=fail, queue_high=1, watermark=fail,
                                   stuck_after=0.01, stuck=fail)) as pool, Gate() as gate:
            waiting = pool.submit_task(PLAIN, gate.wait)
            self.assertTrue(gate.await_arrivals(1))
            failing = pool.submit_task(PLAIN, raise_value_error)
            self.assertTrue(eventually(lambda: len(failures) >= 2))
            gate.open()
            self.assertEqual(names([waiting, failing]), "done failed")


class Options(unittest.TestCase):
    def test_every_option(self):
        """every option reaches the field of pool_options_t that it is for"""
        def made(**options):
            native_options = _options.make_settings(**options).native
            return {field: getattr(native_options, field) for field, _ in _abi.Options._fields_}
        budget = workpool.Budget(2)
        cases = {
            "workers_min": (3, {"workers_min": 3}),
            "workers_max": (5, {"workers_max": 5}),
            "keep_alive": (None, {"keep_alive_ns": -1}),
            "queue_limit": (None, {"queue_limit": 2**64 - 1}),
            "on_full": ("caller_runs", {"on_full": _abi.ON_FULL_CALLER_RUNS}),
            "submit_timeout": (0.05, {"submit_timeout_ns": 50_000_000}),
            "strategy": ("priority", {"strategy": _abi.STRATEGY_PRIORITY}),
            "lanes": (5, {"lanes": 5}),
            "aging": (None, {"aging_ns": -1}),
            "lane_limit": (7, {"lane_limit": 7}),
            "queue_limit_bytes": (2**40, {"queue_limit_bytes": 2**40}),
            "rate": (Rate(3, per=0.5, burst=2), {"rate_count": 3, "rate_period_ns": 500_000_000,
                                                 "rate_burst": 2}),
            "on_rate": ("block", {"on_rate": _abi.ON_RATE_BLOCK}),
            "codel_target": (0.005, {"codel_target_ns": 5_000_000}),
            "codel_interval": (0.2, {"codel_interval_ns": 200_000_000}),
            "retry_budget": (Rate(9, per=2), {"retry_count": 9, "retry_period_ns": 2 * 10**9}),
            "queue_high": (9, {"queue_high": 9}),
            "queue_low": (4, {"queue_low": 4}),
            "stuck_after": (2, {"stuck_after_ns": 2 * 10**9}),
            "task_isolation": ("fp", {"task_isolation": _abi.ISOLATION_FP}),
            "workers_limit": (99, {"workers_limit": 99}),
            "prestart": (2, {"prestart": 2}),
            "inherit_affinity": (True, {"inherit_affinity": 1}),
            "on_exception": ("terminate", {"on_exception": _abi.EXC_TERMINATE}),
            "log_level": ("debug", {}),  # nothing without log
            "policy": ("pid", {"policy": b"pid"}),
            "budget": (budget, {"budget": budget.handle}),
            "budget_floor": (3, {"budget_floor": 3}),
            "budget_weight": (4, {"budget_weight": 4}),
        }
        of_core = {"dead_letter", "watermark", "stuck", "log"}  # shown above
        self.assertEqual(set(cases) | of_core, set(_options.make_settings.__kwdefaults__))
        plain = made()
        for name, (value, expected) in cases.items():
            changed = {field: value for field, value in made(**{name: value}).items()
                       if value != plain[field]}
            self.assertEqual((name, changed), (name, expected))
        self.assertEqual(made(log=print, log_level="warn")["log_level"], _abi.LOG_WARN)
        fields = {field for field, _ in _abi.Options._fields_}
        by_callback = {"dead_letter", "watermark", "stuck", "log_fn"}
        by_callback |= {"dead_letter_user", "watermark_user", "stuck_user", "log_user"}
        # In Python a deque keeps them, see the README.
        elsewhere = {"struct_size", "stack_bytes", "name", "drop", "reserved", "dead_letter_limit"}
        set_here = {field for _, expected in cases.values() for field in expected}
        self.assertEqual(fields - set_here - by_callback - elsewhere, {"log_level"})

    def test_choices_with_dashes(self):
        """a choice may be written as the options by name have it"""
        self.assertEqual(_options.make_settings(on_full="drop-oldest").native.on_full,
                         _abi.ON_FULL_DROP_OLDEST)
        self.assertTrue(_options.make_settings(on_full="drop-oldest").one_by_one)
        self.assertTrue(Rules(on_full="drop-lowest").drops)
        with settled(workpool.Pool(workers_max=1, strategy="fifo", queue_limit=1,
                                   on_full="drop-oldest")) as pool, Gate() as gate:
            self.assertEqual(pool.get("on_full"), "drop-oldest")
            pool.submit(gate.wait)
            self.assertTrue(gate.await_arrivals(1))
            given = [pool.submit_task(PLAIN, int) for _ in range(2)]
            gate.open()
            self.assertEqual(names(given), "shed done")

    def test_set_without(self):
        """set takes None for "without" where an option has that, by whatever word"""
        with settled(workpool.Pool(workers_max=1, keep_alive=1, rate=5, retry_budget=5,
                                   lane_limit=9)) as pool:
            for name, text in (("keep_alive_ms", "forever"), ("aging_ms", "forever"),
                               ("lane_limit", "0"), ("rate_count", "0"), ("retry_count", "0"),
                               ("queue_limit_bytes", "0")):
                pool.set(name, 7)
                self.assertEqual(pool.get(name), "7")
                pool.set(name, None)
                self.assertEqual((name, pool.get(name)), (name, text))
            pool.set("aging_ms", 0.1 + 0.2)  # not 0.30000000000000004
            self.assertEqual(pool.get("aging_ms"), "0.3")
            for name in ("rate_burst", "rate_period_ms", "on_rate"):
                with self.assertRaisesRegex(ValueError, name):
                    pool.set(name, None)
            with self.assertRaises(workpool.WorkpoolError) as caught:
                pool.set("colour", None)
            self.assertEqual(caught.exception.code, _abi.E_NOTFOUND)
            # Both are words of it; what is refused is the change.
            said = set()
            for word in ("drop_oldest", "drop-oldest"):
                with self.assertRaises(workpool.InvalidError) as caught:
                    pool.set("on_full", word)
                said.add(str(caught.exception))
            self.assertEqual(len(said), 1)
            self.assertNotIn("drop_oldest", said.pop())

    def test_prestart(self):
        """prestart has workers ready, for Python calls as for others, and an initializer"""
        began = []
        with settled(workpool.Pool(workers_max=3, prestart=2)) as pool:
            self.assertEqual(pool.stats().workers_live, 2)
            names_seen = pool.submit_task(PLAIN, lambda: threading.current_thread().name)
            self.assertIn(names_seen.result(BOUND_S), ("pool_0", "pool_1", "pool_2"))
        with settled(workpool.Executor(2, prestart=2, initializer=began.append,
                                       initargs=(1,))) as executor:
            self.assertGreaterEqual(executor.submit(len, began).result(BOUND_S), 1)
            self.assertEqual(executor.stats().workers_live, 2)
        with self.assertRaises(workpool.InvalidError):
            workpool.Pool(workers_max=1, prestart=2)

    def test_affinity(self):
        """with inherit_affinity workers run on the CPUs of the thread that makes the pool"""
        whole_process = os.sched_getaffinity(0)
        one = {min(whole_process)}

        def seen(inherit):
            with settled(workpool.Pool(workers_max=1, inherit_affinity=inherit)) as pool:
                found.append(pool.submit_task(PLAIN, os.sched_getaffinity, 0).result(BOUND_S))

        def make():
            os.sched_setaffinity(0, one)
            seen(True)
            seen(False)
        found = []
        maker = threading.Thread(target=make)
        maker.start()
        maker.join(BOUND_S)
        self.assertEqual(found, [one, whole_process])

    def test_workers_limit(self):
        """workers_limit bounds the threads, with those that stand in"""
        with self.assertRaises(workpool.InvalidError):
            workpool.Pool(workers_max=3, workers_limit=2)
        with settled(workpool.Pool(workers_max=1, workers_limit=2)) as pool:
            self.assertEqual(pool.get("workers_limit"), "2")
            with self.assertRaises(workpool.InvalidError):
                pool.tune(3)
            pool.tune(2)
    def test_names(self):
        """every named option has a text for each of its properties; live ones can be changed"""
        listed = {option.name: option for option in workpool.options()}
        self.assertEqual(listed["strategy"].type, "choice")
        self.assertEqual(listed["aging_ms"][1:4], ("time", True, "100"))
        self.assertTrue(all(all(option[:2]) and all(option[3:]) for option in listed.values()))
        with settled(workpool.Pool(workers_max=3, keep_alive=None)) as pool:
            self.assertEqual((pool.get("workers_max"), pool.get("keep_alive_ms")), ("3", "forever"))
            for value, text in ((250, "250"), (0.5, "0.5"), ("forever", "forever")):
                pool.set("keep_alive_ms", value)
                self.assertEqual(pool.get("keep_alive_ms"), text)
            for name, value in (("keep_alive_ms", -1), ("queue_limit", 4), ("strategy", "fifo")):
                with self.assertRaises(workpool.InvalidError):
                    pool.set(name, value)
            for call in (lambda: pool.set("colour", "red"), lambda: pool.get("colour")):
                with self.assertRaises(workpool.WorkpoolError) as caught:
                    call()
                self.assertEqual(caught.exception.code, _abi.E_NOTFOUND)
        with settled(workpool.Executor(1, retry_budget=5)) as executor:
            self.assertEqual(executor.get("retry_count"), "5")

    def test_presets(self):
        """a preset gives what suits a kind of task; arguments beside it count more"""
        for name in ("cpu", "io", "batch"):
            native_options = _options.make_settings(**workpool.preset(name)).native
            expected = _abi.Options()
            _abi.lib.pool_options_init(ctypes.byref(expected), ctypes.sizeof(expected))
            _abi.lib.pool_options_preset(ctypes.byref(expected), name.encode())
            for field in ("workers_max", "keep_alive_ns", "queue_limit"):
                if getattr(expected, field) != 0:  # not the default
                    self.assertEqual(getattr(native_options, field), getattr(expected, field))
            self.assertEqual(native_options.on_full, expected.on_full or _abi.ON_FULL_REJECT)
        with settled(workpool.Pool(**workpool.preset("io", queue_limit=9))) as pool:
            self.assertEqual([pool.get(name) for name in ("workers_max", "queue_limit", "on_full")],
                             ["256", "9", "block"])
        with settled(workpool.Executor(**workpool.preset("io"))) as executor:
            self.assertEqual(executor.get("workers_max"), "256")
        with settled(workpool.Executor(3, **workpool.preset("cpu"))) as executor:
            self.assertEqual((executor.get("workers_max"), executor.get("keep_alive_ms")),
                             ("3", "10000"))
        with self.assertRaises(workpool.WorkpoolError):
            workpool.preset("fast")

    def test_defaults(self):
        """the defaults of Pool are the library's own, but for threads' stacks and waits"""
        native_options = _options.make_settings().native
        asked = {name: value for name, value in
                 ((field, getattr(native_options, field)) for field, _ in _abi.Options._fields_)
                 if value}
        self.assertEqual(asked, {
            "struct_size": ctypes.sizeof(_abi.Options), "keep_alive_ns": 10**9,
            "queue_limit": 1 << 20, "on_full": _abi.ON_FULL_REJECT,
            "submit_timeout_ns": 100_000_000, "stack_bytes": 8 << 20, "aging_ns": 100_000_000,
            "on_rate": _abi.ON_RATE_DELAY, "codel_interval_ns": 100_000_000})

    def test_out_of_range(self):
        """what the library's integers cannot hold is refused, not cut"""
        for given in ({"workers_max": 2**32}, {"workers_min": -1}, {"queue_limit": 0},
                      {"queue_limit_bytes": 2**64}, {"lane_limit": -1}, {"lanes": 2**33},
                      {"aging": -1}, {"rate": 0}, {"codel_target": -1}, {"strategy": "random"},
                      {"on_full": "wait"}, {"on_rate": "hope"}, {"queue_high": -1},
                      {"stuck_after": float("nan")}, {"submit_timeout": -1}, {"prestart": -1},
                      {"workers_limit": 2**32}, {"on_exception": "ignore"}, {"log_level": "all"}):
            with self.assertRaises(ValueError, msg=str(given)):
                workpool.Pool(**given)
        with self.assertRaises(workpool.InvalidError):
            workpool.Pool(lanes=17)


class Exit(unittest.TestCase):
    def test_times_at_exit(self):
        """an interpreter ends although tasks wait for their time, repeat themselves or are stuck"""
        program = """if True:
            import threading, time, workpool
            from workpool import Retry, Rules, TryAgain, _core
            _core.EXIT_WAIT_S = 0.01
            def again():
                raise TryAgain
            def endless():
                started.set()
                try:
                    while True:
                        time.sleep(0.0005)
                finally:
                    print("ended")
            started = threading.Event()
            def told(*_):
                pass
            pool = workpool.Pool(workers_max=2, stuck_after=0.001, stuck=told, queue_high=1,
                                 watermark=told, dead_letter=told)
            executor = workpool.Executor(2)
            executor.submit_task(Rules(period=0.001), int)
            pool.submit_task(Rules(period=0.001), int)
            pool.submit_task(Rules(delay=3600), int)
            pool.submit_task(Rules(queue_timeout=3600, delay=3600), int)
            pool.submit_task(Rules(retry=Retry(1000, first=0.001)), again)
            kept = pool.submit_task(Rules(run_timeout=0.001), endless)
            started.wait()
            print("end")
            """
        for _ in range(5):
            ended = run_program(program)
            self.assertEqual((ended.returncode, ended.stderr), (0, ""))
            self.assertEqual(ended.stdout, "end\nended\n")

    def test_logs_at_exit(self):
        """an interpreter ends although pools log to it that have work, or were given up"""
        program = """if True:
            import builtins, ctypes, threading, time, workpool
            from workpool import _core
            _core.EXIT_WAIT_S = 0.01
            class SlowToGo:  # threads meet an interpreter that is on its way down
                def __del__(self, usleep=ctypes.CDLL(None).usleep):
                    usleep(20_000)
            builtins.slow = SlowToGo()
            said = []
            def log(level, text):
                said.append(text)
            def endless():
                started.release()
                while True:
                    time.sleep(0.0005)
            started = threading.Semaphore(0)
            options = dict(workers_max=2, log=log, log_level="debug")
            pool = workpool.Pool(name="kept", **options)
            executor = workpool.Executor(2, log=log, log_level="debug")
            given_up = [workpool.Pool(name=f"given{n}", prestart=2, **options) for n in range(3)]
            for one in (pool, *given_up):
                one.submit(endless)
                started.acquire()
            given_up.clear()
            workpool.Pool(name="idle", prestart=2, **options)
            executor.submit(int)
            print(any("kept: created" in text for text in said))
            """
        for _ in range(10):
            ended = run_program(program)
            self.assertEqual((ended.returncode, ended.stderr, ended.stdout), (0, "", "True\n"))


if __name__ == "__main__":
    unittest.main()
