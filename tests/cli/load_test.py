"""`workpool load` as its users see it. WORKPOOL_COMMAND names the built program. Nothing here depends on how fast the
machine is: what takes time is only bounded from below."""
import json
import os
import pathlib
import signal
import subprocess
import tempfile
import unittest

COMMAND = os.environ["WORKPOOL_COMMAND"]
PEERS = ["threads-per-task", "fixed:3", "ants:4", "ants:4,200ms", "pond:4"]


def run(*arguments):
    return subprocess.run(
        [COMMAND, "load", *map(str, arguments)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=100
    )


class LoadTest(unittest.TestCase):
    def setUp(self):
        self.temporary = tempfile.TemporaryDirectory()
        self.directory = pathlib.Path(self.temporary.name)
        self.addCleanup(self.temporary.cleanup)

    def trace(self, *lines, **header):
        path = self.directory / "some.jsonl"
        first = {"trace": "some", "cores": 8, "duration_s": 1, **header}
        path.write_text("".join(json.dumps(line) + "\n" for line in [first, *lines]))
        return path

    def together(self, count, **row):
        """Rows that all arrive at the beginning."""
        return [{"t": 0, **row}] * count

    def load(self, *arguments, code=0):
        """Runs one load and returns what it saved."""
        saved = self.directory / "saved.json"
        done = run(*arguments, "--save", saved)
        self.assertEqual(done.returncode, code, done.stdout + done.stderr)
        self.output = done.stdout
        result = json.loads(saved.read_text())["runs"][-1]
        self.check(result)
        return result

    def check(self, r):
        """What holds of every run."""
        self.assertEqual(r["arrived"], r["done"] + r["failed"] + r["refused"] + r["dropped"], r)
        self.assertLessEqual(r["arrived"], r["scheduled"])
        if not r["interrupted"]:
            self.assertEqual(r["arrived"], r["scheduled"])
        self.assertEqual(r["sojourn_ms"]["count"], r["done"] + r["failed"])
        self.assertEqual(r["late_ms"]["count"], r["arrived"])
        for spread in r["wait_ms"], r["sojourn_ms"], r["late_ms"]:
            order = [0, *(spread[name] for name in ("p50", "p90", "p99", "p999", "max"))]
            self.assertEqual(order, sorted(order))
            self.assertLessEqual(spread["mean"], spread["max"] + 1e-9)
        if r["drained"]:
            self.assertLessEqual(r["wait_ms"]["max"], r["elapsed_s"] * 1e3)
        workers = r["workers"]
        self.assertLessEqual(workers["mean"], workers["most"] + 1e-6)
        self.assertLessEqual(workers["most"], workers["starts"])
        times = [row["t_s"] for row in r["series"]]
        self.assertEqual(times, sorted(set(times)))
        for who, used_s in r["cpu_s"].items():
            self.assertGreaterEqual(used_s, -1e-3, who)

    def schedule(self, *arguments):
        done = run(*arguments, "--emit-schedule")
        self.assertEqual(done.returncode, 0, done.stderr)
        rows = [tuple(map(int, line.split())) for line in done.stdout.splitlines()]
        self.assertTrue(all(len(row) == 4 for row in rows))
        self.assertEqual([row[0] for row in rows], sorted(row[0] for row in rows))
        return rows

    def refuses(self, text, *arguments):
        done = run(*arguments)
        self.assertNotEqual(done.returncode, 0, done.stdout)
        self.assertIn(text, done.stderr)
        self.assertEqual(done.stdout, "", "nothing has run")

    def test_counts_add_up(self):
        shape = ["--shape", "constant", "--rate", 200, "--duration", "1s"]
        r = self.load(*shape, "--cpu", "100us", "--sleep", "5ms..20ms")
        self.assertEqual(r["done"], r["scheduled"])
        self.assertGreater(r["done"], 100)
        self.assertGreaterEqual(r["elapsed_s"], 1)
        self.assertGreaterEqual(r["sojourn_ms"]["p50"], 5)
        self.assertEqual((r["trace"], r["rate_scale"], r["notes"]), ("constant", 1, []))
        self.assertGreaterEqual(len(r["series"]), 1)
        self.assertEqual(r["told"]["stats"]["submitted"], r["done"])
        self.assertEqual(r["told"]["stats"]["done"], r["done"])
        self.assertEqual(sum(r["told"]["decision_reasons"].values()), len(r["told"]["decisions"]))
        self.assertGreaterEqual(r["workers"]["thread_s"], r["cpu_s"]["tasks"])
        self.assertIn(f"arrived {r['done']} of {r['done']}  refused 0  done {r['done']}", self.output)
        for word in ("wait ", "sojourn ", "submit late ", "workers ", "CPU s ", "decisions ", "J "):
            self.assertIn(f"\n  {word}", self.output)

    def test_shapes(self):
        def at(*arguments):
            return [row[0] / 1e6 for row in self.schedule("--even", *arguments)]

        def between(times, low, high):
            return sum(low <= t < high for t in times)

        constant = at("--shape", "constant", "--rate", 100, "--duration", "2s")
        self.assertAlmostEqual(len(constant), 200, delta=2)
        ramp = at("--shape", "ramp", "--from", 0, "--to", 100, "--over", "2s", "--hold", "1s", "--down", "2s")
        self.assertAlmostEqual(between(ramp, 0, 1), 25, delta=3)
        self.assertAlmostEqual(between(ramp, 1, 2), 75, delta=3)
        self.assertAlmostEqual(between(ramp, 2, 3), 100, delta=3)
        self.assertAlmostEqual(between(ramp, 3, 5), 100, delta=3)
        self.assertLess(ramp[-1], 5)
        step = at("--shape", "step", "--from", 10, "--to", 100, "--hold", "1s")
        self.assertAlmostEqual(between(step, 0, 1), 10, delta=2)
        self.assertAlmostEqual(between(step, 1, 2), 100, delta=2)
        self.assertAlmostEqual(between(step, 2, 3), 10, delta=2)
        base = ["--rate", 10, "--burst-rate", 1000, "--every", "2s", "--for", "100ms", "--duration", "4s"]
        burst = at("--shape", "burst", *base)
        self.assertAlmostEqual(between(burst, 1, 1.1), 100, delta=3)
        self.assertAlmostEqual(between(burst, 3, 3.1), 100, delta=3)
        self.assertAlmostEqual(len(burst), 238, delta=8)

    def test_schedule(self):
        shape = ["--shape", "constant", "--rate", 500, "--duration", "500ms"]
        shape += ["--sleep", "2ms..3ms", "--cpu", "gamma(1ms,0.3)"]
        rows = self.schedule(*shape)
        self.assertEqual(rows, self.schedule(*shape))
        self.assertNotEqual(rows, self.schedule(*shape, "--seed", 2))
        self.assertEqual(len(rows), self.load(*shape)["scheduled"])
        self.assertTrue(all(2000 <= row[2] <= 3000 and row[3] == 0 for row in rows))
        self.assertGreater(len({row[1] for row in rows}), 1, "CPU times differ")
        row = {"t": 0.5, "cpu_s": 0.001, "locked_s": 0.002, "mutex": "m", "blocked_s": 0.04, "cpu2_s": 0.003}
        trace = self.trace(row, mutexes=["m"])
        self.assertEqual(self.schedule("--trace", trace, "--rate-scale", 1), [(500000, 3000, 40000, 3000)])
        self.refuses("one trace at a time", "--trace", trace, trace, "--emit-schedule")

    def test_scales(self):
        rate = {"rate": 400, "spacing": "even", "tasks": [{"cpu_s": 0.002}]}
        trace = self.trace(rate)
        r = self.load("--trace", trace, "--cores", 2)
        self.assertEqual(r["rate_scale"], 0.25)
        self.assertAlmostEqual(r["scheduled"], 100, delta=1)
        self.assertIn("rates x 0.25", r["notes"][0])
        self.assertIn(r["notes"][0], self.output)
        half = self.schedule("--trace", trace, "--cores", 2, "--cpu-scale", 0.5)
        self.assertAlmostEqual(len(half), 400, delta=1)
        self.assertEqual({row[1] for row in half}, {1000})
        short = self.schedule("--trace", trace, "--rate-scale", 1, "--time-scale", 0.1)
        self.assertAlmostEqual(len(short), 40, delta=1)
        self.assertLess(short[-1][0], 100000)
        self.assertEqual({row[1] for row in short}, {2000})
        rows = self.trace(*self.together(8, blocked_s=0.001))
        for scale, count in (1, 8), (2, 16), (0.5, 4):
            self.assertEqual(len(self.schedule("--trace", rows, "--rate-scale", scale)), count)
        self.assertEqual(len(self.schedule("--trace", rows, "--cores", 1)), 8, "what only sleeps is not scaled")

    def test_bad_traces(self):
        path = self.directory / "bad.jsonl"
        for text, complaint in (
            ("", ":1: empty"),
            ("{\n", ":1: not JSON"),
            ('{"trace":"x","duration_s":1}\n{"rate":-1,"tasks":[{}]}\n', ":2: a phase: rate is -1, allowed"),
            ('{"trace":"x","duration_s":1,"speed":3}\n', ":1: the header has no field 'speed'"),
        ):
            path.write_text(text)
            self.refuses(f"{path}{complaint}", "--trace", path)
        self.refuses("missing: cannot be opened", "--trace", self.directory / "missing")
        self.refuses(f"{path}:1: the header has no field", "--trace", self.trace(), path)

    def test_bad_options(self):
        shape = ["--shape", "constant", "--rate", 5, "--duration", "1s"]
        self.refuses("needs --trace FILE or --shape")
        self.refuses("allowed: constant ramp burst step", "--shape", "wave")
        self.refuses("--shape constant needs --rate", "--shape", "constant")
        self.refuses("--hold does not go with --shape constant", *shape, "--hold", "1s")
        self.refuses("do not go with --trace", "--trace", self.trace(), "--shape", "ramp")
        self.refuses("do not go with --trace", "--trace", self.trace(), "--cpu", "1ms")
        self.refuses("'1x' is no time", *shape, "--sleep", "1x")
        self.refuses("ends before it begins", *shape, "--sleep", "3ms..2ms")
        self.refuses("not like gamma(40ms,0.4)", *shape, "--cpu", "gamma(40ms)")
        self.refuses("--rate", "--shape", "constant", "--rate", -5, "--duration", "1s")
        self.refuses("lasts no time", "--shape", "constant", "--rate", 5, "--duration", 0)
        self.refuses("there may be", "--shape", "constant", "--rate", 1000000, "--duration", "1000s")
        wrong = ["pool", "fixed", "fixed:0", "fixed:x", "ants:3,soon", "ants:3,0", "pond:99999", "threads-per-task:3"]
        for pool in wrong:
            self.assertNotEqual(run(*shape, "--pool", pool).returncode, 0, pool)
        self.refuses("allowed: workpool, threads-per-task, fixed:N", *shape, "--pool", "fixed:0")
        self.refuses("has no policy", *shape, "--pool", "fixed:3", "--policy", "auto")
        self.refuses("no policy 'best'", *shape, "--policy", "best")
        self.refuses("'speed'", *shape, "--set", "speed=3")
        self.refuses("it is name=value", *shape, "--set", "lanes")
        self.refuses("arrivals do not wait", *shape, "--set", "on_full=block")
        self.refuses("cannot be written", *shape, "--save", self.directory / "missing" / "file")

    def test_peers(self):
        # They all sleep longer than it takes to see that no more threads start.
        trace = self.trace(*self.together(12, blocked_s=0.3))
        for pool in PEERS:
            r = self.load("--trace", trace, "--pool", pool)
            self.assertEqual(r["done"], 12, pool)
            self.assertEqual(r["pool"], pool)
            limit = 12 if pool == "threads-per-task" else int(pool.split(":")[1].split(",")[0])
            self.assertLessEqual(r["workers"]["most"], limit, pool)
            self.assertGreaterEqual(r["sojourn_ms"]["max"], 300 * (12 // limit), pool)
            if pool == "threads-per-task":
                self.assertEqual(r["workers"]["starts"], 12)
            if pool == "fixed:3":
                self.assertEqual(r["workers"]["starts"], 3)
            self.assertTrue(all(row["target"] is None for row in r["series"]), pool)

    def test_expiry_of_ants(self):
        # All that have started at first have gone when the last task comes.
        late = {"t": 1.5, "blocked_s": 0.001}
        trace = self.trace(*self.together(4, blocked_s=0.01), late, duration_s=1.6)
        r = self.load("--trace", trace, "--pool", "ants:4,100ms")
        self.assertEqual(r["done"], 5)
        self.assertGreater(r["workers"]["starts"], r["workers"]["most"])

    def test_retries_and_failures(self):
        # A call longer than its timeout always fails.
        service = {"name": "slow", "timeout_s": 0.2}
        late = self.together(5, blocked_s=30, downstream="slow", retries=2)
        good = self.together(3, blocked_s=0.001, downstream="slow", retries=2)
        trace = self.trace(*late, *good, downstreams=[service])
        for pool in ["workpool", *PEERS]:
            r = self.load("--trace", trace, "--pool", pool)
            self.assertEqual((r["failed"], r["done"], r["retries"]), (5, 3, 10), pool)
            self.assertGreaterEqual(r["sojourn_ms"]["max"], 600, pool)
        r = self.load("--trace", trace, "--server")
        self.assertEqual((r["failed"], r["done"], r["retries"]), (5, 3, 10))

    def test_connections(self):
        one = {"name": "one", "connections": 1, "timeout_s": 0}
        trace = self.trace(*self.together(6, blocked_s=0.05, downstream="one"), downstreams=[one])
        r = self.load("--trace", trace, "--pool", "fixed:6")
        self.assertEqual(r["done"], 6)
        self.assertGreaterEqual(r["sojourn_ms"]["max"], 300)
        # The wait for it counts against the timeout: there is time for one call, or little more.
        one["timeout_s"] = 0.1
        trace = self.trace(*self.together(10, blocked_s=0.08, downstream="one"), downstreams=[one])
        r = self.load("--trace", trace, "--pool", "fixed:10")
        self.assertEqual(r["done"] + r["failed"], 10)
        self.assertGreaterEqual(r["failed"], 1)

    def test_mutex(self):
        trace = self.trace(*self.together(20, locked_s=0.002, mutex="m"), mutexes=["m"])
        r = self.load("--trace", trace, "--rate-scale", 1, "--pool", "fixed:4")
        self.assertEqual(r["done"], 20)
        self.assertGreaterEqual(r["sojourn_ms"]["max"], 40)
        self.assertGreaterEqual(r["cpu_s"]["pool"], 0.04)

    def test_server(self):
        shape = ["--shape", "constant", "--rate", 100, "--duration", "1s", "--sleep", "20ms"]
        r = self.load(*shape, "--server", "--announce", "--policy", "busy-share", "--workers-max", 20)
        self.assertEqual(r["done"], r["scheduled"])
        self.assertGreaterEqual(r["sojourn_ms"]["p50"], 20)
        self.assertGreater(r["cpu_s"]["server"], 0)
        self.assertIn("policy busy-share", r["pool"])
        # Fewer connections than tasks: they wait for one.
        trace = self.trace(*self.together(6, blocked_s=0.05))
        r = self.load("--trace", trace, "--server", "--connections", 2)
        self.assertEqual(r["done"], 6)
        self.assertGreaterEqual(r["sojourn_ms"]["max"], 150)

    def test_pool_options(self):
        # Of tasks that do not end by themselves one runs and one waits at most.
        trace = self.trace(*self.together(20, blocked_s=600), duration_s=0.2)
        one = ["--workers-max", 1, "--set", "queue_limit=1", "--drain", "100ms"]
        r = self.load("--trace", trace, *one, code=1)
        self.assertEqual(r["done"], 0)
        self.assertGreaterEqual(r["refused"], 18)
        self.assertEqual(sum(r["told"]["refusals"].values()), r["refused"])
        self.assertEqual(r["told"]["stats"]["rejected"], r["refused"])
        self.assertEqual(r["workers"]["most"], 1)
        r = self.load("--trace", trace, *one, "--set", "on_full=drop-oldest", code=1)
        self.assertEqual((r["dropped"], r["refused"]), (20, 0))
        self.assertGreaterEqual(r["told"]["stats"]["shed"], 18)
        trace = self.trace(*self.together(20, blocked_s=0.05))
        r = self.load("--trace", trace, "--policy", "fixed,n=3", "--workers-min", 1, "--keep-alive", "50ms")
        self.assertEqual(r["workers"]["most"], 3)
        self.assertEqual(r["done"], 20)

    def test_drain(self):
        trace = self.trace(*self.together(2, blocked_s=600), {"t": 0, "blocked_s": 0.001}, duration_s=0.2)
        for pool in "workpool", "fixed:3", "ants:3":
            r = self.load("--trace", trace, "--pool", pool, "--drain", "500ms", code=1)
            self.assertEqual((r["done"], r["dropped"], r["drained"]), (1, 2, False), pool)
            self.assertIn("NOT DRAINED", self.output)
        r = self.load("--trace", trace, "--server", "--drain", "500ms", code=1)
        self.assertEqual((r["done"], r["dropped"], r["drained"]), (1, 2, False))

    def test_interrupt(self):
        saved = self.directory / "saved.json"
        shape = ["--shape", "constant", "--rate", "100", "--duration", "600s", "--sleep", "5ms", "--live"]
        command = [COMMAND, "load", *shape, "--save", str(saved)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
            while "workers" not in (line := child.stdout.readline()):
                self.assertNotEqual(line, "", "it ended by itself")
            child.send_signal(signal.SIGINT)
            rest, _ = child.communicate(timeout=60)
        self.assertEqual(child.returncode, 130, rest)
        self.assertIn(", interrupted\n", rest)
        result = json.loads(saved.read_text())["runs"][0]
        self.assertTrue(result["interrupted"])
        self.assertLess(result["arrived"], result["scheduled"])
        self.check(result)

    def test_several_traces(self):
        path = self.trace(*self.together(2, blocked_s=0.01), duration_s=0.1)
        saved = self.directory / "saved.json"
        done = run("--trace", path, path, "--live", "--save", saved)
        self.assertEqual(done.returncode, 0, done.stderr)
        runs = json.loads(saved.read_text())["runs"]
        self.assertEqual([r["done"] for r in runs], [2, 2])
        self.assertEqual(done.stdout.count("load some: 2 arrivals in 0.1 s"), 2)

    def test_neighbours(self):
        steps = [{"t": 0, "threads": 8}, {"t": 0.3, "threads": 0}]
        trace = self.trace(*self.together(1, blocked_s=0.01), neighbours=steps, duration_s=0.4)
        r = self.load("--trace", trace)
        self.assertGreater(r["cpu_s"]["neighbours"], 0)
        self.assertEqual(r["done"], 1)

    def test_help(self):
        text = run("--help").stdout
        pools = "threads-per-task, fixed:N, ants:CAP[,IDLE], pond:MAX"
        for word in ("t_us cpu_us blocked_us cpu2_us", "--emit-schedule", pools):
            self.assertIn(word, text)


if __name__ == "__main__":
    unittest.main()
