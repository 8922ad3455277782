"""The workpool command as its users see it. WORKPOOL_COMMAND names the built program."""
import os
import pathlib
import pty
import random
import re
import select
import subprocess
import tempfile
import unittest

COMMAND = os.environ["WORKPOOL_COMMAND"]
SMALL_FILES = 300
WORKERS = re.compile(r"workers: min (\d+), max (\d+), most at once (\d+) after [\d.]+ s of work, "
                     r"back to (\d+) after ([\d.]+) s idle")


# Root reads every file; without capabilities it is as bound by permissions as anybody.
NO_CAPABILITIES = ["setpriv", "--bounding-set=-all", "--inh-caps=-all"] if os.geteuid() == 0 else []


def run(*arguments, ordinary_user=False):
    command = [*(NO_CAPABILITIES if ordinary_user else []), COMMAND, *map(str, arguments)]
    return subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          timeout=100)


class DemoTest(unittest.TestCase):
    def setUp(self):
        self.temporary = tempfile.TemporaryDirectory()
        self.directory = pathlib.Path(self.temporary.name)
        self.random = random.Random(7)
        self.addCleanup(self.temporary.cleanup)

    def write(self, name, size):
        path = self.directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(self.random.randbytes(size))
        return path

    def write_small_files(self, count=SMALL_FILES):
        for number in range(count):
            self.write(f"{number % 7}/file{number}", self.random.randrange(4096))

    def demo(self, *arguments, **how):
        done = run("demo", self.directory, "--keep-alive-ms", 100, *arguments, **how)
        self.output = done.stdout
        return done.returncode

    def statistic(self, name):
        return int(re.search(rf"\b{name} +(\d+)", self.output).group(1))

    def test_grows_equal_shrinks(self):
        self.write_small_files()
        code = self.demo("--workers-max", 8)
        self.assertEqual(code, 0, self.output)
        low, high, most, back, idle = WORKERS.search(self.output).groups()
        self.assertEqual((low, high, back), ("1", "8", "1"), self.output)
        self.assertGreater(int(most), 1, self.output)
        # Twice workers_max: with those that stand in for waiting ones.
        self.assertLessEqual(int(most), 16, self.output)
        self.assertGreater(float(idle), 0.0, self.output)
        self.assertIn(f"{SMALL_FILES} of {SMALL_FILES} results are equal", self.output)
        last = rf"{SMALL_FILES}/{SMALL_FILES} files.*workers \d+ \(\d+ busy\)  queue \d+"
        self.assertRegex(self.output, last)
        first = rf"\n +[\d.]+ s +0/{SMALL_FILES} files.*workers 1 \(0 busy\)  queue 0"
        self.assertRegex(self.output, first)
        self.assertNotIn("\r", self.output, "a pipe gets plain lines")
        self.assertTrue(self.output.endswith("\nOK\n"), self.output)

    def test_statistics(self):
        self.write_small_files()
        self.assertEqual(self.demo(), 0, self.output)
        self.assertEqual(self.statistic("submitted"), SMALL_FILES, self.output)
        self.assertEqual(self.statistic("started"), SMALL_FILES, self.output)
        self.assertEqual(self.statistic("done"), SMALL_FILES, self.output)
        self.assertEqual(self.statistic("failed"), 0, self.output)
        self.assertGreater(self.statistic("retired"), 0, self.output)

    def test_big_file(self):
        size = 5 * 256 * 1024 + 17
        self.write("big", size)
        self.write("exact", 256 * 1024)
        self.write("one more", 256 * 1024 + 1)
        self.write("empty", 0)
        self.assertEqual(self.demo(), 0, self.output)
        self.assertIn("4 of 4 results are equal", self.output)
        self.assertIn(f"4 files, {(size + 2 * 256 * 1024 + 1) / 1e6:.1f} MB", self.output)

    def test_difference_fails(self):
        self.write_small_files(20)
        self.assertEqual(self.demo("--flip-one-digest"), 1, self.output)
        self.assertIn("19 of 20 results are equal", self.output)
        self.assertIn("1 differ", self.output)
        self.assertEqual(self.output.count("DIFFERENT"), 1, self.output)
        self.assertTrue(self.output.endswith("\nFAILED\n"), self.output)

    def test_unreadable_file(self):
        self.write_small_files(20)
        self.write("secret", 10).chmod(0)
        self.assertEqual(self.demo(ordinary_user=True), 0, self.output)
        self.assertIn("unreadable files: pooled 1, serial 1; failed tasks: 0", self.output)
        self.assertIn("secret: unreadable: Permission denied", self.output)
        self.assertIn("21 of 21 results are equal", self.output)

    def test_limits(self):
        self.write_small_files(50)
        self.assertEqual(self.demo("--limit", 30), 0, self.output)
        self.assertIn("30 of 30 results are equal", self.output)
        self.assertIn("there is more; limits: --limit 30 files", self.output)
        self.write("huge", 2 * 1024 * 1024)
        self.assertEqual(self.demo("--limit-mib", 1), 0, self.output)
        self.assertIn("50 of 50 results are equal", self.output)
        self.assertIn("--limit-mib 1)", self.output)

    def test_minimum(self):
        self.write_small_files()
        self.assertEqual(self.demo("--workers-min", 3, "--workers-max", 6), 0, self.output)
        self.assertEqual(WORKERS.search(self.output).group(1, 4), ("3", "3"), self.output)

    def test_terminal(self):
        self.write_small_files(50)
        master, slave = pty.openpty()
        command = [COMMAND, "demo", self.directory, "--keep-alive-ms", "100"]
        with subprocess.Popen(command, stdout=slave) as child:
            os.close(slave)
            text = b""
            while select.select([master], [], [], 60)[0]:
                try:
                    part = os.read(master, 65536)
                except OSError:  # Linux says so when the last writer is gone
                    break
                if not part:
                    break
                text += part
            self.assertEqual(child.wait(timeout=60), 0, text)
        os.close(master)
        line = r"\r +[\d.]+ s +\d+/50 files[^\r\n]*workers [^\r\n]*\x1b\[K"
        self.assertRegex(text.decode(), line)

    def test_empty_directory(self):
        self.assertEqual(self.demo(), 0, self.output)
        self.assertIn("0 of 0 results are equal", self.output)

    def test_version_and_usage(self):
        self.assertRegex(run("--version").stdout, r"^workpool \d+\.\d+\.\d+ \(ABI \d+\)\n$")
        self.assertNotEqual(run().returncode, 0)
        self.assertNotEqual(run("demo", "--no-such-option").returncode, 0)
        missing = run("demo", self.directory / "missing")
        self.assertEqual(missing.returncode, 2, missing.stdout)
        self.assertIn("missing", missing.stdout)
        refused = run("demo", self.directory, "--workers-max", 70000)
        self.assertEqual(refused.returncode, 2, refused.stdout)
        self.assertIn("workers_max", refused.stdout)
        self.assertNotIn("flip", run("demo", "--help").stdout)


if __name__ == "__main__":
    unittest.main()
