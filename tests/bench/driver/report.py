"""The tables of a run as Markdown, and their place in a document between two markers."""
import os
import re

from driver import cells, targets

BEGIN = "<!-- bench: begin (written by tests/bench/bench.py; text outside the markers is kept) -->"
END = "<!-- bench: end -->"

PHYSICAL = [
    ("indirect call", "physical", "indirect_call_ns", "ns"),
    ("atomic read-modify-write, alone / contended by two cores", "physical", ("rmw_ns", "rmw_contended_ns"), "ns"),
    ("compare-and-swap", "physical", "cas_ns", "ns"),
    ("sequentially consistent store", "physical", "seq_cst_store_ns", "ns"),
    ("mutex lock + unlock, alone / contended", "physical", ("mutex_pair_ns", "mutex_pair_contended_ns"), "ns"),
    ("one-writer one-reader ring, hand-over", "physical", "spsc_hand_over_ns", "ns"),
    ("the same with malloc before and free after it", "physical", "malloc_hand_over_free_ns", "ns"),
    ("cache line there and back", "physical", "line_round_trip_ns", "ns"),
    ("malloc + free, same thread", "physical", "malloc_free_ns", "ns"),
    ("futex wake → run, 100 µs idle: placed by the kernel", "futex@latency", "start_p50_us", "µs"),
    ("futex wake → run, 100 µs idle: on another core", "futex@latency_apart", "start_p50_us", "µs"),
    ("futex wake → run, 1 ms idle: on another core", "futex@call_apart", "start_p50_us", "µs"),
    ("the waker's futex call, a core asleep", "futex@call_apart", "call_p50_us", "µs"),
    ("the waker's futex call, nobody waits", "physical", "futex_wake_nobody_us", "µs"),
    ("thread create + join", "physical", "thread_create_join_us", "µs"),
    ("slow-down of a core while the other one works (1 = none)", "physical", "two_cores_ratio", "×"),
]

# Rows of the table of all subjects: (what, cell, metric, unit).
FIGURES = [
    ("bulk of 256, W=2", "bulk", "ns_per_task", "ns"),
    ("tree W=1", "tree_w1", "ns_per_task", "ns"),
    ("tree W=2", "tree_w2", "ns_per_task", "ns"),
    ("fib by submit W=2", "fib_submit", "ns_per_task", "ns"),
    ("fork-join fib W=2", "fork_join", "ns_per_call", "ns"),
    ("parallel_for, uneven", "loop_uneven", "times_ideal", "× ideal"),
    ("parallel_for, tiny", "loop_tiny", "times_ideal", "× ideal"),
    ("100 µs idle, start p50", "latency", "start_p50_us", "µs"),
    ("100 µs idle, start p99", "latency", "start_p99_us", "µs"),
    ("100 µs idle, trip p50", "latency", "trip_p50_us", "µs"),
    ("100 µs idle, call", "latency", "call_p50_us", "µs"),
    ("other core, start p50", "latency_apart", "start_p50_us", "µs"),
    ("other core, trip p50", "latency_apart", "trip_p50_us", "µs"),
    ("other core, 1 ms idle, call", "call_apart", "call_p50_us", "µs"),
    ("10k × 1 ms sleeps, 64 threads", "sleeps", "times_ideal", "× ideal"),
    ("the same, CPU", "sleeps", "cpu_ms", "ms"),
    ("flood 1 µs", "flood_1us", "times_ideal", "× ideal"),
    ("flood 100 ns", "flood_100ns", "times_ideal", "× ideal"),
    ("flood empty", "flood_empty", "ns_per_task", "ns"),
    ("idle, switches in 5 s", "idle", "switches", ""),
    ("idle, CPU", "idle", "cpu_ms_per_s", "ms/s"),
    ("bytes per queued task", "memory", "queued_bytes", ""),
    ("bytes kept per task", "memory", "kept_bytes", ""),
    ("create + task + destroy W=2", "life_w2", "us", "µs"),
    ("create + task + destroy W=64", "life_w64", "us", "µs"),
    ("64 waiting, cold", "waiting", "cold_ms", "ms"),
    ("64 waiting, warm", "waiting", "warm_ms", "ms"),
]

PRIORITIES = [
    ("1,000,000 queued, then run by 1 worker; 3 priorities", "priority_queued_few"),
    ("the same, all different", "priority_queued_all"),
    ("2 producers and 2 workers at once; 3 priorities", "priority_flowing_few"),
    ("the same, all different", "priority_flowing_all"),
]
TIMERS = ("submit_ns", "pending_bytes", "late_p50_us", "late_p99_us", "late_p999_us")


def table(head, rows):
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    return "\n".join(lines + ["| " + " | ".join(row) + " |" for row in rows])


def show(spread, unit=""):
    return targets.number(spread.median, unit) if spread else "–"


def show_range(spread):
    if not spread:
        return "–"
    return f"{targets.number(spread.median)} ({targets.number(spread.low)} … {targets.number(spread.high)})"


def verdict(conditions):
    return {True: "yes", False: "**no**", None: "–"}[targets.met(conditions)]


def texts(conditions):
    return ", ".join(condition.text for condition in conditions)


def targets_table(rows):
    return table(
        ["figure", "measured", "reference", "ratio (min … max)", "gate", "met", "goal", "met"],
        [[row.name, row.measured, row.reference, show_range(row.ratio), texts(row.gate), verdict(row.gate),
          texts(row.goal), verdict(row.goal)] for row in rows])


def submit_tables(results, names):
    head = ["ns per task", *(k[7:].replace("_", " ") for k in cells.SUBMIT_KEYS), "geo. mean", "worst",
            f"× {names.get('tbb', 'oneTBB')}"]
    body = []
    for subject in cells.OUTSIDE:
        if subject not in names:
            continue
        values = [results.value(key, subject, "ns_per_task") for key in cells.SUBMIT_KEYS]
        known = [v.median for v in values if v]
        ratio = results.mean_ratio(cells.SUBMIT_KEYS, subject, "ns_per_task", "tbb")
        body.append([names[subject] + (" (may run inline)" if subject in cells.MAY_INLINE else ""),
                     *map(show, values),
                     targets.number(results.mean_value(cells.SUBMIT_KEYS, subject, "ns_per_task")),
                     targets.number(max(known)) if known else "–", targets.number(targets.middle(ratio))])
    wakes = [[what, *(f"{value.median:.4f}" if value else "–" for value in
                      (results.value(key, "workpool", metric) for key in cells.SUBMIT_KEYS))]
             for what, metric in (("wakes", "wakes_per_task"), ("parks", "parks_per_task"),
                                  ("steals", "steals_per_task"))]
    return (table(head, body) + "\n\n"
            + table([f"{names.get('workpool', 'workpool')}, per task", *head[1:10]], wakes))


def count_table(results, names):
    body = []
    for key, what in (("instructions_submit", "submit"), ("instructions_tree", "tree")):
        for kind, unit in (("instructions", "instructions"), ("locked", "of them locking a line or fencing")):
            body.append([f"{what}, {unit}", *(targets.number(results.count(key, s, kind))
                                              for s in cells.COUNTED_SUBJECTS if s in names)])
    return table(["per task, 1 worker", *(names[s] for s in cells.COUNTED_SUBJECTS if s in names)], body)


def figures_table(results, names):
    shown = [s for s in cells.SUBJECTS if s in names and s != "futex" and s not in cells.NO_POOLS]
    body = [[f"{what}{', ' + unit if unit else ''}", *(show(results.value(cell, s, metric)) for s in shown)]
            for what, cell, metric, unit in FIGURES if cell in results.samples]
    return table(["median", *(names[s] for s in shown)], body)


def physical_table(results):
    body = []
    for what, where, metrics, unit in PHYSICAL:
        subject, cell = where.split("@") if "@" in where else ("physical", where)
        metrics = (metrics,) if isinstance(metrics, str) else metrics
        body.append([what, " / ".join(show(results.value(cell, subject, m)) for m in metrics) + " " + unit])
    return table(["step", "median"], body)


FEATURES_TEXT = """One worker. Nanoseconds from the first submit until the pool is idle, a task; where tasks wait for a
time, CPU time of all threads. "Without" is another pool of the same process, measured in turn, that differs in
nothing but the feature. Bytes are those of a task that waits, queues included."""


def features_tables(results):
    def value(cell, metric):
        return results.value(cell, "features", metric)

    body = [[text, *(show(value(cells.feature_key(key), metric)) for metric in ("without_ns", "with_ns")),
             show_range(value(cells.feature_key(key), "with_ratio")),
             *(show(value(cells.feature_key(key), metric)) for metric in ("without_bytes", "with_bytes"))]
            for key, text in cells.FEATURES.items() if cells.feature_key(key) in results.samples]
    parts = []
    if body:
        parts += [FEATURES_TEXT, table(["feature", "ns without", "ns with", "with / without (min … max)",
                                        "bytes without", "bytes with"], body)]
    body = [[what, show(value(cell, "workpool_ns")), show(value(cell, "mutex_ns")),
             show_range(results.ratio(cell, "features", "workpool_ns", "features", "mutex_ns"))]
            for what, cell in PRIORITIES if cell in results.samples]
    if body:
        parts.append(table(["strict priority, ns a task", "workpool", "mutex + std::priority_queue",
                            "ratio (min … max)"], body))
    if "timers" in results.samples:
        parts.append(table(["delayed tasks, due within one second", "submit ns", "bytes each", "late p50 µs",
                            "p99 µs", "p99.9 µs"],
                           [["1,000,000 pending", *(show(value("timers", metric)) for metric in TIMERS)]]))
    if "should_stop" in results.samples:
        parts.append(table(["`pool_ctx_should_stop`, ns a call", "a plain task",
                            "one under a token, a group and a timeout"],
                           [["nobody asked", *(show(value("should_stop", m)) for m in ("plain_ns", "stoppable_ns"))]]))
    return parts


def added_table(results):
    """What the features that are not used add to the fast path."""
    body, before = [], cells.BEFORE_FEATURES
    for key, what in (("instructions_submit", "submit"), ("instructions_tree", "child")):
        now = results.count(key, "workpool")
        body.append([what, str(before[key]), "–" if now is None else f"{now:.0f}",
                     "–" if now is None else f"{round(now) - before[key]:+d}"])
    return table(["a task that uses no feature, instructions", f"before the features ({before['version']})", "now",
                  "difference"], body)


def machine():
    def first(path, pattern):
        try:
            with open(path, encoding="utf-8") as lines:
                found = re.search(pattern, lines.read(), re.M)
        except OSError:
            return None
        return found[1] if found else None

    cpu = first("/proc/cpuinfo", r"^model name\s*:\s*(.*)$") or os.uname().machine
    guest = ", virtual machine" if first("/proc/cpuinfo", r"^flags\s*:.*\b(hypervisor)\b") else ""
    system = first("/etc/os-release", r'^PRETTY_NAME="?([^"\n]*)') or os.uname().sysname
    release = re.match(r"\d+\.\d+", os.uname().release)
    return f"{cpu}, {len(os.sched_getaffinity(0))} cores{guest}; {system}, Linux {release[0] if release else '?'}"


def render(run, results):
    """run: what bench.py knows of the run (see there)."""
    names = {subject: about["name"] for subject, about in run["subjects"].items()}
    subjects = table(["subject", "version", "note"],
                     [[about["name"], about["version"], cells.NOTES[subject]]
                      for subject, about in run["subjects"].items() if subject in cells.NOTES])
    rows = targets.rows(results, names)
    if run.get("only"):
        rows = [row for row in rows if any(c.value is not None for c in row.gate)]
    gates = [targets.met(row.gate) for row in rows]
    goals = [targets.met(row.goal) for row in rows]
    scope = f" Only `{run['only']}`." if run.get("only") else ""
    parts = [
        f"{run['date']}. {run['machine']}. Compiler: {run['compiler']}. {run['repetitions']} repetitions"
        f"{' (quick)' if run['quick'] else ''}, {run['kept']} samples, {run['repeated']} taken again and "
        f"{run['dropped']} missing because others disturbed them.{scope}",
        f"Gates: {gates.count(True)} of {len(gates)} hold, {gates.count(False)} do not, {gates.count(None)} not "
        f"measured. Goals: {goals.count(True)} of {len(goals)}.",
        "## Targets", targets_table(rows),
    ]
    if run["noisy_kept"]:
        parts.insert(0, f"**Not a measurement: {run['noisy_kept']} of {run['kept']} samples were disturbed by "
                        "others and kept all the same.**")
    if any(key in results.samples for key in cells.SUBMIT_KEYS):
        parts += ["## Submit from outside", submit_tables(results, names)]
    if results.counts:
        parts += ["## Instructions", count_table(results, names), added_table(results)]
    features = features_tables(results)
    if features:
        parts += ["## Features", *features]
    if any(cell in results.samples for _, cell, _, _ in FIGURES):
        parts += ["## All figures", figures_table(results, names)]
    if "physical" in results.samples:
        parts += ["## What the machine takes for the steps", physical_table(results)]
    parts += ["## Subjects", subjects]
    if run["failures"]:
        parts += ["## Samples that failed", "\n".join(f"- {failure}" for failure in run["failures"])]
    return "\n\n".join(parts) + "\n"


def place(path, text):
    """Puts text between the markers of the document; makes the document, or the markers at its end, if missing."""
    old = "# Performance\n\n"
    if os.path.exists(path):
        with open(path, encoding="utf-8") as document:
            old = document.read()
    block = f"{BEGIN}\n\n{text}\n{END}"
    if BEGIN in old and END in old:
        new = old[: old.index(BEGIN)] + block + old[old.index(END) + len(END):]
    else:
        new = old.rstrip("\n") + "\n\n" + block + "\n"
    with open(path, "w", encoding="utf-8") as document:
        document.write(new)
