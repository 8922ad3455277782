# SPDX-License-Identifier: Apache-2.0
"""Beginnings and ends: garbage collection, interpreter exit, fork, destroy under the lock.

Interpreter exits happen in programs of their own."""

import concurrent.futures
import ctypes
import gc
import os
import subprocess
import sys
import threading
import unittest
import weakref

import workpool
from helper import BOUND_S, Gate, eventually, run_program, thread_count
from workpool import _abi


class Collection(unittest.TestCase):
    def test_f9_temporaries(self):
        """F9: 10^5 submits of temporaries with the collector running in between all run"""
        total = 100_000
        ran = bytearray(total)

        class Cyclic:
            def __init__(self, number):
                self.number = number
                self.me = self

            def __call__(self):
                ran[self.number] += 1
        with workpool.Pool(workers_max=2, queue_limit=None) as pool:
            for number in range(total):
                pool.submit(Cyclic(number))
                if number % 2000 == 0:
                    gc.collect()
        self.assertEqual(ran, b"\1" * total)

    def test_f9_executor_temporaries(self):
        """F9: calls whose future is dropped at once run all the same"""
        total = 10_000
        ran = bytearray(total)
        with workpool.Executor(2) as executor:
            for number in range(total):
                executor.submit(lambda number=number: ran.__setitem__(number, ran[number] + 1))
                if number % 1000 == 0:
                    gc.collect()
        self.assertEqual(ran, b"\1" * total)

    def test_f9_native_arguments(self):
        """F9: a native task's argument lives until the task has ended"""
        with workpool.Executor(2) as executor:
            atoi = ctypes.CDLL(None).atoi
            tasks = [executor.submit_native(atoi, ctypes.create_string_buffer(b"-%d" % (2000 + n)))
                     for n in range(1000)]
            gc.collect()
            self.assertEqual([task.exception(BOUND_S).code for task in tasks],
                             [-2000 - n for n in range(1000)])

    def test_f14_last_reference_in_a_task(self):
        """F14: an executor whose last reference is dropped inside a task ends without a trace"""
        threads = thread_count()
        for _ in range(50):
            executor = workpool.Executor(2)
            gone = weakref.ref(executor)
            gate = Gate()
            tasks = [executor.submit(gate.wait) for _ in range(6)]
            del executor  # the tasks hold it now
            self.assertIsNotNone(gone())
            gate.open()
            for task in tasks:
                task.result(BOUND_S)
            self.assertTrue(eventually(lambda: gone() is None))
        self.assertTrue(eventually(lambda: thread_count() == threads))

    def test_f14_pool_dropped_in_its_task(self):
        """F14: a Pool dropped by its own task is released: what waits never runs, no thread stays"""
        threads = thread_count()
        ran = []
        holder = [workpool.Pool(workers_max=1)]
        gate = Gate()

        def drop():
            gate.wait()
            holder.clear()
            gc.collect()
        holder[0].submit(drop)
        self.assertTrue(gate.await_arrivals(1))
        holder[0].submit(ran.append, 1)
        gate.open()
        self.assertTrue(eventually(lambda: thread_count() == threads))
        self.assertEqual((holder, ran), ([], []))

    def test_idle_executor_dropped(self):
        """an idle executor that is dropped leaves no thread"""
        threads = thread_count()
        executor = workpool.Executor(3, keep_alive=None)
        list(executor.map(int, range(10)))
        del executor
        gc.collect()
        self.assertTrue(eventually(lambda: thread_count() == threads))

    def test_cycle(self):
        """an executor in a reference cycle is collected like anything else"""
        threads = thread_count()
        executor = workpool.Executor(1, keep_alive=None)
        executor.me = executor
        executor.submit(int).result()
        gone = weakref.ref(executor)
        del executor
        self.assertTrue(eventually(lambda: gc.collect() is not None and gone() is None))
        self.assertTrue(eventually(lambda: thread_count() == threads))


class Lock(unittest.TestCase):
    def test_f7_destroy_gives_up_the_lock(self):
        """F7: destroy and shutdown wait without the interpreter lock, which the tasks need"""
        counted = []
        pool = workpool.Pool(workers_max=2)
        for number in range(2000):
            pool.submit(counted.append, number)
        pool.destroy()
        self.assertEqual(len(counted), 2000)
        pool.destroy()

    def test_f7_pydll_hangs(self):
        """F7: the same through PyDLL, which keeps the lock, hangs: why the binding uses CDLL"""
        program = """if True:
            import ctypes, os, sys
            import workpool
            from workpool import _abi
            pool = workpool.Pool(workers_max=1)
            pool.submit(int)
            assert pool.wait_idle()
            locked = ctypes.PyDLL(_abi.lib._name)
            locked.pool_destroy.argtypes = [ctypes.c_uint64]
            for _ in range(100):
                pool.submit(int)
            print("destroying", flush=True)
            locked.pool_destroy(pool.handle)
            print("destroyed", flush=True)
            """
        child = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE)
        try:
            self.assertEqual(child.stdout.readline(), b"destroying\n")
            with self.assertRaises(subprocess.TimeoutExpired):
                child.wait(1.0)
        finally:
            child.kill()
            self.assertNotIn(b"destroyed", child.communicate()[0])


# Programs that end with work in the queue; each is started with an empty tail of its own.
EXITS = {
    # The executor finishes what was submitted, as the standard one does.
    "finish": ("""if True:
        import workpool
        done = []
        executor = workpool.Executor(3)
        class Report:
            def __del__(self, done=done):
                print(len(done))
        report = Report()
        for number in range(300):
            executor.submit(done.append, number)
        """, "300"),
    # Nobody holds the executor any more.
    "dropped": ("""if True:
        import time, workpool
        done = []
        class Report:
            def __del__(self, done=done):
                print(len(done))
        report = Report()
        def task(number):
            time.sleep(0.0002)
            done.append(number)
        for number in range(100):
            workpool.Executor(1).submit(task, number)
        """, "100"),
    # A pool's queue is cancelled, and callbacks that do not end lose their thread to the
    # interpreter, which ends it by pthread_exit in the middle of a task.
    "cancelled": ("""if True:
        import threading, time, workpool
        from workpool import _core
        _core.EXIT_WAIT_S = 0.01
        pool = workpool.Pool(workers_max=3)
        started = threading.Semaphore(0)
        def endless():
            started.release()
            while True:
                time.sleep(0.0005)
        for number in range(300):
            pool.submit(endless)
        for _ in range(3):
            started.acquire()
        print("end")
        """, "end"),
    # The exit handler was never called.
    "unregistered": ("""if True:
        import atexit, threading, time, workpool
        from workpool import _core
        getattr(threading, "_threading_atexits", []).clear()
        atexit.unregister(_core._at_exit)  # where it is in Python 3.8
        _core.EXIT_WAIT_S = 0.01
        executor = workpool.Executor(3)
        started = threading.Semaphore(0)
        def endless():
            started.release()
            while True:
                time.sleep(0.0005)
        for number in range(300):
            executor.submit(endless)
        for _ in range(3):
            started.acquire()
        print("end")
        """, "end"),
}


class Exit(unittest.TestCase):
    def test_f3_f6_exits_with_queued_callbacks(self):
        """F3, F6: 100 interpreter exits with queued and running callbacks end with code 0"""
        def one(name):
            ended = run_program(EXITS[name][0])
            return name, ended.returncode, ended.stdout.strip(), ended.stderr
        with concurrent.futures.ThreadPoolExecutor(2) as runner:
            for name, code, out, err in runner.map(one, list(EXITS) * 25):
                self.assertEqual((name, code, out, err), (name, 0, EXITS[name][1], ""))

    def test_d14_destroy_in_del_at_exit(self):
        """D14: destroy, release and shutdown from __del__ at the very end return at once"""
        ended = run_program("""if True:
            import builtins, sys
            import workpool
            class Owner:
                def __init__(self):
                    self.pool = workpool.Pool(workers_max=2)
                    self.executor = workpool.Executor(2)
                    self.pool.submit(int)
                    self.executor.submit(int)
                def __del__(self, write=sys.__stdout__.write):
                    self.pool.destroy()
                    self.pool.release()
                    self.executor.shutdown()
                    try:
                        self.executor.submit(int)
                    except RuntimeError as error:
                        write(str(error) + "\\n")
            builtins.owner = Owner()         # goes after all modules
            sys.modules["owner"] = Owner()   # goes among them
            owner_of_main = Owner()
            """)
        self.assertEqual((ended.returncode, ended.stderr), (0, ""))
        self.assertEqual(ended.stdout.splitlines(),
                         ["cannot schedule new futures after shutdown"] * 3)

    def test_exit_in_task(self):
        """os._exit in a task ends the process with its code, whatever else runs"""
        ended = run_program("""if True:
            import os, time, workpool
            executor = workpool.Executor(3)
            executor.submit(time.sleep, 30)
            executor.submit(os._exit, 7)
            """)
        self.assertEqual((ended.returncode, ended.stderr), (7, ""))

    def test_interrupted_exit(self):
        """Ctrl-C at the end of the interpreter cancels what waits and ends the process, whether
        calls have rules or not"""
        program = """if True:
            import os, signal, threading, time, workpool
            from workpool import Rules, _core
            _core.EXIT_WAIT_S = 0.01
            executor = workpool.Executor(1)
            started = threading.Event()
            def endless():
                started.set()
                while not _core.exiting:
                    time.sleep(0.001)
                time.sleep(0.05)
                os.kill(os.getpid(), signal.SIGINT)
                while True:
                    time.sleep(0.001)
            for _ in range(10):
                executor.CALL
            started.wait()
            """
        for call in ["submit(endless)"] + ["submit_task(Rules(), endless)"] * 5:
            ended = run_program(program.replace("CALL", call))
            self.assertIn("KeyboardInterrupt", ended.stderr)
            self.assertEqual((call, ended.returncode), (call, 0))


class Fork(unittest.TestCase):
    def in_child(self, body):
        """Runs body in a forked child; its return value, true or false, is the verdict."""
        child = os.fork()
        if child == 0:
            verdict = 1
            try:
                verdict = 0 if body() else 2
            finally:
                os._exit(verdict)
        self.assertEqual(os.waitpid(child, 0)[1], 0)

    def test_inherited_executor(self):
        """in a forked child submit raises ForkedError; shutdown and drop return at once"""
        with workpool.Executor(2) as executor:
            list(executor.map(int, range(10)))
            gate = Gate()
            executor.submit(gate.wait)
            self.assertTrue(gate.await_arrivals(1))

            def body():
                try:
                    executor.submit(int)
                except workpool.ForkedError as error:
                    refused = error.code == _abi.E_FORKED and isinstance(error, RuntimeError)
                executor.shutdown()
                executor.shutdown(wait=False, cancel_futures=True)
                return refused and not executor._threads
            try:
                self.in_child(body)
                self.assertEqual(executor.submit(int, "5").result(BOUND_S), 5)
            finally:
                gate.open()

    def test_inherited_pool(self):
        """in a forked child every call on an inherited Pool raises ForkedError, destroy returns"""
        with workpool.Pool(workers_max=1) as pool:
            pool.submit(int)
            self.assertTrue(pool.wait_idle())

            def body():
                refused = 0
                for call in (lambda: pool.submit(int), pool.wait_idle, pool.stats, pool.pause,
                             lambda: pool.tune(1), pool.close):
                    try:
                        call()
                    except workpool.ForkedError:
                        refused += 1
                pool.destroy()
                return refused == 6
            self.in_child(body)

    def test_new_executor_in_child(self):
        """an executor made in the child works, and the child ends as any interpreter"""
        with workpool.Executor(2) as executor:
            executor.submit(int).result()
            child = os.fork()
            if child == 0:
                try:
                    with workpool.Executor(2) as own:
                        good = list(own.map(int, "12345", chunksize=2)) == [1, 2, 3, 4, 5]
                    threading._shutdown()  # what a forked multiprocessing child calls at its end
                    os._exit(0 if good else 2)
                finally:
                    os._exit(1)
            self.assertEqual(os.waitpid(child, 0)[1], 0)

    def test_fork_in_task(self):
        """a task may fork; parent and pool go on"""
        def fork():
            child = os.fork()
            if child == 0:
                os._exit(9)
            return os.WEXITSTATUS(os.waitpid(child, 0)[1])
        with workpool.Executor(2) as executor:
            self.assertEqual([executor.submit(fork).result(BOUND_S) for _ in range(5)], [9] * 5)


if __name__ == "__main__":
    unittest.main()
