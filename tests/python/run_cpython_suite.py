# SPDX-License-Identifier: Apache-2.0
"""CPython's own test_concurrent_futures, with workpool.Executor where ThreadPoolExecutor was.

All classes for thread pools run, and those for futures. EXCLUDED names each case that does not,
with its reason; a name there that the suite does not have is an error, and so is a run in which
hardly any executor was made. Needs the interpreter's test package (Debian: libpython3.11-testsuite).
"""

import concurrent.futures
import sys
import unittest
from pathlib import Path
from typing import Any, Dict, List

import test.test_concurrent_futures as suite

import workpool

EXCLUDED: Dict[str, str] = {
    "ThreadPoolExecutorTest.test_idle_thread_reuse":
        "counts the private _threads right after a result. A worker hands its result over before "
        "it gives up the interpreter lock and is idle to the pool; a submit in between may start "
        "a second worker. test_executor.py has the behaviour: calls that come one at a time do "
        "not fill the pool with threads.",
}

PACKAGE = str(Path(workpool.__file__).resolve().parent.parent)

# The name is the cases': they expect it in thread names and write it into programs.
made = 0


class ThreadPoolExecutor(workpool.Executor):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        global made
        made += 1
        super().__init__(*args, **kwargs)


# What programs that the cases start must do first. They run isolated, without PYTHONPATH.
PRELUDE = f"""
import sys
sys.path.insert(0, {PACKAGE!r})
import concurrent.futures, workpool
class ThreadPoolExecutor(workpool.Executor): pass
concurrent.futures.ThreadPoolExecutor = ThreadPoolExecutor
"""

original_assert_python_ok = suite.assert_python_ok


def assert_python_ok(flag: str, program: str) -> Any:
    assert flag == "-c"
    return original_assert_python_ok(flag, PRELUDE + program)


def cases() -> List[unittest.TestCase]:
    classes = [value for name, value in sorted(vars(suite).items())
               if isinstance(value, type) and issubclass(value, unittest.TestCase)
               and (name.startswith("ThreadPool") or name == "FutureTests")]
    found: List[unittest.TestCase] = []
    for one in classes:
        found += [one(name) for name in unittest.defaultTestLoader.getTestCaseNames(one)]
    return found


def main() -> int:
    suite.ThreadPoolMixin.executor_type = ThreadPoolExecutor
    suite.assert_python_ok = assert_python_ok
    concurrent.futures.ThreadPoolExecutor = ThreadPoolExecutor  # type: ignore[misc]

    wanted = sys.argv[1:]
    names = {f"{type(case).__name__}.{case._testMethodName}": case for case in cases()}
    unknown = sorted(set(EXCLUDED) - set(names))
    if unknown:
        print("EXCLUDED names no case of the suite:", ", ".join(unknown))
        return 1
    for name, reason in sorted(EXCLUDED.items()):
        print(f"not run: {name}: {reason}")
    chosen = [case for name, case in names.items()
              if name not in EXCLUDED and (not wanted or any(word in name for word in wanted))]
    result = unittest.TextTestRunner(verbosity=2).run(unittest.TestSuite(chosen))
    print(f"{result.testsRun} of {len(names)} cases, {made} executors made in this process")
    if not wanted and (made < 30 or result.testsRun < 60):
        print("too few cases, or they did not use workpool.Executor")
        return 1
    return 0 if result.wasSuccessful() else 1


if __name__ == "__main__":
    sys.exit(main())
