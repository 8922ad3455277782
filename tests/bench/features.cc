// bench_features: what each feature costs a task, in ns and bytes, the strict order against a mutex and a
// std::priority_queue, and the timers at a million. Prints Markdown; features are interleaved, medians over rounds.
#include <pthread.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <cstdio>
#include <fstream>
#include <functional>
#include <mutex>
#include <queue>
#include <string>
#include <thread>
#include <vector>

#include "bench/harness/arguments.h"
#include "bench/harness/clock.h"
#include "bench/harness/rounds.h"
#include "workpool/workpool.h"

namespace bench {
namespace {

std::atomic<uint64_t> g_runs{0};

int32_t Count(void*, pool_ctx_t*) {
  g_runs.store(g_runs.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
  return 0;
}
// Asks once for another run.
int32_t CountAndRetryOnce(void*, pool_ctx_t* ctx) {
  if (pool_ctx_attempt(ctx) == 1) return POOL_RETRY;
  return Count(nullptr, ctx);
}
void NoDone(void*, const pool_result_t*) {}
void NoWatermark(void*, pool_t, int32_t, uint64_t) {}

void Must(pool_status_t status, const char* what) {
  if (status == POOL_OK) return;
  char text[512];
  (void)pool_last_error(nullptr, text, sizeof(text), nullptr);
  std::fprintf(stderr, "bench: %s: %s\n", what, text);
  std::exit(1);
}

pool_options_t Options() {
  pool_options_t options;
  Must(pool_options_init(&options, sizeof(options)), "pool_options_init");
  options.workers_max = 1;
  options.queue_limit = POOL_UNLIMITED;
  return options;
}

// What one feature's tasks have in common while they are measured.
struct Site {
  pool_t pool = 0;
  pool_group_t group = 0;
  pool_token_t token = 0;
  pool_cq_t cq = 0;
};

struct Feature {
  std::string name;
  std::function<void(pool_options_t&)> options = [](pool_options_t&) {};
  // nullptr: pool_submit.
  std::function<void(pool_task_t&, const Site&, uint64_t i)> task;
  bool ticket = false;
};

uint64_t ResidentBytes() {
  std::ifstream statm("/proc/self/statm");
  uint64_t pages = 0;
  statm >> pages >> pages;
  return pages * static_cast<uint64_t>(sysconf(_SC_PAGESIZE));
}

class Run {
 public:
  explicit Run(const Feature& feature) : feature_(feature) {
    pool_options_t options = Options();
    feature.options(options);
    Must(pool_create(&options, &site_.pool), "pool_create");
    Must(pool_group_create(site_.pool, nullptr, &site_.group), "pool_group_create");
    Must(pool_token_create(0, &site_.token), "pool_token_create");
    Must(pool_cq_create(1 << 21, &site_.cq), "pool_cq_create");
    pool_class_options_t with;
    Must(pool_class_options_init(&with, sizeof(with)), "pool_class_options_init");
    with.concurrency_max = 1'000'000;
    Must(pool_class_set(site_.pool, 1, &with), "pool_class_set");
    Must(pool_task_init(&task_, sizeof(task_)), "pool_task_init");
    task_.run = &Count;
  }
  ~Run() {
    (void)pool_group_release(site_.group);
    (void)pool_token_release(site_.token);
    (void)pool_cq_release(site_.cq);
    Must(pool_destroy(site_.pool), "pool_destroy");
  }
  Run(const Run&) = delete;
  Run& operator=(const Run&) = delete;

  pool_t pool() const { return site_.pool; }

  // Submits count tasks.
  void Submit(uint64_t count) {
    for (uint64_t i = 0; i < count; ++i) {
      if (!feature_.task) {
        Must(pool_submit(site_.pool, &Count, nullptr), "pool_submit");
        continue;
      }
      feature_.task(task_, site_, i);
      pool_ticket_t ticket = 0;
      Must(pool_submit_task(site_.pool, &task_, feature_.ticket ? &ticket : nullptr), "pool_submit_task");
      if (feature_.ticket) Must(pool_ticket_release(ticket), "pool_ticket_release");
    }
  }
  void Drain() {
    Must(pool_wait_idle(site_.pool, POOL_FOREVER), "pool_wait_idle");
    pool_completion_t batch[256];
    uint32_t n = 1;
    while (n > 0 && pool_cq_poll(site_.cq, batch, sizeof(batch[0]), 256, 0, &n) == POOL_OK) {
    }
  }

 private:
  const Feature& feature_;
  Site site_;
  pool_task_t task_;
};

// ns for a task from submit to idle.
double NsEach(Run& run, uint64_t tasks) {
  const uint64_t before = g_runs.load();
  const uint64_t start_ns = NowNs();
  run.Submit(tasks);
  run.Drain();
  const double ns = static_cast<double>(NowNs() - start_ns) / static_cast<double>(tasks);
  Require(g_runs.load() - before == tasks, "every task ran once");
  return ns;
}

// Bytes of memory for a task that waits.
double BytesEach(const Feature& feature, uint64_t tasks) {
  Run run(feature);
  run.Submit(1000);
  run.Drain();
  Must(pool_pause(run.pool()), "pool_pause");
  const uint64_t before = ResidentBytes();
  run.Submit(tasks);
  const uint64_t after = ResidentBytes();
  Must(pool_resume(run.pool()), "pool_resume");
  run.Drain();
  return static_cast<double>(after - before) / static_cast<double>(tasks);
}

std::vector<Feature> Features() {
  using T = pool_task_t;
  using O = pool_options_t;
  return {
      {"`pool_submit`, nothing used", [](O&) {}, nullptr},
      {"`pool_submit_task`, nothing used", [](O&) {}, [](T&, const Site&, uint64_t) {}},
      {"done callback", [](O&) {}, [](T& t, const Site&, uint64_t) { t.done = &NoDone; }},
      {"ticket, released at once", [](O&) {}, [](T&, const Site&, uint64_t) {}, true},
      {"group", [](O&) {}, [](T& t, const Site& s, uint64_t) { t.group = s.group; }},
      {"token", [](O&) {}, [](T& t, const Site& s, uint64_t) { t.token = s.token; }},
      {"completion queue", [](O&) {}, [](T& t, const Site& s, uint64_t) { t.cq = s.cq; }},
      {"priority, high lane", [](O&) {}, [](T& t, const Site&, uint64_t) { t.priority = 1; }},
      {"priority, low lane", [](O&) {}, [](T& t, const Site&, uint64_t) { t.priority = -1; }},
      {"key, all different", [](O&) {}, [](T& t, const Site&, uint64_t i) { t.key = i + 1; }},
      {"key, all the same", [](O&) {}, [](T& t, const Site&, uint64_t) { t.key = 1; }},
      {"class with a concurrency limit", [](O&) {}, [](T& t, const Site&, uint64_t) { t.class_id = 1; }},
      {"cost in bytes", [](O& o) { o.queue_limit_bytes = UINT64_MAX / 2; },
       [](T& t, const Site&, uint64_t) { t.cost_bytes = 100; }},
      {"deadline, not reached", [](O&) {},
       [](T& t, const Site&, uint64_t) { t.queue_timeout_ns = 60'000'000'000; }},
      {"run timeout, not reached", [](O&) {},
       [](T& t, const Site&, uint64_t) { t.run_timeout_ns = 60'000'000'000; }},
      {"retries allowed, none used", [](O&) {}, [](T& t, const Site&, uint64_t) { t.retries_max = 3; }},
      {"one retry, after 1 ns", [](O&) {},
       [](T& t, const Site&, uint64_t) {
         t.run = &CountAndRetryOnce;
         t.retries_max = 1;
         t.backoff_first_ns = 1;
       }},
      {"delay of 1 ms", [](O&) {}, [](T& t, const Site&, uint64_t) { t.delay_ns = 1'000'000; }},
      {"pool: exact queue limit", [](O& o) { o.queue_limit = 4096, o.on_full = POOL_ON_FULL_BLOCK; }, nullptr},
      {"pool: strategy fifo", [](O& o) { o.strategy = POOL_STRATEGY_FIFO; }, nullptr},
      {"pool: strategy lifo", [](O& o) { o.strategy = POOL_STRATEGY_LIFO; }, nullptr},
      {"pool: strategy priority", [](O& o) { o.strategy = POOL_STRATEGY_PRIORITY; }, nullptr},
      {"pool: rate limit, not reached",
       [](O& o) { o.rate_count = 1'000'000'000, o.rate_burst = 2'000'000'000; }, nullptr},
      {"pool: CoDel, not shedding", [](O& o) { o.codel_target_ns = 60'000'000'000; }, nullptr},
      {"pool: watermarks", [](O& o) { o.queue_high = UINT64_MAX, o.watermark = &NoWatermark; }, nullptr},
      {"pool: watched for stuck tasks", [](O& o) { o.stuck_after_ns = 1'000'000'000; }, nullptr},
  };
}

void TableOfFeatures(uint64_t tasks, int rounds) {
  const std::vector<Feature> features = Features();
  std::vector<Figures> ns(features.size());
  for (int round = 0; round < rounds; ++round) {
    for (size_t k = 0; k < features.size(); ++k) {
      const size_t i = (k + static_cast<size_t>(round)) % features.size();
      Run run(features[i]);
      (void)NsEach(run, tasks / 10);
      ns[i].Add(NsEach(run, tasks));
    }
  }
  std::printf("| feature | ns a task | times `pool_submit` | bytes a waiting task |\n|---|---|---|---|\n");
  const double plain = ns[0].Median();
  for (size_t i = 0; i < features.size(); ++i) {
    const double bytes = features[i].name.find("exact queue") != std::string::npos ? 0 : BytesEach(features[i], tasks);
    std::printf("| %s | %.0f | %.1f | %.0f |\n", features[i].name.c_str(), ns[i].Median(), ns[i].Median() / plain, bytes);
  }
}

// The plain pool: one lock around a std::priority_queue.
class MutexPriorityPool {
 public:
  MutexPriorityPool() : worker_([this] { Work(); }) {}
  ~MutexPriorityPool() {
    {
      const std::lock_guard<std::mutex> lock(mu_);
      stop_ = true;
    }
    ready_.notify_all();
    worker_.join();
  }
  void Submit(int32_t priority) {
    {
      const std::lock_guard<std::mutex> lock(mu_);
      queue_.push({priority, next_++, &Count});
    }
    ready_.notify_one();
  }
  void Hold(bool hold) {
    {
      const std::lock_guard<std::mutex> lock(mu_);
      held_ = hold;
    }
    ready_.notify_all();
  }
  void AwaitRuns(uint64_t runs) {
    while (g_runs.load() < runs) std::this_thread::yield();
  }

 private:
  struct Entry {
    int32_t priority;
    uint64_t order;
    pool_run_fn run;
    bool operator<(const Entry& other) const {
      return priority != other.priority ? priority < other.priority : order > other.order;
    }
  };
  void Work() {
    std::unique_lock<std::mutex> lock(mu_);
    for (;;) {
      ready_.wait(lock, [&] { return stop_ || (!held_ && !queue_.empty()); });
      if (stop_) return;
      const Entry entry = queue_.top();
      queue_.pop();
      lock.unlock();
      (void)entry.run(nullptr, nullptr);
      lock.lock();
    }
  }

  std::mutex mu_;
  std::condition_variable ready_;
  std::priority_queue<Entry> queue_;
  uint64_t next_ = 0;
  bool stop_ = false;
  bool held_ = false;
  std::thread worker_;
};

uint32_t Scatter(uint64_t i) { return static_cast<uint32_t>((i * 0x9E3779B97F4A7C15u) >> 40); }

// tasks queued while the worker is held, then run: ns a task for both together. levels: distinct priorities.
void TableOfPriority(uint64_t tasks, int rounds) {
  std::printf("\n| strict priority, %llu tasks queued, then run | libworkpool ns | mutex + std::priority_queue ns | ratio |\n"
              "|---|---|---|---|\n",
              static_cast<unsigned long long>(tasks));
  for (const uint32_t levels : {3u, 1u << 24}) {
    Figures ours, theirs, ratio;
    for (int round = 0; round < rounds; ++round) {
      pool_options_t options = Options();
      options.strategy = POOL_STRATEGY_PRIORITY;
      pool_t pool = 0;
      Must(pool_create(&options, &pool), "pool_create");
      Must(pool_pause(pool), "pool_pause");
      pool_task_t task;
      Must(pool_task_init(&task, sizeof(task)), "pool_task_init");
      task.run = &Count;
      uint64_t start_ns = NowNs();
      for (uint64_t i = 0; i < tasks; ++i) {
        task.priority = static_cast<int32_t>(Scatter(i) % levels);
        Must(pool_submit_task(pool, &task, nullptr), "pool_submit_task");
      }
      Must(pool_resume(pool), "pool_resume");
      Must(pool_wait_idle(pool, POOL_FOREVER), "pool_wait_idle");
      const double our_ns = static_cast<double>(NowNs() - start_ns) / static_cast<double>(tasks);
      Must(pool_destroy(pool), "pool_destroy");

      MutexPriorityPool mutex_pool;
      const uint64_t before = g_runs.load();
      mutex_pool.Hold(true);
      start_ns = NowNs();
      for (uint64_t i = 0; i < tasks; ++i) mutex_pool.Submit(static_cast<int32_t>(Scatter(i) % levels));
      mutex_pool.Hold(false);
      mutex_pool.AwaitRuns(before + tasks);
      const double their_ns = static_cast<double>(NowNs() - start_ns) / static_cast<double>(tasks);
      ours.Add(our_ns);
      theirs.Add(their_ns);
      ratio.Add(our_ns / their_ns);
    }
    std::printf("| %s | %.0f | %.0f | %.2f |\n", levels == 3 ? "3 priorities" : "all different", ours.Median(),
                theirs.Median(), ratio.Median());
  }
}

std::vector<uint64_t> g_late_ns;
std::atomic<uint64_t> g_late_count{0};

int32_t NoteLateness(void* arg, pool_ctx_t*) {
  const auto due_ns = static_cast<uint64_t>(reinterpret_cast<uintptr_t>(arg));
  g_late_ns[g_late_count.fetch_add(1, std::memory_order_relaxed)] = pool_now_ns() - due_ns;
  return 0;
}

// Timers that are due spread over a second.
void TableOfTimers(uint64_t timers) {
  pool_options_t options = Options();
  pool_t pool = 0;
  Must(pool_create(&options, &pool), "pool_create");
  pool_task_t task;
  Must(pool_task_init(&task, sizeof(task)), "pool_task_init");
  task.run = &NoteLateness;
  g_late_ns.assign(timers, 0);
  const uint64_t before = ResidentBytes();
  const uint64_t start_ns = NowNs();
  const uint64_t first_ns = pool_now_ns() + 3'000'000'000;
  for (uint64_t i = 0; i < timers; ++i) {
    const uint64_t due_ns = first_ns + Scatter(i) % 1'000'000'000;
    task.arg = reinterpret_cast<void*>(static_cast<uintptr_t>(due_ns));
    task.delay_ns = static_cast<int64_t>(due_ns - pool_now_ns());
    Must(pool_submit_task(pool, &task, nullptr), "pool_submit_task");
  }
  const double add_ns = static_cast<double>(NowNs() - start_ns) / static_cast<double>(timers);
  const double bytes = static_cast<double>(ResidentBytes() - before) / static_cast<double>(timers);
  Must(pool_wait_idle(pool, POOL_FOREVER), "pool_wait_idle");
  Must(pool_destroy(pool), "pool_destroy");
  Require(g_late_count.load() == timers, "every timer came");
  std::sort(g_late_ns.begin(), g_late_ns.end());
  const auto at = [&](double q) {
    return static_cast<double>(g_late_ns[static_cast<size_t>(q * static_cast<double>(timers - 1))]) / 1e3;
  };
  std::printf("\n| delayed tasks pending | submit ns | bytes each | start after due, p50 µs | p99 µs | p99.9 µs |\n"
              "|---|---|---|---|---|---|\n| %llu, due within one second | %.0f | %.0f | %.0f | %.0f | %.0f |\n",
              static_cast<unsigned long long>(timers), add_ns, bytes, at(0.5), at(0.99), at(0.999));
}

// What a task pays to ask whether it is to stop.
int32_t AskOften(void* arg, pool_ctx_t* ctx) {
  constexpr uint64_t kTimes = 10'000'000;
  int32_t stop = 0;
  const uint64_t start_ns = NowNs();
  for (uint64_t i = 0; i < kTimes; ++i) stop |= pool_ctx_should_stop(ctx);
  *static_cast<double*>(arg) = static_cast<double>(NowNs() - start_ns) / kTimes;
  return stop == 0 ? 0 : -1000;
}

void TableOfShouldStop() {
  pool_options_t options = Options();
  pool_t pool = 0;
  Must(pool_create(&options, &pool), "pool_create");
  double ns = 0;
  pool_task_t task;
  Must(pool_task_init(&task, sizeof(task)), "pool_task_init");
  task.run = &AskOften;
  task.arg = &ns;
  pool_token_t token = 0;
  Must(pool_token_create(0, &token), "pool_token_create");
  task.token = token;
  Must(pool_submit_task(pool, &task, nullptr), "pool_submit_task");
  Must(pool_destroy(pool), "pool_destroy");
  Must(pool_token_release(token), "pool_token_release");
  std::printf("\n`pool_ctx_should_stop` of a task under a token: %.1f ns.\n", ns);
}

}  // namespace
}  // namespace bench

int main(int argc, char** argv) {
  const bench::Arguments arguments(argc - 1, argv + 1);
  const uint64_t tasks = arguments.Number("tasks", 200'000);
  const uint64_t timers = arguments.Number("timers", 1'000'000);
  const auto rounds = static_cast<int>(arguments.Number("rounds", 7));
  arguments.FailIfUnasked();
  bench::TableOfFeatures(tasks, rounds);
  bench::TableOfPriority(timers, std::min(rounds, 5));
  bench::TableOfTimers(timers);
  bench::TableOfShouldStop();
  return 0;
}
