"""One home: what is wrapped once in src/base is used directly nowhere else in the library.

src/cli and bindings/ are programs on top of the C interface; they cannot see src/base and are not
bound.
"""
import re

import house

# (what, how it looks in code, the files that are its home). Homes are exact, so that a second one
# is a decision that shows in this table.
HOMES = [
    (
        "atomics",
        r"#\s*include\s*<(atomic|stdatomic\.h)>|\bstd::atomic(_ref|_flag|_bool|_int)?\b(?!_)"
        r"|\b__(atomic|sync)_\w+",
        {"src/base/atomic.h"},
    ),
    (
        "fences",
        r"\b\w*atomic_(thread|signal)_fence\b|\bSYS_membarrier\b|linux/membarrier\.h",
        {"src/base/fence.h", "src/base/fence.cc"},
    ),
    (
        "logging",
        r"#\s*include\s*[<\"](spdlog|fmt)/|\bspdlog::",
        {"src/base/log.h", "src/base/log.cc"},
    ),
    (
        "the futex call",
        r"\bSYS_futex\w*|\b__NR_futex|linux/futex\.h|\bFUTEX_[A-Z_]+\b",
        {"src/base/futex.cc"},
    ),
    (
        "thread start",
        r"\bpthread_create\b|\bthrd_create\b|\bstd::(thread|jthread|async)\b"
        r"|#\s*include\s*<(thread|future)>|\bclone3?\s*\(",
        {"src/base/thread.cc"},
    ),
    (
        "the clock",
        r"\bclock_gettime\b|\bstd::chrono\b|#\s*include\s*<chrono>|\bgettimeofday\b"
        r"|\bstd::time\b|\b__rdtsc\b|\bCLOCK_[A-Z_]+\b",
        {"src/base/clock.cc"},
    ),
    (
        "allocation",
        r"\b(malloc|calloc|realloc|aligned_alloc|posix_memalign|memalign|mmap|strdup)\s*\("
        r"|\boperator\s+new\b|\bstd::make_(unique|shared)\b|\bnew\s+(\(std::nothrow\)\s*)?[A-Za-z_:]"
        r"|(?<!=\s)(?<!=)\bdelete\b(?!\s*[;,)])|\bstd::(malloc|calloc|aligned_alloc)\b",
        # log.cc: spdlog takes its sink as a shared_ptr; made once, where no task waits for it.
        {"src/base/memory.h", "src/base/memory.cc", "src/base/log.cc"},
    ),
    ("fork handlers", r"\bpthread_atfork\b", {"src/base/process.cc"}),
    (
        "randomness",
        r"#\s*include\s*<random>|\bstd::(mt19937|random_device)\b|\bs?rand(om)?\s*\(",
        {"src/base/random.h"},
    ),
    # libstdc++'s and glibc's waits are known to lose wake-ups; here a thread sleeps on its own
    # futex word.
    (
        "B16: waiting primitives of the library",
        r"\bstd::(counting_semaphore|binary_semaphore|latch|barrier|condition_variable(_any)?)\b"
        r"|#\s*include\s*<(semaphore|latch|barrier|condition_variable|semaphore\.h)>|\bsem_wait\b"
        r"|(\.|->)\s*(wait|notify_one|notify_all)\s*\(|\bpthread_cond_\w+|\batomic_wait\w*",
        set(),
    ),
    # A lock is base/mutex.h, which knows who holds what and is annotated.
    (
        "foreign locks",
        r"#\s*include\s*<(mutex|shared_mutex)>|\bpthread_(mutex|rwlock|spin)_\w+"
        r"|\bstd::(mutex|shared_mutex|lock_guard|unique_lock|scoped_lock|once_flag|call_once)\b"
        r"|\babsl::Mutex\b",
        set(),
    ),
    # Their destructors run in an unknown order at thread exit, or point into unloaded code.
    (
        "thread-exit destructors",
        r"\bpthread_key_create\b|\btss_create\b|\b__cxa_thread_atexit\w*",
        set(),
    ),
]


def check(tree):
    complaints = []
    for path, text in tree.matching(r"(src/(?!cli/)|capi/|include/)" + house.SOURCE).items():
        code = house.code_of(text)
        for what, pattern, homes in HOMES:
            if path in homes:
                continue
            for match in re.finditer(pattern, code):
                line = code.count("\n", 0, match.start()) + 1
                home = " or ".join(sorted(homes)) or "nowhere"
                complaints.append(
                    f"{path}:{line}: {what} ('{match.group().strip()}') belongs in {home}"
                )
    for what, _, homes in HOMES:
        for home in homes:
            # A home need not exist (no logging yet), but one that exists must be a file of base.
            if not home.startswith("src/base/"):
                complaints.append(f"{what}: its home {home} is not in src/base")
    return complaints


RIGHT = {
    "src/base/atomic.h": "#include <atomic>\nusing A = std::atomic<int>;\n",
    "src/base/memory.cc": "void* p = std::malloc(1);\n",
    "src/pool/p.cc": "// std::mutex, malloc(1)\nP(const P&) = delete;\n"
    'auto* q = New<T>(); new (memory) T(); Say("std::thread");\n'
    "auto order = std::memory_order_acquire;\n",
    "src/cli/main.cc": "#include <atomic>\nstd::thread t;\n",
}
WRONG = [
    ("src/pool/a.cc:1: atomics", {"src/pool/a.cc": "#include <atomic>\n"}),
    ("atomics", {"capi/a.cc": "std::atomic<int> a;\n"}),
    ("atomics", {"src/queue/a.cc": "__atomic_load_n(&x, 0);\n"}),
    ("fences", {"src/queue/a.cc": "std::atomic_thread_fence(kSeqCst);\n"}),
    ("logging", {"src/worker/a.cc": "#include <spdlog/spdlog.h>\n"}),
    ("futex", {"src/park/a.cc": "syscall(SYS_futex, &w);\n"}),
    ("futex", {"src/base/mutex.cc": "#include <linux/futex.h>\n"}),
    ("thread start", {"src/worker/a.cc": "pthread_create(&t, 0, f, 0);\n"}),
    ("thread start", {"src/worker/a.cc": "std::thread t(f);\n"}),
    ("clock", {"src/scaling/a.cc": "clock_gettime(1, &t);\n"}),
    ("clock", {"src/scaling/a.cc": "auto t = std::chrono::steady_clock::now();\n"}),
    ("allocation", {"src/task/a.cc": "T* t = new T();\n"}),
    ("allocation", {"src/task/a.cc": "T* t = new (std::nothrow) T();\n"}),
    ("allocation", {"src/task/a.cc": "void f() { delete t; }\n"}),
    ("allocation", {"src/task/a.cc": "void* p = mmap(nullptr, 1);\n"}),
    ("allocation", {"src/task/a.cc": "auto p = std::make_unique<T>();\n"}),
    ("allocation", {"capi/a.cc": "char* s = strdup(t);\n"}),
    ("fork", {"src/pool/a.cc": "pthread_atfork(0, 0, f);\n"}),
    ("random", {"src/worker/a.cc": "int v = rand();\n"}),
    ("B16", {"src/park/a.cc": "std::counting_semaphore<1> s;\n"}),
    ("B16", {"src/park/a.cc": "std::latch l(1);\n"}),
    ("B16", {"capi/a.cc": "word.notify_one();\n"}),
    ("B16", {"src/park/a.cc": "word->wait(0);\n"}),
    ("B16", {"src/base/a.cc": "std::condition_variable c;\n"}),
    ("foreign locks", {"src/pool/a.cc": "std::lock_guard<M> l(m);\n"}),
    ("thread-exit", {"src/base/a.cc": "pthread_key_create(&k, f);\n"}),
]

if __name__ == "__main__":
    house.main("homes", check, RIGHT, WRONG)
