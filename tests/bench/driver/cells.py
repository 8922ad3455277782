"""What is measured: subjects, and cells. A cell is one workload with its arguments, run by several subjects."""
import typing

# The order of the columns in the tables. The first is what the others are compared with.
SUBJECTS = ["workpool", "tbb", "mutex", "asio", "glib", "eigen", "uv", "gomp", "futex", "physical"]

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
