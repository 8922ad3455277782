# SPDX-License-Identifier: Apache-2.0
"""Native functions as tasks, and Pool: the calls that go past futures."""

import asyncio
import ctypes
import gc
import os
import threading
import unittest
import weakref

import workpool
from helper import BOUND_S, Gate, eventually
from workpool import _abi

native = ctypes.CDLL(os.environ["WORKPOOL_NATIVE_TASKS"])


class Indices:
    """Notes what a hook is called with."""

    def __init__(self):
        self.seen = []

    def add(self, index):
        self.seen.append(index)


class NativeTasks(unittest.TestCase):
    def test_runs(self):
        """a native function runs with its argument, and its value is the result"""
        counter = ctypes.c_int64()
        with workpool.Executor(2) as executor:
            for _ in range(1000):
                executor.submit_native(native.task_increment, ctypes.byref(counter))
            squares = [executor.submit_native(native.task_square, n) for n in range(1000)]
            self.assertEqual([square.result(BOUND_S) for square in squares],
                             [n * n for n in range(1000)])
        self.assertEqual(counter.value, 1000)

    def test_address(self):
        """a function is named by ctypes object, CFUNCTYPE object or address"""
        seen = []

        @_abi.RUN_FN
        def python_function(arg, ctx):
            seen.append(arg)
            return 0
        with workpool.Executor(1) as executor:
            address = ctypes.cast(native.task_square, ctypes.c_void_p).value
            self.assertEqual(executor.submit_native(address, 7).result(BOUND_S), 49)
            executor.submit_native(python_function, 5).result(BOUND_S)
            with self.assertRaises(ValueError):
                executor.submit_native(ctypes.c_void_p(None))
        self.assertEqual(seen, [5])

    def test_failure(self):
        """a negative code is a WorkpoolError with that code"""
        with workpool.Executor(1) as executor:
            error = executor.submit_native(native.task_fail, -1234).exception(BOUND_S)
            self.assertIsInstance(error, workpool.WorkpoolError)
            self.assertEqual(error.code, -1234)
            error = executor.submit_native(native.task_fail, 5).exception(BOUND_S)
            self.assertEqual(error.code, _abi.E_INVALID)

    def test_parallel_with_python(self):
        """native tasks run beside each other and beside Python: they do not have its lock"""
        gates = (ctypes.c_int64 * 2)()
        with workpool.Executor(2) as executor:
            tasks = [executor.submit_native(native.task_gate, ctypes.byref(gates, 8 * n))
                     for n in range(2)]
            self.assertTrue(eventually(lambda: gates[0] == 1 and gates[1] == 1))
            gates[0] = gates[1] = 1000
            self.assertEqual([task.result(BOUND_S) for task in tasks], [0, 0])

    def test_cancel(self):
        """cancel wins against the start, or asks the running function to stop"""
        gate, counter = ctypes.c_int64(), ctypes.c_int64()
        with workpool.Executor(1) as executor:
            running = executor.submit_native(native.task_gate, ctypes.byref(gate))
            waiting = executor.submit_native(native.task_increment, ctypes.byref(counter))
            self.assertTrue(eventually(lambda: gate.value == 1))
            self.assertTrue(waiting.cancel())
            self.assertTrue(waiting.cancelled())
            self.assertFalse(running.cancel())
            self.assertEqual(running.exception(BOUND_S).code, -1001)
            self.assertFalse(running.cancel())
        self.assertEqual(counter.value, 0)

    def test_shutdown_cancels(self):
        """shutdown with cancel_futures cancels native tasks that wait"""
        gate, counter = ctypes.c_int64(), ctypes.c_int64()
        executor = workpool.Executor(1)
        running = executor.submit_native(native.task_gate, ctypes.byref(gate))
        self.assertTrue(eventually(lambda: gate.value == 1))
        waiting = [executor.submit_native(native.task_increment, ctypes.byref(counter))
                   for _ in range(10)]
        executor.shutdown(wait=False, cancel_futures=True)
        gate.value = 1000
        executor.shutdown()
        self.assertEqual(running.result(BOUND_S), 0)
        self.assertEqual([task.cancelled() for task in waiting], [True] * 10)
        self.assertEqual(counter.value, 0)

    def test_executor_dropped(self):
        """native tasks keep their executor: all run although nobody else holds it"""
        counter = ctypes.c_int64()
        executor = workpool.Executor(2)
        tasks = [executor.submit_native(native.task_increment, ctypes.byref(counter))
                 for _ in range(100)]
        del executor
        gc.collect()
        for task in tasks:
            task.result(BOUND_S)
        self.assertEqual(counter.value, 100)

    def test_asyncio(self):
        """the future of a native task can be awaited"""
        async def main(executor):
            return await asyncio.gather(*(
                asyncio.wrap_future(executor.submit_native(native.task_square, n))
                for n in range(20)))
        with workpool.Executor(2) as executor:
            self.assertEqual(asyncio.run(main(executor)), [n * n for n in range(20)])

    def test_parallel_for(self):
        """parallel_for covers the range exactly once; a code other than 0 comes back"""
        with workpool.Executor(4) as executor:
            for length, grain in ((0, 0), (1, 0), (100_000, 0), (100_000, 7)):
                cells = (ctypes.c_int64 * max(1, length))()
                self.assertEqual(executor.parallel_for(native.range_increment, 0, length,
                                                       grain=grain, arg=cells), 0)
                self.assertEqual(sum(cells), length)
                self.assertTrue(all(cell == 1 for cell in cells[:length]))
            self.assertEqual(executor.parallel_for(native.range_fail, 0, 10, arg=42), 42)


class Pools(unittest.TestCase):
    def test_submit(self):
        """Pool.submit runs calls in order; wait_idle returns when none is left"""
        ran = []
        with workpool.Pool(workers_max=1) as pool:
            for number in range(100):
                pool.submit(ran.append, number)
            self.assertTrue(pool.wait_idle())
            self.assertEqual(ran, list(range(100)))

    def test_exception(self):
        """what a call raises goes to threading.excepthook and is a failed task"""
        seen = []
        original = threading.excepthook
        threading.excepthook = lambda args: seen.append((args.exc_type, args.thread.name))
        try:
            with workpool.Pool(workers_max=1, name="careful") as pool:
                pool.submit(int, "no number")
                self.assertTrue(pool.wait_idle())
                self.assertEqual(pool.stats().failed, 1)
        finally:
            threading.excepthook = original
        self.assertEqual(seen, [(ValueError, "careful_0")])

    def test_wait_idle_timeout(self):
        """wait_idle with a timeout says whether the pool was idle"""
        with workpool.Pool(workers_max=1) as pool, Gate() as gate:
            pool.submit(gate.wait)
            self.assertFalse(pool.wait_idle(0.01))
            gate.open()
            self.assertTrue(pool.wait_idle(1e30))

    def test_hooks(self):
        """a hook's start runs on every worker, its stop when it is removed or the worker ends"""
        started, stopped = [], []
        pool = workpool.Pool(workers_max=2, keep_alive=None)
        first = pool.add_hook(started.append, stopped.append)
        gate = Gate()
        self.addCleanup(gate.open)
        for _ in range(2):
            pool.submit(gate.wait)
        self.assertTrue(gate.await_arrivals(2))
        self.assertEqual(sorted(started), [0, 1])
        gate.open()
        pool.remove_hook(first)
        self.assertEqual(sorted(stopped), [0, 1])
        only_stop = []
        pool.add_hook(stop=only_stop.append)
        pool.submit(int)
        pool.destroy()
        self.assertEqual(sorted(stopped), [0, 1])
        self.assertGreaterEqual(len(only_stop), 1)
        with self.assertRaises(workpool.WorkpoolError):
            pool.remove_hook(first)

    def test_hooks_are_forgotten(self):
        """what a hook refers to is free when its pool has ended, however that came about"""
        for end in ("destroy", "release", "drop"):
            with self.subTest(end):
                indices = Indices()
                gone = weakref.ref(indices)
                pool = workpool.Pool(workers_max=2)
                pool.add_hook(start=indices.add, stop=indices.add)
                pool.submit(int)
                self.assertTrue(pool.wait_idle(20))
                if end != "drop":
                    getattr(pool, end)()
                del pool, indices
                self.assertTrue(eventually(lambda: gone() is None))

    def test_hook_that_holds_a_pool(self):
        """a hook that has the last reference to another pool with hooks ends that one, too"""
        inner = workpool.Pool(workers_max=1)
        inner.add_hook(start=Indices().add)
        holder = Indices()
        holder.pool = inner
        gone = weakref.ref(inner)
        pool = workpool.Pool(workers_max=1)
        pool.add_hook(start=holder.add)
        pool.add_hook(start=Indices().add)
        del inner, holder
        pool.destroy()
        self.assertTrue(eventually(lambda: gone() is None))

    def test_pause(self):
        """a paused pool takes no task until it is resumed"""
        ran = []
        with workpool.Pool(workers_max=1) as pool:
            pool.pause()
            pool.submit(ran.append, 1)
            self.assertFalse(pool.wait_idle(0.02))
            self.assertEqual(ran, [])
            pool.resume()
            self.assertTrue(pool.wait_idle())
            self.assertEqual(ran, [1])

    def test_close(self):
        """close cancels what waits or runs it; afterwards submit raises ClosedError"""
        for cancel, expected in ((True, []), (False, [1])):
            ran = []
            with workpool.Pool(workers_max=1) as pool, Gate() as gate:
                pool.submit(gate.wait)
                self.assertTrue(gate.await_arrivals(1))
                pool.submit(ran.append, 1)
                self.assertFalse(pool.close(cancel=cancel, timeout=0))
                with self.assertRaises(workpool.ClosedError):
                    pool.submit(int)
                gate.open()
                self.assertTrue(pool.close())
                self.assertEqual(ran, expected)

    def test_h12_cancelled_calls_let_go(self):
        """H12: what was cancelled by close or release holds nothing any more"""
        class Thing:
            def method(self):
                pass
        for end in (lambda pool: pool.close(cancel=True, timeout=0), workpool.Pool.release):
            with workpool.Pool(workers_max=1) as pool, Gate() as gate:
                pool.submit(gate.wait)
                self.assertTrue(gate.await_arrivals(1))
                thing = Thing()
                gone = weakref.ref(thing)
                pool.submit(thing.method)
                del thing
                self.assertIsNotNone(gone())
                end(pool)
                self.assertIsNone(gone())

    def test_destroy_in_task(self):
        """C1: destroy from a task of the pool raises DeadlockError, and the pool stays usable"""
        seen = []

        def destroy(pool):
            try:
                pool.destroy()
            except workpool.DeadlockError as error:
                seen.append(error.code)
        with workpool.Pool(workers_max=1) as pool:
            pool.submit(destroy, pool)
            pool.submit(seen.append, "alive")
        self.assertEqual(seen, [_abi.E_DEADLOCK, "alive"])

    def test_use_after_destroy(self):
        """calls on a destroyed pool raise, except those that end it"""
        pool = workpool.Pool()
        pool.destroy()
        pool.destroy()
        pool.release()
        self.assertEqual(pool.handle, 0)
        for call in (lambda: pool.submit(int), pool.stats, pool.wait_idle, pool.pause):
            with self.assertRaises(workpool.WorkpoolError):
                call()

    def test_error_text(self):
        """an error says what the library says: function, field, value, limit and remedy"""
        with self.assertRaises(workpool.InvalidError) as caught:
            workpool.Pool(workers_max=5000)
        for word in ("pool_create", "workers_max", "5000", "4096"):
            self.assertIn(word, str(caught.exception))


if __name__ == "__main__":
    unittest.main()
