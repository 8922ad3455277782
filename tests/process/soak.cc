// Exactly once: sends N tasks through a pool, in all the ways there are at once, and checks sum,
// xor and a bitmap of their ids at the end.
//
// usage: soak TASKS WORKERS [PRODUCERS]
//
// A producer submits, by turns: plain tasks, arrays, tasks with a ticket (some waited for, some
// helped with), members of a group, and parents that make children, by ctx, fork and loop. Each id
// is one task's; a task that runs twice or never is found by its bit.
#include <cinttypes>
#include <cstdio>
#include <memory>
#include <vector>

#include "test_support.h"

using namespace workpool_test;

namespace {

class Ledger {
 public:
  explicit Ledger(uint64_t ids) : ids_(ids), bits_((ids + 63) / 64) {}

  void Run(uint64_t id) {
    const uint64_t bit = uint64_t{1} << (id % 64);
    if ((bits_[id / 64].fetch_or(bit, std::memory_order_relaxed) & bit) != 0) {
      doubled_.fetch_add(1, std::memory_order_relaxed);
    }
    // Spread, so that the count is not what the workers fight for.
    Sums& sums = sums_[id % kSums];
    sums.sum.fetch_add(id, std::memory_order_relaxed);
    sums.xored.fetch_xor(id, std::memory_order_relaxed);
  }

  [[nodiscard]] bool Balanced() const {
    uint64_t sum = 0, xored = 0, wanted_sum = 0, wanted_xor = 0, missing = 0;
    for (const Sums& sums : sums_) {
      sum += sums.sum;
      xored ^= sums.xored;
    }
    for (uint64_t id = 0; id < ids_; ++id) {
      wanted_sum += id;
      wanted_xor ^= id;
      if ((bits_[id / 64] >> (id % 64) & 1) == 0) ++missing;
    }
    if (sum == wanted_sum && xored == wanted_xor && missing == 0 && doubled_ == 0) return true;
    std::fprintf(stderr,
                 "sum %" PRIu64 " of %" PRIu64 ", xor %" PRIu64 " of %" PRIu64 ", %" PRIu64
                 " missing, %" PRIu64 " doubled\n",
                 sum, wanted_sum, xored, wanted_xor, missing, doubled_.load());
    return false;
  }

 private:
  static constexpr size_t kSums = 16;
  struct alignas(64) Sums {
    std::atomic<uint64_t> sum{0}, xored{0};
  };

  const uint64_t ids_;
  std::vector<std::atomic<uint64_t>> bits_;
  Sums sums_[kSums];
  std::atomic<uint64_t> doubled_{0};
};

Ledger* g_ledger = nullptr;
pool_t g_pool = 0;

// A task's argument is its id, or for a parent the first of its kFamily ids.
void* IdArg(uint64_t id) { return reinterpret_cast<void*>(static_cast<uintptr_t>(id)); }
uint64_t IdOf(void* arg) { return static_cast<uint64_t>(reinterpret_cast<uintptr_t>(arg)); }

int32_t RunOne(void* arg, pool_ctx_t*) {
  g_ledger->Run(IdOf(arg));
  return 0;
}

constexpr uint64_t kFamily = 16;  // 1 parent, 5 by ctx, 2 by fork, 8 by loop

int32_t RunParent(void* arg, pool_ctx_t* ctx) {
  const uint64_t first = IdOf(arg);
  g_ledger->Run(first);
  for (uint64_t id = first + 1; id < first + 6; ++id) {
    Must(pool_ctx_submit(ctx, RunOne, IdArg(id)), "pool_ctx_submit");
  }
  pool_fork_t forks[2];
  Must(pool_ctx_fork(ctx, &forks[0], RunOne, IdArg(first + 6)), "pool_ctx_fork");
  Must(pool_ctx_fork(ctx, &forks[1], RunOne, IdArg(first + 7)), "pool_ctx_fork");
  const pool_range_fn range = [](void*, uint64_t begin, uint64_t end, uint32_t, pool_ctx_t*) {
    for (uint64_t id = begin; id < end; ++id) g_ledger->Run(id);
    return int32_t{0};
  };
  Must(pool_parallel_for(g_pool, first + 8, first + 16, 2, 0, range, nullptr, nullptr),
       "pool_parallel_for");
  Must(pool_ctx_join(ctx, &forks[1], nullptr), "pool_ctx_join");
  Must(pool_ctx_join(ctx, &forks[0], nullptr), "pool_ctx_join");
  return 0;
}

// What each way to submit makes of the next ids; ids [from, to) are the producer's.
class Producer {
 public:
  Producer(uint64_t from, uint64_t to) : next_(from), end_(to) {
    Must(pool_group_create(g_pool, nullptr, &group_), "pool_group_create");
  }

  void Produce() {
    for (uint64_t turn = 0; next_ < end_; ++turn) {
      switch (turn % 8) {
        case 0:
          WithTicket(0);
          break;
        case 1:
          WithTicket(POOL_WAIT_HELP);
          break;
        case 2:
          Members(16);
          break;
        case 3:
        case 4:
          Parents(4);
          break;
        case 5:
          Array(256);
          break;
        default:
          Plain(256);
          break;
      }
    }
    Must(pool_group_wait(group_, POOL_FOREVER, nullptr), "pool_group_wait");
    Must(pool_group_release(group_), "pool_group_release");
  }

 private:
  void Plain(uint64_t count) {
    for (; count > 0 && next_ < end_; --count) {
      Must(pool_submit(g_pool, RunOne, IdArg(next_++)), "pool_submit");
    }
  }
  void Array(uint32_t count) {
    args_.clear();
    for (; count > 0 && next_ < end_; --count) args_.push_back(IdArg(next_++));
    Must(pool_submit_many(g_pool, RunOne, args_.data(), static_cast<uint32_t>(args_.size()),
                          nullptr),
         "pool_submit_many");
  }
  void Members(uint64_t count) {
    for (; count > 0 && next_ < end_; --count) {
      Must(pool_group_submit(group_, RunOne, IdArg(next_++)), "pool_group_submit");
    }
  }
  void Parents(uint64_t count) {
    for (; count > 0; --count) {
      if (end_ - next_ < kFamily) return Plain(kFamily);
      Must(pool_submit(g_pool, RunParent, IdArg(next_)), "pool_submit");
      next_ += kFamily;
    }
  }
  // Some are given back at once, one in sixteen is waited for.
  void WithTicket(uint32_t flags) {
    for (int i = 0; i < 16 && next_ < end_; ++i) {
      const pool_ticket_t ticket = Submit(g_pool, Task(RunOne, IdArg(next_++)));
      if (i == 15) Must(pool_wait(ticket, flags, POOL_FOREVER, nullptr, 0), "pool_wait");
      Must(pool_ticket_release(ticket), "pool_ticket_release");
    }
  }

  uint64_t next_;
  const uint64_t end_;
  pool_group_t group_ = 0;
  std::vector<void*> args_;
};

}  // namespace

int main(int argc, char** argv) {
  if (argc < 3) {
    std::fprintf(stderr, "usage: soak TASKS WORKERS [PRODUCERS]\n");
    return 2;
  }
  const uint64_t tasks = std::strtoull(argv[1], nullptr, 10);
  const auto workers = static_cast<uint32_t>(std::strtoul(argv[2], nullptr, 10));
  const uint64_t producers = argc > 3 ? std::strtoull(argv[3], nullptr, 10) : 2;
  Ledger ledger(tasks);
  g_ledger = &ledger;
  pool_options_t options = Options(workers);
  options.on_full = POOL_ON_FULL_BLOCK;
  options.queue_limit = 100'000;
  const Stopwatch watch;
  {
    ScopedPool pool(options);
    g_pool = pool;
    std::vector<std::thread> threads;
    for (uint64_t p = 0; p < producers; ++p) {
      threads.emplace_back(
          [=] { Producer(tasks * p / producers, tasks * (p + 1) / producers).Produce(); });
    }
    for (auto& thread : threads) thread.join();
    Must(pool_wait_idle(pool, POOL_FOREVER), "pool_wait_idle");
    const pool_stats_t stats = Stats(pool);
    if (stats.submitted != stats.done || stats.queued != 0) {
      std::fprintf(stderr, "submitted %" PRIu64 ", done %" PRIu64 ", queued %" PRIu64 "\n",
                   stats.submitted, stats.done, stats.queued);
      return 1;
    }
  }
  const double seconds = watch.Seconds();
  if (!ledger.Balanced()) return 1;
  std::printf("%" PRIu64 " tasks, %" PRIu32 " workers, %" PRIu64
              " producers: each ran once; %.2f s, %.2f M/s\n",
              tasks, workers, producers, seconds, static_cast<double>(tasks) / seconds / 1e6);
  return 0;
}
