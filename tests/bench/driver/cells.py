"""What is measured: subjects, and cells. A cell is one workload with its arguments, run by several subjects."""
import typing

# The order of the columns in the tables. The first is what the others are compared with.
SUBJECTS = ["workpool", "tbb", "mutex", "asio", "glib", "eigen", "uv", "gomp", "futex", "physical", "features"]
# No pools: they stand in no table of pools.
NO_POOLS = {"physical", "features"}

# What a reader must know of a subject to compare its figures.
NOTES = {
    "workpool": "through the C interface, shared library, default options, never inline",
    "tbb": "`task_arena::enqueue` from outside; `task_group` and `parallel_for` with the caller as one of the "
           "threads; it is finalised in `destroy`, so that its threads are joined",
    "mutex": "40 lines: deque, mutex, condition variable, woken after the unlock",
    "asio": "`post` from outside, `defer` from inside",
    "glib": "exclusive threads",
    "eigen": "without spinning; **runs tasks in the submitter** when a worker's 1,024 places are taken",
    "uv": "one pool per process; one loop per producer, whose completions run on it; no submit from inside",
    "gomp": "only inside a parallel region, the caller is one of the threads; **runs tasks in the submitter** "
            "above 64 waiting tasks a thread, and all of them with one thread",
}
# Subjects that may run a task in the submitter: no references for "best of the never-inline peers".
MAY_INLINE = {"eigen", "gomp"}

OUTSIDE = ("workpool", "tbb", "mutex", "asio", "glib", "eigen", "uv")
INSIDE = ("workpool", "tbb", "mutex", "asio", "glib", "eigen", "gomp")
JOINING = ("workpool", "tbb", "gomp")
LOOPING = ("workpool", "tbb", "gomp", "eigen")
RENEWABLE = ("workpool", "tbb", "mutex", "asio", "glib", "eigen")


class Cell(typing.NamedTuple):
    key: str
    workload: str
    arguments: dict
    subjects: tuple
    rounds: bool = True      # the workload takes a budget for its rounds
    together: bool = False   # all subjects at once, a few times only: an idle process disturbs no other


PRODUCERS = WORKERS = (1, 2, 4)


def submit_key(producers, workers):
    return f"submit_p{producers}_w{workers}"


SUBMIT_KEYS = [submit_key(p, w) for p in PRODUCERS for w in WORKERS]

# Features of which the cost is measured, by the key that bench_features knows, and how the table calls them. Those that
# tell CPU time make tasks wait for a time.
FEATURES = {
    "submit_task": "`pool_submit_task`, no field set; without: `pool_submit`",
    "done": "done callback",
    "ticket": "ticket, released at once",
    "group": "group",
    "token": "token",
    "cq": "completion queue",
    "lane_high": "priority, high lane",
    "lane_low": "priority, low lane",
    "keys_different": "key, all different",
    "keys_same": "key, all the same",
    "class_concurrency": "class with a concurrency limit, not reached",
    "class_rate": "class with a rate limit, not reached",
    "class_rate_reached": "class with a rate limit, reached; CPU time",
    "cost": "cost in bytes",
    "queue_timeout": "queue timeout, not reached",
    "run_timeout": "run timeout, not reached",
    "retries_allowed": "retries allowed, none used",
    "retry": "one retry, after 1 ns; CPU time of both runs",
    "delay": "delay of 1 ms; CPU time",
    "period": "period of 1 ms, 10 runs; CPU time of a run",
    "dead_letter": "dead letter of a task that failed; without: failed as well",
    "limit_exact": "pool: exact queue limit, submits block",
    "drop_oldest": "pool: full, each submit sheds the oldest",
    "drop_lowest": "pool: full, each submit sheds the lowest; without: strict priority, unlimited",
    "fifo": "pool: strategy fifo",
    "lifo": "pool: strategy lifo",
    "priority": "pool: strategy priority",
    "rate": "pool: rate limit, not reached",
    "rate_reached": "pool: rate limit, reached, tasks wait; CPU time",
    "rate_refused": "pool: rate limit, reached, submits are refused",
    "codel": "pool: CoDel, not shedding",
    "codel_sheds": "pool: CoDel, shedding",
    "watermarks": "pool: watermarks",
    "stuck": "pool: watched for stuck tasks",
    "isolation_fp": "pool: floating point put back after each task",
    "isolation_full": "pool: thread state put back after each task",
}

# What plain tasks took before there were features: in this release, by the keys of COUNTED (gcc 12 on x86-64).
BEFORE_FEATURES = {"version": "0.1.0", "instructions_submit": 166, "instructions_tree": 124}
ADDED_MAX = 10


def feature_key(feature):
    return f"feature_{feature}"


CELLS = [
    Cell("physical", "", {}, ("physical",), rounds=False),
    *(Cell(submit_key(p, w), "submit", {"producers": p, "workers": w}, OUTSIDE) for p in PRODUCERS for w in WORKERS),
    Cell("bulk", "submit", {"batch": 256, "workers": 2, "tasks": 1_000_000}, ("workpool", "mutex")),
    Cell("tree_w1", "tree", {"workers": 1}, INSIDE),
    Cell("tree_w2", "tree", {"workers": 2}, INSIDE),
    Cell("fib_submit", "fib_submit", {"workers": 2}, INSIDE),
    Cell("fork_join", "fork_join", {"workers": 2}, JOINING),
    Cell("loop_uneven", "parallel_for", {"workers": 2, "uneven": 1}, LOOPING),
    Cell("loop_tiny", "parallel_for", {"workers": 2}, LOOPING),
    Cell("latency", "latency", {"gap_us": 100}, ("futex", *OUTSIDE)),
    Cell("latency_apart", "latency", {"gap_us": 100, "apart": 1}, ("futex", *OUTSIDE)),
    Cell("call_apart", "latency", {"gap_us": 1000, "apart": 1}, ("futex", "workpool", "tbb", "mutex")),
    Cell("sleeps", "sleeps", {}, OUTSIDE),
    Cell("flood_1us", "flood", {"body_ns": 1000}, INSIDE),
    Cell("flood_100ns", "flood", {"body_ns": 100}, INSIDE),
    Cell("flood_empty", "flood", {}, INSIDE),
    Cell("memory", "memory", {}, ("workpool", "tbb", "mutex", "asio", "glib", "uv"), rounds=False),
    Cell("life_w2", "life", {"workers": 2}, RENEWABLE),
    Cell("life_w64", "life", {"workers": 64}, RENEWABLE),
    Cell("waiting", "waiting", {}, OUTSIDE),
    Cell("should_stop", "should_stop", {}, ("features",)),
    *(Cell(feature_key(feature), feature, {}, ("features",)) for feature in FEATURES),
    Cell("priority_queued_few", "priority_queued", {"levels": 3}, ("features",)),
    Cell("priority_queued_all", "priority_queued", {"levels": 2**24}, ("features",)),
    Cell("priority_flowing_few", "priority_flowing", {"levels": 3}, ("features",)),
    Cell("priority_flowing_all", "priority_flowing", {"levels": 2**24}, ("features",)),
    Cell("timers", "timers", {}, ("features",), rounds=False),
    Cell("idle", "idle", {}, OUTSIDE, rounds=False, together=True),
]

# Counted by callgrind: (key, workload, arguments with the small and with the large size, tasks of each).
COUNTED_SUBJECTS = ("workpool", "tbb", "mutex")
COUNTED = [
    ("instructions_submit", "submit", ({"producers": 1, "workers": 1, "tasks": 50_000},
                                       {"producers": 1, "workers": 1, "tasks": 150_000}), (50_000, 150_000)),
    ("instructions_tree", "tree", ({"workers": 1, "depth": 14}, {"workers": 1, "depth": 16}),
     (2**15 - 1, 2**17 - 1)),
]
