# SPDX-License-Identifier: Apache-2.0
"""CompletionQueue: results for one reader, in a loop, under selectors and under asyncio."""

import asyncio
import ctypes
import gc
import os
import selectors
import threading
import time
import unittest
import weakref

import workpool
from helper import BOUND_S, Gate, eventually, names, outcome, settled
from workpool import CompletionQueue, Outcome, Rules, _abi, _native, _tasks

native = ctypes.CDLL(os.environ["WORKPOOL_NATIVE_TASKS"])
LATE = 3600.0


def readable(queue):
    with selectors.DefaultSelector() as selector:
        selector.register(queue, selectors.EVENT_READ)
        return bool(selector.select(0))


class Reading(unittest.TestCase):
    def test_iterate(self):
        """a loop gets the future of every task once, whatever became of it"""
        with settled(workpool.Pool(workers_max=2)) as pool, CompletionQueue(1000) as queue:
            rules = Rules(completions=queue)
            given = [pool.submit_task(rules, divmod, 100, number) for number in range(100)]
            given += [pool.submit_native(native.task_square, number, rules)
                      for number in range(100)]
            given.append(pool.submit_task(Rules(completions=queue, delay=LATE), int))
            given[-1].cancel()
            self.assertGreater(len(queue), 0)
            seen = list(queue)
            self.assertEqual((len(seen), set(seen), len(queue)), (201, set(given), 0))
            self.assertTrue(all(future.done() and future.ended for future in seen))
            self.assertIsInstance(given[0].exception(), ZeroDivisionError)
            self.assertEqual([future.result() for future in given[1:200]],
                             [divmod(100, number) for number in range(1, 100)]
                             + [number**2 for number in range(100)])
            self.assertEqual(given[-1].ended.outcome, Outcome.CANCELLED)
            self.assertEqual(list(queue), [])

    def test_in_order_of_end(self):
        """the future of the task that ended first comes first"""
        with settled(workpool.Pool(workers_max=2)) as pool, CompletionQueue() as queue, \
                Gate() as gate:
            rules = Rules(completions=queue)
            slow = pool.submit_task(rules, gate.wait)
            fast = pool.submit_task(rules, int)
            seen = iter(queue)
            self.assertIs(next(seen), fast)
            self.assertFalse(slow.done())
            gate.open()
            self.assertEqual(list(seen), [slow])

    def test_poll(self):
        """poll takes what is there, up to a number, and waits for the first at most so long"""
        with settled(workpool.Pool(workers_max=1)) as pool, CompletionQueue() as queue, \
                Gate() as gate:
            rules = Rules(completions=queue)
            given = [pool.submit_task(rules, gate.wait) for _ in range(5)]
            self.assertEqual(queue.poll(timeout=0), [])
            begin = time.monotonic()
            self.assertEqual(queue.poll(timeout=0.15), [])
            self.assertGreaterEqual(time.monotonic() - begin, 0.15)
            gate.open()
            self.assertEqual(names(given), "done done done done done")
            self.assertTrue(pool.wait_idle(BOUND_S))
            self.assertEqual(queue.poll(2), given[:2])
            self.assertEqual(queue.poll(timeout=LATE), given[2:])
            for most in (0, 2**32):
                with self.assertRaises(ValueError):
                    queue.poll(most)

    def test_full(self):
        """a submit for which the queue has no place is refused; a place is free when it is read"""
        with settled(workpool.Pool(workers_max=1)) as pool, CompletionQueue(2) as queue:
            rules = Rules(completions=queue)
            given = [pool.submit_task(rules, int) for _ in range(2)]
            with self.assertRaises(workpool.FullError):
                pool.submit_task(rules, int)
            self.assertEqual(len(queue.poll(1)), 1)
            given.append(pool.submit_task(rules, int))
            self.assertEqual(len(list(queue)), 2)

    def test_several_pools(self):
        """one queue serves tasks of several pools, and outlives them"""
        with CompletionQueue() as queue:
            rules = Rules(completions=queue)
            with settled(workpool.Pool(workers_max=1)) as pool:
                with settled(workpool.Executor(1)) as executor:
                    given = {pool.submit_task(rules, int), executor.submit_task(rules, int)}
            self.assertEqual(set(queue), given)

    def test_quick_reader(self):
        """a reader that is quicker than the submit it hears of waits for that"""
        count = 3000
        seen = []

        def read():
            while len(seen) < count:
                seen.extend(queue.poll(7, timeout=BOUND_S))
        with settled(workpool.Pool(workers_max=2)) as pool, CompletionQueue(count) as queue:
            rules = Rules(completions=queue, on_full="caller_runs")
            reader = threading.Thread(target=read)
            reader.start()
            given = []

            def submit(first):
                for number in range(first, count, 2):
                    if number % 3 == 0:
                        given.append(pool.submit_native(native.task_square, number, rules))
                    else:
                        given.append(pool.submit_task(rules, int))
            submitter = threading.Thread(target=submit, args=(1,))
            submitter.start()
            submit(0)
            submitter.join(BOUND_S)
            reader.join(BOUND_S)
            self.assertEqual((len(seen), set(seen)), (count, set(given)))


class Loops(unittest.TestCase):
    def test_selectors(self):
        """the queue's descriptor is readable while completions wait"""
        with settled(workpool.Pool(workers_max=1)) as pool, CompletionQueue() as queue:
            self.assertFalse(readable(queue))
            given = [pool.submit_task(Rules(completions=queue), int) for _ in range(3)]
            with selectors.DefaultSelector() as selector:
                selector.register(queue, selectors.EVENT_READ)
                seen = []
                while len(seen) < 3:
                    self.assertTrue(selector.select(BOUND_S))
                    seen += queue.poll(timeout=0)
            self.assertEqual(set(seen), set(given))
            self.assertFalse(readable(queue))
            self.assertEqual(queue.fileno(), queue.fileno())

    def test_asyncio(self):
        """an event loop reads it by add_reader: no thread, no callback from one"""
        async def main():
            loop = asyncio.get_running_loop()
            over = loop.create_future()
            squares = {}
            threads = set()

            def read():
                threads.add(threading.get_ident())
                for future in queue.poll(timeout=0):
                    squares[numbers[future]] = future.result()
                if len(squares) == len(numbers):
                    over.set_result(None)

            loop.add_reader(queue, read)
            try:
                rules = Rules(completions=queue)
                numbers = {pool.submit_task(rules, pow, number, 2): number for number in range(200)}
                await asyncio.wait_for(over, BOUND_S)
            finally:
                loop.remove_reader(queue)
            self.assertEqual(threads, {threading.get_ident()})
            return squares

        with settled(workpool.Pool(workers_max=2)) as pool, CompletionQueue() as queue:
            self.assertEqual(asyncio.run(main()), {number: number**2 for number in range(200)})


class Ends(unittest.TestCase):
    def test_detach(self):
        """after detach the futures raise ClosedError, nothing comes, and the tasks go on"""
        ran = []
        with settled(workpool.Pool(workers_max=1)) as pool, Gate() as gate:
            queue = CompletionQueue()
            rules = Rules(completions=queue)

            def wait():
                gate.wait()
                ran.append(1)
            given = [pool.submit_task(rules, wait), pool.submit_task(rules, ran.append, 2),
                     pool.submit_native(native.task_square, 3, rules)]
            told = []
            for future in given:
                future.add_done_callback(told.append)
            self.assertTrue(gate.await_arrivals(1))
            queue.detach()
            queue.detach()
            for future in given:
                self.assertIsInstance(future.exception(0), workpool.ClosedError)
            self.assertEqual(len(told), 3)
            for call in (lambda: pool.submit_task(rules, int), lambda: queue.poll(timeout=0),
                         lambda: pool.submit_native(native.task_square, 3, rules), queue.fileno):
                with self.assertRaises(workpool.ClosedError):
                    call()
            self.assertEqual((list(queue), len(queue)), ([], 0))
            queue.close()
            queue.close()
            gate.open()
            self.assertTrue(pool.wait_idle(BOUND_S))
            self.assertEqual((ran, len(told), pool.stats().done), ([1, 2], 3, 3))
            # The next submit of a native task finds that the one before needs nothing any more.
            pool.submit_native(native.task_square, 3).result(BOUND_S)
            self.assertEqual(_native._given_up, {})

    def test_detach_lets_go(self):
        """H12: what the tasks of a detached queue needed is free when they have ended"""
        class Thing:
            def method(self):
                return self
        with settled(workpool.Pool(workers_max=1)) as pool, Gate() as gate:
            with CompletionQueue() as queue:
                rules = Rules(completions=queue)
                thing = Thing()
                gone = weakref.ref(thing)
                held = pool.submit_task(rules, gate.wait)
                waiting = pool.submit_task(rules, thing.method)
                done = pool.submit_task(Rules(completions=queue, delay=LATE), thing.method)
                self.assertTrue(done.cancel())
                del thing
                self.assertTrue(gate.await_arrivals(1))
            self.assertIsNotNone(gone())
            gate.open()
            self.assertTrue(eventually(lambda: gone() is None))
            self.assertIsInstance(held.exception(0), workpool.ClosedError)
            self.assertIsInstance(waiting.exception(0), workpool.ClosedError)
            self.assertTrue(done.cancelled())
            self.assertTrue(pool.wait_idle(BOUND_S))
            self.assertEqual([task for task in _tasks._tasks.values() if task._rules is rules], [])

    def test_detach_in_callback(self):
        """a done callback may detach the queue of its own task"""
        with settled(workpool.Pool(workers_max=1)) as pool, CompletionQueue() as queue:
            future = pool.submit_task(Rules(completions=queue, delay=0.01), int)
            future.add_done_callback(lambda _: queue.detach())
            self.assertEqual(future.result(BOUND_S), 0)
            self.assertTrue(pool.wait_idle(BOUND_S))

    def test_reader_of_a_detached_queue(self):
        """a reader that waits is told when the queue is detached"""
        with settled(workpool.Pool(workers_max=1)) as pool, Gate() as gate:
            queue = CompletionQueue()
            pool.submit_task(Rules(completions=queue), gate.wait)
            seen = []
            reader = threading.Thread(target=lambda: seen.append(list(queue)))
            reader.start()
            self.assertTrue(gate.await_arrivals(1))
            queue.detach()
            reader.join(BOUND_S)
            self.assertEqual(seen, [[]])
            queue.close()

    def test_dropped(self):
        """a queue that nobody holds any more is given back when its tasks are over"""
        with settled(workpool.Pool(workers_max=1)) as pool, Gate() as gate:
            queue = CompletionQueue()
            gone = weakref.ref(queue)
            future = pool.submit_task(Rules(completions=queue), gate.wait)
            queue.fileno()
            del queue
            gc.collect()
            self.assertIsNotNone(gone())
            gate.open()
            self.assertEqual(outcome(future), Outcome.DONE)
            del future
            self.assertTrue(eventually(lambda: gc.collect() is not None and gone() is None))

    def test_released(self):
        """a queue that was closed says so to who reads it, submits to it or wants its descriptor"""
        queue = CompletionQueue()
        before = Rules(completions=queue)
        queue.close()
        ran = []
        with settled(workpool.Pool(workers_max=1)) as pool:
            for call in (lambda: pool.submit_task(before, ran.append, 1),
                         lambda: pool.submit_task(Rules(completions=queue), ran.append, 2),
                         lambda: pool.submit_native(native.task_square, 3, before), queue.poll,
                         lambda: queue.poll(timeout=0), queue.fileno):
                with self.assertRaises(workpool.ClosedError) as caught:
                    call()
                self.assertEqual(caught.exception.code, _abi.E_CLOSED)
            queue.detach()
            self.assertEqual((list(queue), len(queue)), ([], 0))
        self.assertEqual(ran, [])

    def test_closed_under_a_reader(self):
        """a reader that waits while the queue is closed gets ClosedError, whatever it was doing"""
        caught = []

        def read(queue):
            try:
                queue.poll(timeout=BOUND_S)
            except workpool.WorkpoolError as error:
                caught.append(type(error))
        for _ in range(50):
            queue = CompletionQueue()
            reader = threading.Thread(target=read, args=(queue,))
            reader.start()
            queue.close()
            reader.join(BOUND_S)
        self.assertEqual(caught, [workpool.ClosedError] * 50)

    def test_capacity(self):
        """a capacity out of range is refused"""
        for capacity in (0, -1, 2**24 + 1, 2**32 + 1):
            with self.assertRaises(ValueError):
                CompletionQueue(capacity)


if __name__ == "__main__":
    unittest.main()
