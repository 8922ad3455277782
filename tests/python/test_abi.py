# SPDX-License-Identifier: Apache-2.0
"""Declarations against workpool.h, types against mypy, the README against what its code prints."""

import ctypes
import os
import re
import subprocess
import tempfile
import unittest
from pathlib import Path

import workpool
from helper import run_program
from workpool import _abi

PACKAGE = Path(workpool.__file__).resolve().parent
HEADER = Path(os.environ["WORKPOOL_HEADER"]).read_text(encoding="utf-8")
CODE = re.sub(r"/\*.*?\*/", "", HEADER, flags=re.S)

SCALARS = {
    "void": None, "int32_t": ctypes.c_int32, "uint32_t": ctypes.c_uint32,
    "int64_t": ctypes.c_int64, "uint64_t": ctypes.c_uint64, "size_t": ctypes.c_size_t,
    "pool_status_t": ctypes.c_int32, "pool_t": ctypes.c_uint64, "pool_ticket_t": ctypes.c_uint64,
    "pool_group_t": ctypes.c_uint64, "pool_token_t": ctypes.c_uint64,
    "pool_cq_t": ctypes.c_uint64, "pool_budget_t": ctypes.c_uint64, "double": ctypes.c_double,
    "char*": ctypes.c_char_p, "void*": ctypes.c_void_p,
    "void**": ctypes.POINTER(ctypes.c_void_p), "pool_ctx_t*": ctypes.c_void_p,
}
STRUCTS = {
    "pool_result_t": _abi.Result, "pool_options_t": _abi.Options, "pool_task_t": _abi.Task,
    "pool_group_options_t": _abi.GroupOptions, "pool_fork_t": _abi.Fork, "pool_stats_t": _abi.Stats,
    "pool_running_t": _abi.Running, "pool_class_options_t": _abi.ClassOptions,
    "pool_completion_t": _abi.Completion, "pool_option_t": _abi.Option,
    "pool_attempt_t": _abi.Attempt, "pool_dead_letter_t": _abi.DeadLetter,
    "pool_load_t": _abi.Load, "pool_policy_t": _abi.Policy, "pool_decision_t": _abi.Decision,
}
CALLBACKS = {
    "pool_run_fn": _abi.RUN_FN, "pool_done_fn": _abi.DONE_FN, "pool_range_fn": _abi.RANGE_FN,
    "pool_hook_fn": _abi.HOOK_FN, "pool_drop_fn": _abi.DROP_FN,
    "pool_watermark_fn": _abi.WATERMARK_FN, "pool_stuck_fn": _abi.STUCK_FN,
    "pool_log_fn": _abi.LOG_FN, "pool_dead_letter_fn": _abi.DEAD_LETTER_FN,
    "pool_signal_fn": _abi.SIGNAL_FN, "pool_decide_fn": _abi.DECIDE_FN,
    "pool_cooldown_fn": _abi.COOLDOWN_FN,
}


def ctype(words):
    """The ctypes type for a C type without its name."""
    kind = re.sub(r"\bconst\b|\s", "", words)
    if kind.endswith("_fn"):
        return ctypes.c_void_p  # passed as an address
    if kind in SCALARS:
        return SCALARS[kind]
    if kind in STRUCTS:
        return STRUCTS[kind]
    base = kind.rstrip("*")
    assert kind == base + "*", words
    return ctypes.POINTER(STRUCTS.get(base) or SCALARS[base])


def parameters(text):
    """The types of a parameter list."""
    if text.strip() == "void":
        return []
    return [ctype(re.match(r"(.*?)\w+$", one.strip(), re.S).group(1)) for one in text.split(",")]


class Header(unittest.TestCase):
    def test_functions(self):
        """every function of workpool.h is declared, with its types"""
        declared = re.findall(r"POOL_API\s+([^;()]*?)(\w+)\(([^()]*)\)\s*;", CODE)
        self.assertGreater(len(declared), 35)
        self.assertEqual({name for _, name, _ in declared}, set(_abi._SIGNATURES))
        for result, name, arguments in declared:
            function = getattr(_abi.lib, name)
            self.assertEqual((name, function.restype, function.argtypes),
                             (name, ctype(result), parameters(arguments)))

    def test_structs(self):
        """every struct of workpool.h is declared, field by field"""
        found = re.findall(r"typedef struct (\w+) \{(.*?)\} (\w+);", CODE, re.S)
        self.assertEqual({name for _, _, name in found}, set(STRUCTS))
        for _, body, name in found:
            fields = []
            for kind, field, count in re.findall(r"([^;]*?)(\w+)(?:\[(\d+)\])?;", body):
                base = kind.strip()
                if base == "char":
                    fields.append((field, ctypes.c_char * int(count)))
                else:
                    fields.append((field, ctype(base) * int(count) if count else ctype(base)))
            self.assertEqual((name, fields), (name, list(STRUCTS[name]._fields_)))

    def test_callbacks(self):
        """the callback types have the parameters of workpool.h"""
        for result, name, arguments in re.findall(
                r"typedef (\w+) \(\*(\w+_fn)\)\(([^()]*)\);", CODE):
            if name in CALLBACKS:
                declared = CALLBACKS[name]
                self.assertEqual((name, declared._restype_, list(declared._argtypes_)),
                                 (name, ctype(result), parameters(arguments)))

    def test_constants(self):
        """constants have the values of workpool.h"""
        values = {name: value.strip("()u ") for name, value in
                  re.findall(r"#define POOL_(\w+)[ \t]+(\(?-?\d+u?\)?)\s", CODE)}
        compared = 0
        for name, value in vars(_abi).items():
            if name in values:
                self.assertEqual((name, value), (name, int(values[name])))
                compared += 1
        self.assertGreater(compared, 30)
        self.assertEqual(set(name for name in values if name.startswith("E_")),
                         set(name for name in vars(_abi) if name.startswith("E_")) - {"E_RAISED"})

    def test_version(self):
        """the soname and the version checked at load are the header's"""
        major, minor, patch = (int(re.search(rf"POOL_VERSION_{part} (\d+)", CODE).group(1))
                               for part in ("MAJOR", "MINOR", "PATCH"))
        self.assertEqual(_abi.ABI_VERSION, major * 1000 + minor)
        self.assertEqual(_abi.SONAME, f"libworkpool.so.{major}.{minor}")
        self.assertEqual(workpool.version(), f"{major}.{minor}.{patch}")

    def test_stats_fields(self):
        """Stats has all counters of pool_stats_t, in its order"""
        self.assertEqual(list(workpool.Stats._fields),
                         [name for name, _ in _abi.Stats._fields_ if name != "struct_size"])

    def test_scaling_fields(self):
        """Load and Decision have as many fields as the structs that they are read from"""
        for ours, native in ((workpool.Load, _abi.Load), (workpool.Decision, _abi.Decision)):
            self.assertEqual(len(ours._fields), len(native._fields_) - 1)


class Library(unittest.TestCase):
    def test_beside_the_package(self):
        """without WORKPOOL_LIBRARY a library beside the package is taken"""
        with tempfile.TemporaryDirectory() as folder:
            target = Path(folder) / "workpool"
            target.mkdir()
            for file in PACKAGE.iterdir():
                if file.is_file() and not file.name.startswith("libworkpool"):
                    (target / file.name).symlink_to(file)
                    if file.suffix == ".py":
                        (target / file.name).unlink()
                        (target / file.name).write_bytes(file.read_bytes())
            (target / _abi.SONAME).symlink_to(Path(_abi.lib._name).resolve())
            ended = run_program("import workpool; print(workpool._abi.lib._name)",
                                env={"PYTHONPATH": folder, "WORKPOOL_LIBRARY": ""})
            self.assertEqual(ended.stderr, "")
            self.assertEqual(ended.stdout.strip(), str(target.resolve() / _abi.SONAME))

    def test_missing(self):
        """a library that is missing or another one is an ImportError that says what to do"""
        for place in ("/nowhere/libworkpool.so", "libc.so.6"):
            ended = run_program("import workpool", env={"WORKPOOL_LIBRARY": place})
            self.assertEqual(ended.returncode, 1)
            self.assertIn("ImportError: workpool: libworkpool is not usable; set WORKPOOL_LIBRARY",
                          ended.stderr)
            self.assertIn(place, ended.stderr)

    def test_never_pydll(self):
        """F7: nothing of the library is called with the interpreter lock held"""
        self.assertIs(type(_abi.lib), ctypes.CDLL)


class Types(unittest.TestCase):
    def mypy(self, *arguments):
        with tempfile.TemporaryDirectory() as cache:
            return subprocess.run(["/usr/bin/mypy", "--strict", "--cache-dir", cache, *arguments],
                                  stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                  universal_newlines=True, cwd=PACKAGE.parent)

    def test_package(self):
        """the package passes mypy --strict for an old Python"""
        # Not 3.8: for that mypy has submit(self, fn, ...), which Python 3.8 itself has not.
        ended = self.mypy("--python-version", "3.9", "workpool")
        self.assertEqual(ended.returncode, 0, ended.stdout)

    def test_user(self):
        """a user's types go through submit and map, a wrong one is found, and the package has no
        error for the Python that runs this"""
        with tempfile.NamedTemporaryFile("w", suffix=".py") as file:
            file.write("import workpool\n"
                       "with workpool.Executor() as executor:\n"
                       "    future = executor.submit(len, [7])\n"
                       "    reveal_type(future.result())\n"
                       "    reveal_type(list(executor.map(str, [1], chunksize=2)))\n"
                       "    reveal_type(executor.stats().queued)\n"
                       "    executor.submit(len, 5)\n"
                       "    rules = workpool.Rules(priority=1, retry=workpool.Retry(3))\n"
                       "    reveal_type(executor.submit_task(rules, len, [7]).result())\n"
                       "    executor.submit_task(rules, len, 5)\n"
                       "    workpool.Rules(priority='high')\n"
                       "    with workpool.Group(executor) as group:\n"
                       "        reveal_type(group.submit(len, [7]).result())\n"
                       "        group.submit(len, 5)\n"
                       "    done, rest = workpool.wait_any({future})\n"
                       "    reveal_type(done.pop().result())\n")
            file.flush()
            ended = self.mypy(file.name)
        for line, text in ((4, 'Revealed type is "builtins.int"'),
                           (5, 'Revealed type is "builtins.list[builtins.str]"'),
                           (6, 'Revealed type is "builtins.int"'),
                           (7, 'error: Argument 2 to "submit"'),
                           (9, 'Revealed type is "builtins.int"'),
                           (10, 'error: Argument 3 to "submit_task"'),
                           (11, 'error: Argument "priority" to "Rules"'),
                           (13, 'Revealed type is "builtins.int"'),
                           (14, 'error: Argument 2 to "submit"'),
                           (16, 'Revealed type is "builtins.int"')):
            self.assertRegex(ended.stdout, rf":{line}: .*{re.escape(text)}")
        self.assertIn("Found 4 errors", ended.stdout)


class Readme(unittest.TestCase):
    def test_examples_run(self):
        """every Python example of the README runs and prints what its comments say"""
        text = (PACKAGE.parent / "README.md").read_text(encoding="utf-8")
        examples = re.findall(r"```python\n(.*?)```", text, re.S)
        self.assertGreaterEqual(len(examples), 2)
        self.assertLessEqual(len(examples[0].splitlines()), 15)
        for example in examples:
            ended = run_program(example)
            self.assertEqual((ended.returncode, ended.stderr), (0, ""), example)
            expected = re.findall(r"print\(.*#\s*(.*)", example)
            self.assertEqual(ended.stdout.splitlines(), expected, example)


if __name__ == "__main__":
    unittest.main()
