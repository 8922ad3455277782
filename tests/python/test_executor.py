# SPDX-License-Identifier: Apache-2.0
"""workpool.Executor in one process: order, chunks, waits, cancelling, limits, names, hooks."""

import asyncio
import gc
import os
import signal
import sys
import threading
import traceback
import unittest
import weakref
from concurrent import futures
from concurrent.futures.thread import BrokenThreadPool

import workpool
from helper import BOUND_S, Gate, eventually, thread_count
from workpool import _abi


def raise_value_error():
    raise ValueError("from the task")


class Results(unittest.TestCase):
    def test_submit(self):
        """submit returns a future with the call's result"""
        with workpool.Executor(2) as executor:
            future = executor.submit(divmod, 17, 5)
            self.assertIsInstance(future, futures.Future)
            self.assertEqual(future.result(BOUND_S), (3, 2))

    def test_exception(self):
        """an exception comes through with the traceback of the task"""
        with workpool.Executor(2) as executor:
            try:
                executor.submit(raise_value_error).result()
            except ValueError as error:
                names = [frame.name for frame in traceback.extract_tb(error.__traceback__)]
            self.assertEqual(names[-1], "raise_value_error")
            self.assertEqual(executor.submit(int, "7").result(BOUND_S), 7)

    def test_base_exception(self):
        """SystemExit in a task is the future's and ends no thread"""
        with workpool.Executor(1) as executor:
            with self.assertRaises(SystemExit):
                executor.submit(sys.exit, 3).result()
            first = executor.submit(threading.get_ident).result()
            self.assertEqual(executor.submit(threading.get_ident).result(), first)

    def test_failed_exception_holds_nothing(self):
        """a kept exception keeps neither its future nor its executor alive"""
        executor = workpool.Executor(1)
        future = executor.submit(raise_value_error)
        gone = [weakref.ref(executor), weakref.ref(future)]
        gc.disable()
        try:
            kept = None
            try:
                future.result()
            except ValueError as error:
                kept = error
            executor.shutdown()
            del executor, future
            self.assertIsNotNone(kept.__traceback__)
            self.assertEqual([ref() for ref in gone], [None, None])
        finally:
            gc.enable()

    def test_order(self):
        """calls start in the order of their submission, also those submitted by a task"""
        order = []
        with workpool.Executor(1) as executor, Gate() as gate:
            def submit_more():
                for number in range(100, 200):
                    executor.submit(order.append, number)
            executor.submit(gate.wait)
            for number in range(100):
                executor.submit(order.append, number)
            more = executor.submit(submit_more)
            gate.open()
            more.result()
        self.assertEqual(order, list(range(200)))

    def test_recursion(self):
        """endless recursion in a task is a RecursionError, not the end of the process"""
        def recurse(depth):
            return recurse(depth + 1)
        with workpool.Executor(1) as executor:
            with self.assertRaises(RecursionError):
                executor.submit(recurse, 0).result()

    def test_asyncio(self):
        """asyncio's run_in_executor runs calls on it"""
        async def main(executor):
            loop = asyncio.get_running_loop()
            return await asyncio.gather(
                *(loop.run_in_executor(executor, pow, number, 2) for number in range(50)))
        with workpool.Executor(3) as executor:
            self.assertEqual(asyncio.run(main(executor)), [number**2 for number in range(50)])


class Map(unittest.TestCase):
    def test_chunks_are_tasks(self):
        """map with a chunksize makes one native task for each chunk"""
        with workpool.Executor(2) as executor:
            before = executor.stats().submitted
            self.assertEqual(list(executor.map(pow, range(1000), [2] * 1000, chunksize=64)),
                             [number**2 for number in range(1000)])
            self.assertEqual(executor.stats().submitted - before, 16)

    def test_chunk_stays_on_one_thread(self):
        """all calls of a chunk run on one worker, one after the other"""
        with workpool.Executor(4) as executor:
            threads = list(executor.map(lambda _: threading.get_ident(), range(40), chunksize=10))
        for start in range(0, 40, 10):
            self.assertEqual(len(set(threads[start:start + 10])), 1)

    def test_exception_in_chunk(self):
        """results before a call that raises come first, in a chunk as without one"""
        for chunksize in (1, 2, 100):
            with workpool.Executor(2) as executor:
                results = executor.map(divmod, [6, 6, 6], [2, 0, 3], chunksize=chunksize)
                self.assertEqual(next(results), (3, 0))
                with self.assertRaises(ZeroDivisionError):
                    next(results)

    def test_lengths(self):
        """any length and chunksize gives what the built-in map gives"""
        with workpool.Executor(3) as executor:
            for length in (0, 1, 255, 256, 257, 600):
                for chunksize in (1, 2, 255, 256, 1000):
                    self.assertEqual(list(executor.map(str, range(length), chunksize=chunksize)),
                                     list(map(str, range(length))))

    def test_bad_chunksize(self):
        """a chunksize below 1 is a ValueError"""
        with workpool.Executor(1) as executor:
            with self.assertRaises(ValueError):
                executor.map(str, [1], chunksize=0)

    def test_left_early(self):
        """leaving the results cancels the calls that have not started"""
        ran = []
        with workpool.Executor(1) as executor, Gate() as gate:
            executor.submit(gate.wait)
            results = executor.map(ran.append, range(10), timeout=0)
            with self.assertRaises(futures.TimeoutError):
                next(results)
            gate.open()
        self.assertEqual(ran, [])


class Waiting(unittest.TestCase):
    def test_nested(self):
        """a task may wait for tasks that it submitted, also with one worker"""
        with workpool.Executor(1) as executor:
            def fib(n):
                if n < 2:
                    return n
                first, second = executor.submit(fib, n - 1), executor.submit(fib, n - 2)
                return first.result() + second.result()
            self.assertEqual(executor.submit(fib, 12).result(BOUND_S), 144)

    def test_nested_exception(self):
        """a task that waits for a failed one gets its exception, from result() and exception()"""
        with workpool.Executor(1) as executor:
            def outer():
                inner = executor.submit(raise_value_error)
                return type(inner.exception()), executor.submit(raise_value_error).result()
            with self.assertRaises(ValueError):
                executor.submit(outer).result(BOUND_S)

    def test_deep(self):
        """a long chain of tasks that wait needs as many workers as chains, not as links"""
        with workpool.Executor(1) as executor:
            def link(n):
                return 0 if n == 0 else 1 + executor.submit(link, n - 1).result()
            self.assertEqual(executor.submit(link, 30).result(BOUND_S), 30)

    def test_stranger_does_not_help(self):
        """an outside thread that waits runs nothing itself"""
        with workpool.Executor(1) as executor:
            thread = executor.submit(threading.get_ident).result(None)
            self.assertNotEqual(thread, threading.get_ident())

    def test_own_shutdown(self):
        """a task that would wait for its own executor gets DeadlockError, and the rest goes on"""
        with workpool.Executor(2) as executor:
            with self.assertRaises(workpool.DeadlockError):
                executor.submit(executor.shutdown).result(BOUND_S)


class Cancelling(unittest.TestCase):
    def test_cancel(self):
        """a cancelled future's call never runs"""
        ran = []
        with workpool.Executor(1) as executor, Gate() as gate:
            first = executor.submit(gate.wait)
            self.assertTrue(gate.await_arrivals(1))
            second = executor.submit(ran.append, 1)
            self.assertTrue(second.cancel())
            self.assertFalse(first.cancel())
            gate.open()
        self.assertEqual(ran, [])
        self.assertTrue(second.cancelled())

    def test_h12_cancel_lets_go(self):
        """H12: a cancelled call lets go of its arguments at once, and waiters see it ended"""
        class Thing:
            def method(self):
                pass
        with workpool.Executor(1) as executor, Gate() as gate:
            executor.submit(gate.wait)
            self.assertTrue(gate.await_arrivals(1))
            thing = Thing()
            gone = weakref.ref(thing)
            future = executor.submit(thing.method)
            del thing
            self.assertIsNotNone(gone())
            self.assertTrue(future.cancel())
            self.assertIsNone(gone())
            self.assertEqual(futures.wait([future], timeout=0).done, {future})
            self.assertTrue(future.cancel())

    def test_shutdown_cancels(self):
        """cancel_futures with all workers busy cancels everything that waits"""
        gate = Gate()
        self.addCleanup(gate.open)
        executor = workpool.Executor(3)
        running = [executor.submit(gate.wait) for _ in range(3)]
        self.assertTrue(gate.await_arrivals(3))
        waiting = [executor.submit(gate.wait) for _ in range(20)]
        executor.shutdown(wait=False, cancel_futures=True)
        self.assertTrue(all(future.cancelled() for future in waiting))
        done, not_done = futures.wait(waiting, timeout=0)  # waiters know it as well
        self.assertEqual((len(done), len(not_done)), (20, 0))
        gate.open()
        executor.shutdown()
        self.assertTrue(all(future.done() and not future.cancelled() for future in running))

    def test_shutdown_leaves_what_idle_workers_take(self):
        """cancel_futures leaves the oldest calls for workers that are only slow to wake"""
        executor = workpool.Executor(3)
        _abi.lib.pool_pause(executor._core.handle)  # no worker wakes at all
        order = []
        submitted = [executor.submit(order.append, number) for number in range(10)]
        executor.shutdown(cancel_futures=True)  # ends the pause
        self.assertEqual([future.cancelled() for future in submitted], [False] * 3 + [True] * 7)
        self.assertEqual(sorted(order), [0, 1, 2])

    def test_submit_after_shutdown(self):
        """submit and map after shutdown raise RuntimeError"""
        executor = workpool.Executor(1)
        executor.shutdown()
        with self.assertRaisesRegex(RuntimeError, "cannot schedule new futures after shutdown"):
            executor.submit(int)
        with self.assertRaisesRegex(RuntimeError, "cannot schedule new futures after shutdown"):
            executor.map(int, ["1"])
        executor.shutdown()

    def test_shutdown_from_many_threads(self):
        """shutdown by several threads at once: each returns when all is over"""
        for _ in range(20):
            executor = workpool.Executor(2)
            calls = [executor.submit(int) for _ in range(50)]
            seen = []

            def shut():
                executor.shutdown()
                seen.append(all(call.done() for call in calls))
            threads = [threading.Thread(target=shut) for _ in range(4)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join(BOUND_S)
            self.assertEqual(seen, [True] * 4)

    def test_interrupt(self):
        """Ctrl-C ends a shutdown that waits; a later one finishes the work"""
        gate = Gate()
        self.addCleanup(gate.open)
        executor = workpool.Executor(1)
        future = executor.submit(gate.wait)
        self.assertTrue(gate.await_arrivals(1))
        threading.Timer(0.05, os.kill, (os.getpid(), signal.SIGINT)).start()
        with self.assertRaises(KeyboardInterrupt):
            executor.shutdown()
        self.assertFalse(future.done())
        gate.open()
        executor.shutdown()
        self.assertTrue(future.done())


class Limits(unittest.TestCase):
    def test_full(self):
        """at the queue limit submit raises FullError; what was accepted runs exactly once"""
        ran = []
        with workpool.Executor(1, queue_limit=5) as executor, Gate() as gate:
            executor.submit(gate.wait)
            self.assertTrue(gate.await_arrivals(1))
            for number in range(5):
                executor.submit(ran.append, number)
            for _ in range(100):
                with self.assertRaises(workpool.FullError):
                    executor.submit(ran.append, -1)
            with self.assertRaises(workpool.FullError):
                executor.map(ran.append, [-2])
            self.assertEqual(executor.stats().queued, 5)
            gate.open()
        self.assertEqual(ran, [0, 1, 2, 3, 4])

    def test_map_refused_in_part(self):
        """a map that does not fit is refused as a whole: none of its calls is left behind"""
        ran = []
        with workpool.Executor(1, queue_limit=300) as executor, Gate() as gate:
            executor.submit(gate.wait)
            self.assertTrue(gate.await_arrivals(1))
            with self.assertRaises(workpool.FullError):
                executor.map(ran.append, range(1000))
            gate.open()
        self.assertEqual(ran, [])

    def test_block(self):
        """with on_full="block" submit waits for room, and nothing is lost"""
        ran = []
        with workpool.Executor(1, queue_limit=4, on_full="block") as executor:
            for number in range(500):
                executor.submit(ran.append, number)
        self.assertEqual(ran, list(range(500)))

    def test_interrupted_block(self):
        """Ctrl-C ends a submit that waits for room; its call does not run, later ones do"""
        ran = []
        with workpool.Executor(1, queue_limit=1, on_full="block") as executor, Gate() as gate:
            executor.submit(gate.wait)
            self.assertTrue(gate.await_arrivals(1))
            executor.submit(ran.append, 1)
            threading.Timer(0.05, os.kill, (os.getpid(), signal.SIGINT)).start()
            with self.assertRaises(KeyboardInterrupt):
                executor.submit(ran.append, 2)
            threading.Timer(0.05, os.kill, (os.getpid(), signal.SIGINT)).start()
            with self.assertRaises(KeyboardInterrupt):
                executor.map(ran.append, [3, 4])
            gate.open()
            executor.submit(ran.append, 5)
        self.assertEqual(ran, [1, 5])

    def test_bad_arguments(self):
        """arguments out of range are refused with the types of the standard executor"""
        for bad in (0, -1):
            with self.assertRaises(ValueError):
                workpool.Executor(bad)
        with self.assertRaises(ValueError) as caught:
            workpool.Executor(5000)
        self.assertIn("5000", str(caught.exception))
        with self.assertRaises(TypeError):
            workpool.Executor(initializer=3)
        with self.assertRaises(ValueError):
            workpool.Executor(on_full="explode")


class Workers(unittest.TestCase):
    def test_names(self):
        """threads have the prefix in their names, for Python and for the system"""
        def names():
            with open(f"/proc/self/task/{threading.get_native_id()}/comm") as file:
                return threading.current_thread().name, file.read().strip()
        with workpool.Executor(1, thread_name_prefix="Special") as executor:
            python, system = executor.submit(names).result()
        self.assertEqual(python, "Special_0")
        self.assertTrue(system.startswith("Special"), system)

    def test_concurrency(self):
        """as many calls run at once as there may be workers"""
        with workpool.Executor(5) as executor, Gate() as gate:
            for _ in range(12):
                executor.submit(gate.wait)
            self.assertTrue(gate.await_arrivals(5))
            self.assertEqual(len(executor._threads), 5)
            self.assertEqual(gate.arrived, 5)
            gate.open()

    def test_reuse(self):
        """calls that come one at a time do not fill the pool with threads"""
        with workpool.Executor(30) as executor:
            for _ in range(300):
                executor.submit(int).result()
            self.assertLess(len(executor._threads), 10)

    def test_thread_state_stays(self):
        """a worker's thread-local data lives from task to task: its thread state is kept"""
        local = threading.local()
        with workpool.Executor(1) as executor:
            executor.submit(setattr, local, "number", 41).result()
            self.assertEqual(executor.submit(getattr, local, "number").result(), 41)

    def test_threads_are_gone(self):
        """after shutdown no thread and no Python thread state is left"""
        threads, known = thread_count(), threading.active_count()
        frames = len(sys._current_frames())
        for _ in range(20):
            with workpool.Executor(4) as executor:
                list(executor.map(int, range(100)))
        self.assertEqual(thread_count(), threads)
        self.assertEqual(len(sys._current_frames()), frames)
        self.assertEqual(threading.active_count(), known)

    def test_keep_alive(self):
        """an idle thread ends after keep_alive, and comes back with work"""
        with workpool.Executor(2, keep_alive=0.01) as executor:
            executor.submit(int).result()
            self.assertTrue(eventually(lambda: not executor._threads))
            self.assertEqual(executor.submit(int, "3").result(BOUND_S), 3)

    def test_initializer(self):
        """the initializer runs once on each thread, before its first call"""
        local = threading.local()
        runs = []

        def initialize(value):
            local.value = value
            runs.append(threading.get_ident())
        with workpool.Executor(3, initializer=initialize, initargs=("ready",)) as executor:
            self.assertEqual(set(executor.map(lambda _: local.value, range(200))), {"ready"})
        self.assertEqual(len(runs), len(set(runs)))

    def test_broken(self):
        """an initializer that raises breaks the executor: futures and submit raise"""
        with self.assertLogs("concurrent.futures", "CRITICAL") as logs:
            executor = workpool.Executor(2, initializer=raise_value_error)
            future = executor.submit(int)
            with self.assertRaises(BrokenThreadPool):
                future.result(BOUND_S)
            with self.assertRaises(BrokenThreadPool):
                executor.submit(int)
            executor.shutdown()
        self.assertIn("ValueError: from the task", logs.output[0])

    def test_tune(self):
        """tune sets the number of workers under load, up and down"""
        with workpool.Executor(2) as executor, Gate() as first, Gate() as second:
            executor.tune(4)
            for _ in range(8):
                executor.submit(first.wait)
            self.assertTrue(first.await_arrivals(4))
            executor.tune(1)
            for _ in range(3):
                executor.submit(second.wait)
            first.open()
            self.assertTrue(second.await_arrivals(1))
            self.assertTrue(eventually(lambda: executor.stats().workers_live == 1))
            self.assertEqual(second.arrived, 1)
            second.open()

    def test_stats(self):
        """stats counts calls; one that raised has failed"""
        with workpool.Executor(2) as executor:
            list(executor.map(int, ["1"] * 10))
            executor.submit(raise_value_error).exception()
            self.assertTrue(eventually(lambda: executor.stats().ended_run == 11))
            stats = executor.stats()
            self.assertEqual((stats.submitted, stats.done, stats.failed), (11, 10, 1))

    def test_trace_function(self):
        """threading.settrace reaches the workers: coverage and debuggers see the calls"""
        seen = set()

        def trace(frame, event, argument):
            seen.add(frame.f_code.co_name)
        threading.settrace(trace)
        try:
            with workpool.Executor(1) as executor:
                executor.submit(raise_value_error).exception()
        finally:
            threading.settrace(None)
        self.assertIn("raise_value_error", seen)

    def test_default_size(self):
        """max_workers is by default what ThreadPoolExecutor has"""
        with workpool.Executor() as ours, futures.ThreadPoolExecutor() as standard:
            self.assertEqual(ours._max_workers, standard._max_workers)


if __name__ == "__main__":
    unittest.main()
