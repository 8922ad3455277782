// Chaos: pools of 1, 2 and 16 workers under streams of tasks of all kinds at once, of which 5 % throw and 10 % take five
// times as long; some are cancelled, expire, are shed, are tried again, run again each period, submit children, end their
// thread, while somebody else changes the pool's size and limits, pauses it and looks, and other pools come and go. Each
// pool is closed in the midst of it, by all three modes in turn, or destroyed, or given up.
//
// usage: chaos SECONDS [SEED]
//
// It checks that
//   - each task that was accepted has one outcome, one done, one drop, and, if it asked for that, one completion; and one
//     that was refused was never touched;
//   - no two tasks of a key, and no more of a class than may, run at once, and keys keep their order;
//   - of the waits of tasks that only the queue keeps from starting, the 99.9th percentile is below kWaitBoundNs, but with the
//     strategy lifo, which lets the oldest wait while others come; and the longest is below kLongestWaitBoundNs, with any;
//   - threads, descriptors and memory are in the end what they were;
//   - the mixture goes through at no less than kThroughputBound of what its parts do, each alone. In CPU time, so that other
//     programs do not matter. With
//         body      what the tasks' own work took, each run on its thread's clock
//         cost(k)   (CPU time of the process - body) / tasks, in a run of tasks of kind k alone
//     a mixture of n(k) tasks of each kind should take body + sum of n(k) * cost(k); that, divided by the CPU time it took,
//     is its throughput as a share of the sum of its parts.
// The seed decides what is submitted; what meets what is up to the threads.
#include <malloc.h>
#include <poll.h>

#include <algorithm>

#include "chaos_producer.h"

namespace chaos {
namespace {

// The longest queue below holds 8000 tasks of 28 us in the mean; a low one is passed by others, and the machine may be busy.
constexpr uint64_t kWaitBoundNs = kSanitized ? 20'000'000'000 : 2'000'000'000;
constexpr uint64_t kLongestWaitBoundNs = kSanitized ? 60'000'000'000 : 10'000'000'000;
constexpr double kThroughputBound = 0.9;
// What the C library may keep for itself.
constexpr size_t kMemorySlack = 24 << 20;

size_t ResidentBytes() {
  size_t pages = 0, resident = 0;
  std::ifstream("/proc/self/statm") >> pages >> resident;
  return resident * static_cast<size_t>(sysconf(_SC_PAGESIZE));
}

struct Config {
  uint32_t workers;
  int32_t strategy;
};
// Each third one gets the long rounds: all sizes and strategies are among these.
constexpr Config kConfigs[] = {{1, POOL_STRATEGY_STEALING}, {2, POOL_STRATEGY_FIFO},     {16, POOL_STRATEGY_LIFO},
                               {2, POOL_STRATEGY_PRIORITY}, {2, POOL_STRATEGY_STEALING}, {1, POOL_STRATEGY_LIFO},
                               {16, POOL_STRATEGY_FIFO},    {1, POOL_STRATEGY_PRIORITY}, {16, POOL_STRATEGY_STEALING},
                               {2, POOL_STRATEGY_LIFO},     {1, POOL_STRATEGY_FIFO},     {16, POOL_STRATEGY_PRIORITY}};
// By POOL_STRATEGY_...
constexpr const char* kStrategyNames[] = {"stealing", "fifo", "lifo", "priority"};
// After the modes of pool_close; the last one is pool_release.
constexpr int32_t kDestroy = 3, kModes = 5;
constexpr const char* kModeNames[kModes] = {"drain", "cancel queued", "cancel all", "destroy", "release"};

pool_status_t SetClasses(pool_t pool, uint32_t together) {
  pool_class_options_t options;
  Must(pool_class_options_init(&options, sizeof(options)), "pool_class_options_init");
  options.concurrency_max = together;
  const pool_status_t status = pool_class_set(pool, 1, &options);
  if (status != POOL_OK) return status;
  options.concurrency_max = 0;
  options.rate_count = 20'000;
  options.rate_burst = 100;
  return pool_class_set(pool, 2, &options);
}

// Reads completions until those of all tasks have come, and nobody submits any more.
class Reader {
 public:
  explicit Reader(Round& round) : round_(round), fd_(pool_cq_fd(round.completions)), thread_([this] { Read(); }) {
    if (fd_ < 0) Complain("no descriptor for completions");
  }
  // All have come, or the bound has passed.
  void Finish() {
    if (!PollUntil([&] { return round_.completed >= round_.completing; })) {
      Complain("%" PRIu64 " of %" PRIu64 " completions came", round_.completed.load(), round_.completing.load());
    }
    stop_ = true;
    thread_.join();
    if (round_.completed != round_.completing) Complain("more completions than tasks");
  }

 private:
  void Read() {
    pool_completion_t batch[64];
    while (!stop_) {
      pollfd entry{fd_, POLLIN, 0};
      if (poll(&entry, 1, 20) != 1) continue;
      uint32_t count = 0;
      const pool_status_t status = pool_cq_poll(round_.completions, batch, sizeof(batch[0]), 64, 0, &count);
      if (status != POOL_OK) Complain("the descriptor was readable: %s", pool_strerror(status));
      for (uint32_t i = 0; i < count; ++i) {
        auto& job = *static_cast<Job*>(batch[i].arg);
        if (job.drops != 1 || job.completions.fetch_add(1) != 0 || job.outcome != batch[i].outcome) {
          Complain("a completion came twice, early, or with another outcome");
        }
      }
      round_.completed += count;
    }
  }

  Round& round_;
  const int32_t fd_;
  std::atomic<bool> stop_{false};
  std::thread thread_;
};

// Looks at the pool, and changes what may be changed, until the round stops.
void Meddle(Round& round, uint64_t seed, uint32_t workers) {
  std::mt19937_64 numbers(seed);
  while (!round.stop) {
    pool_stats_t stats;
    if (pool_stats(round.pool, &stats, sizeof(stats)) != POOL_OK) return;
    if (stats.started < stats.ended_run || stats.submitted < stats.started + stats.ended_unrun ||
        stats.done + stats.failed + stats.cancelled + stats.expired + stats.shed != stats.ended_run + stats.ended_unrun) {
      Complain("a snapshot contradicts itself");
    }
    pool_running_t running[4];
    uint32_t count = 0;
    pool_status_t status = POOL_OK;
    switch (numbers() % 16) {
      case 0:
        status = pool_tune(round.pool, static_cast<uint32_t>(1 + numbers() % (2 * workers)));
        break;
      case 1:
        status = pool_tune(round.pool, 0);
        break;
      case 2:
        status = pool_pause(round.pool);
        std::this_thread::sleep_for(std::chrono::microseconds(numbers() % 2'000));
        if (status == POOL_OK) status = pool_resume(round.pool);
        break;
      case 3:
        status = SetClasses(round.pool, static_cast<uint32_t>(1 + numbers() % kClassMost));
        break;
      case 4:
        status = pool_running(round.pool, 1'000'000, running, sizeof(running[0]), 4, &count);
        if (status == POOL_E_INVALID) status = POOL_OK;  // not watched
        break;
      default:
        break;
    }
    if (status != POOL_OK && !Round::PoolIsOver(status)) Complain("meddling: %s", LastErrorText().c_str());
    std::this_thread::sleep_for(std::chrono::microseconds(numbers() % 4'000));
  }
}

pool_options_t OptionsOf(Round& round, const Config& config, uint64_t variant) {
  pool_options_t options = Options(config.workers);
  options.strategy = config.strategy;
  options.drop = Drop;
  options.on_full = POOL_ON_FULL_BLOCK;
  // One that is exact, one that is held as credits.
  options.queue_limit = variant % 2 == 0 ? 1'000 : 8'000;
  if (variant % 5 == 0) options.keep_alive_ns = 200'000;  // workers come and go
  if (variant % 3 == 1) options.stuck_after_ns = 5'000'000;
  if (variant % 4 == 3) options.queue_limit_bytes = 10'000'000;
  if (variant % 7 == 3) options.codel_target_ns = 20'000'000;
  if (variant % 2 == 1) options.queue_high = options.queue_limit / 8;
  options.queue_low = options.queue_high / 2;
  options.watermark_user = options.dead_letter_user = &round;
  if (options.queue_high != 0) {
    options.watermark = [](void* user, pool_t, int32_t above, uint64_t) { static_cast<Round*>(user)->watermark = above; };
  }
  options.dead_letter = DeadLetter;
  round.lanes = config.strategy == POOL_STRATEGY_STEALING;
  round.priorities = round.lanes || config.strategy == POOL_STRATEGY_PRIORITY;
  if (round.lanes) {
    options.lanes = variant % 3 == 0 ? 8 : 3;
    options.aging_ns = 20'000'000;
  }
  return options;
}

// A pool and what looks after it; produces until the end of its scope.
class Stream {
 public:
  Stream(Arena& arena, const Config& config, uint64_t variant, uint64_t seed, Kind only, bool throttled)
      : round_(arena) {
    arena.Reset();
    round_.throttled = throttled;
    const pool_options_t options = OptionsOf(round_, config, variant);
    Must(pool_create(&options, &round_.pool), "pool_create");
    Must(pool_cq_create(8192, &round_.completions), "pool_cq_create");
    Must(SetClasses(round_.pool, kClassMost), "pool_class_set");
    reader_ = std::make_unique<Reader>(round_);
    for (uint32_t i = 0; i < 3; ++i) {
      threads_.emplace_back([this, i, seed, only] { Producer(round_, i, seed, only).Produce(); });
    }
  }

  Round& round() { return round_; }
  template <typename Body>
  void AddThread(Body body) {
    threads_.emplace_back(body);
  }
  void StopProducing() {
    round_.stop = true;
    for (auto& thread : threads_) thread.join();
    threads_.clear();
  }

  // While it is produced, unless StopProducing came first.
  void Close(int32_t mode) {
    if (mode < kDestroy) {
      if (pool_close(round_.pool, mode, 2 * kBoundNs) != POOL_OK) Hang("pool_close");
    } else {
      Must(mode == kDestroy ? pool_destroy(round_.pool) : pool_release(round_.pool), kModeNames[mode]);
    }
    StopProducing();
    if (!PollUntil([&] { return round_.Ended() == round_.accepted; })) Hang("the end of all tasks");
    reader_->Finish();
    Must(pool_cq_release(round_.completions), "pool_cq_release");
    if (mode < kDestroy) {
      CheckOutcomes();
      Must(pool_destroy(round_.pool), "pool_destroy");
    }
    if (round_.dead_letters != round_.failed_records) {
      Complain("%" PRIu64 " dead letters of %" PRIu64 " failed tasks", round_.dead_letters.load(),
               round_.failed_records.load());
    }
    round_.arena.ForEach([](Job& job) { CheckJob(job); });
  }

 private:
  // It is best seen where it hangs.
  [[noreturn]] void Hang(const char* what) {
    Complain("%s takes too long: %" PRIu64 " accepted, %" PRIu64 " ended", what, round_.accepted.load(), round_.Ended());
    round_.arena.ForEach([](Job& job) {
      if (job.accepted && job.drops == 0) CheckJob(job);
    });
    std::abort();
  }

  void CheckOutcomes() {
    const pool_stats_t stats = Stats(round_.pool);
    const uint64_t told[5] = {stats.done, stats.failed, stats.cancelled, stats.expired, stats.shed};
    uint64_t sum = 0;
    for (int outcome = 0; outcome < 5; ++outcome) {
      sum += told[outcome];
      if (told[outcome] == round_.outcomes[outcome]) continue;
      Complain("outcome %d: %" PRIu64 " counted, %" PRIu64 " drops", outcome, told[outcome], round_.outcomes[outcome].load());
    }
    if (stats.submitted != sum || stats.submitted != round_.accepted || stats.queued != 0) {
      Complain("%" PRIu64 " submitted, %" PRIu64 " accepted, %" PRIu64 " outcomes, %" PRIu64 " queued", stats.submitted,
               round_.accepted.load(), sum, stats.queued);
    }
    if (!PollUntil([&] { return round_.watermark == 0; }, kBoundNs / 4)) Complain("an empty queue is told to be full");
  }

  static void CheckJob(const Job& job) {
    const uint32_t wanted = job.accepted ? 1 : 0;
    const bool right = job.drops == wanted && job.dones == (job.told ? wanted : 0) &&
                       job.completions == (job.completes ? wanted : 0) && (job.accepted || job.runs == 0);
    if (right || job.round == nullptr) return;
    Complain("a task of kind %s, %s: %u runs, %u dones, %u drops, %u completions", kKindNames[static_cast<size_t>(job.kind)],
             job.accepted ? "accepted" : "refused", job.runs.load(), job.dones.load(), job.drops.load(), job.completions.load());
  }

  Round round_;
  std::unique_ptr<Reader> reader_;
  std::vector<std::thread> threads_;
};

void SleepFor(double seconds) { std::this_thread::sleep_for(std::chrono::duration<double>(seconds)); }

// ---- throughput ----------------------------------------------------------------------------------

struct Cost {
  double cpu_ns = 0, body_ns = 0;
  uint64_t by_kind[kKinds]{};
};

// Of a stream that nobody meddles with, until the last of its tasks is over.
Cost Measure(Arena& arena, uint64_t seed, Kind only, double seconds) {
  const Config config{2, POOL_STRATEGY_STEALING};
  Cost cost;
  Stream stream(arena, config, 2, seed, only, true);
  const uint64_t before_ns = CpuNs(CLOCK_PROCESS_CPUTIME_ID);
  SleepFor(seconds);
  stream.StopProducing();
  Must(pool_wait_idle(stream.round().pool, kBoundNs), "pool_wait_idle");
  cost.cpu_ns = static_cast<double>(CpuNs(CLOCK_PROCESS_CPUTIME_ID) - before_ns);
  cost.body_ns = static_cast<double>(stream.round().body_ns);
  for (size_t i = 0; i < kKinds; ++i) cost.by_kind[i] = stream.round().by_kind[i];
  stream.Close(POOL_DRAIN);
  return cost;
}

// The mixture's throughput as a share of the sum of its parts.
double MeasureShare(Arena& arena, uint64_t seed, double seconds) {
  constexpr size_t kParts = kKinds - 1;
  const double slice = seconds / (kParts + 6);
  double costs[kParts];
  for (size_t i = 0; i < kParts; ++i) {
    const Cost cost = Measure(arena, seed, static_cast<Kind>(i), slice);
    costs[i] = cost.by_kind[i] == 0 ? 0 : (cost.cpu_ns - cost.body_ns) / static_cast<double>(cost.by_kind[i]);
  }
  const Cost mixture = Measure(arena, seed, Kind::kChild, 6 * slice);
  double wanted_ns = mixture.body_ns;
  uint64_t tasks = 0;
  for (size_t i = 0; i < kParts; ++i) {
    wanted_ns += static_cast<double>(mixture.by_kind[i]) * costs[i];
    tasks += mixture.by_kind[i];
    std::printf("  %-10s %6.2f us each beside its work, %8" PRIu64 " in the mixture\n", kKindNames[i], costs[i] / 1e3,
                mixture.by_kind[i]);
  }
  const double share = wanted_ns / mixture.cpu_ns;
  std::printf("throughput: %.0f tasks a second of CPU time, %.1f %% of the sum of the parts\n",
              static_cast<double>(tasks) / mixture.cpu_ns * 1e9, share * 100);
  return share;
}

void CheckThroughput(Arena& arena, uint64_t seed, double seconds) {
  // What else runs on the machine takes its caches, now from a part, now from the mixture.
  constexpr int kTries = 3;
  for (int i = 0; i < kTries; ++i) {
    // Instrumented code is another program.
    if (MeasureShare(arena, seed, seconds) >= kThroughputBound || kSanitized) return;
  }
  Complain("the mixture is slower than its parts by more than the bound");
}

// ---- rounds --------------------------------------------------------------------------------------

// Each size, strategy and mode at least once.
constexpr uint64_t kRoundsMin = kModes * std::size(kConfigs);

void PlayRound(Arena& arena, uint64_t index, uint64_t seed, double seconds) {
  const Config& config = kConfigs[index % std::size(kConfigs)];
  // One further each time that all configurations had their turn, so that all pairs come, and not always with the same options.
  const uint64_t variant = index + index / std::size(kConfigs);
  const auto mode = static_cast<int32_t>((index + index / kRoundsMin) % kModes);
  const Stopwatch watch;
  Stream stream(arena, config, variant, seed + index, Kind::kChild, false);
  Round& round = stream.round();
  stream.AddThread([&] { Meddle(round, seed + index, config.workers); });
  SleepFor(seconds);
  stream.Close(mode);
  const uint64_t wait_ns = round.waits.Quantile(0.999), longest_ns = round.waits.Longest();
  std::printf("round %3" PRIu64 ": %2u workers, %-8s, %-13s: %7" PRIu64 " tasks, %6" PRIu64 " failed, %5" PRIu64
              " cancelled, %5" PRIu64 " expired, %4" PRIu64 " shed; wait %.1f ms at 99.9 %%, %.1f ms at most; %.2f s; %zu MiB\n",
              index, config.workers, kStrategyNames[config.strategy], kModeNames[mode],
              round.accepted.load(), round.outcomes[POOL_FAILED].load(), round.outcomes[POOL_CANCELLED].load(),
              round.outcomes[POOL_EXPIRED].load(), round.outcomes[POOL_SHED].load(),
              static_cast<double>(wait_ns) / 1e6, static_cast<double>(longest_ns) / 1e6, watch.Seconds(), ResidentBytes() >> 20);
  if (wait_ns > kWaitBoundNs && config.strategy != POOL_STRATEGY_LIFO) Complain("waits are too long");
  if (longest_ns > kLongestWaitBoundNs) Complain("a wait is too long");
}

int Play(double seconds, uint64_t seed) {
  std::printf("chaos: %.0f seconds, seed %" PRIu64 "\n", seconds, seed);
  const Stopwatch watch;
  Arena arena(600'000), small_arena(300'000);
  const size_t threads = ThreadCount();
  const auto descriptors = Descriptors();
  CheckThroughput(arena, seed, seconds * 0.3);
  // Beside a long round there are two short ones, so that pools come and go while others are under way.
  const double slice = std::clamp(seconds * 0.6 * 3 / kRoundsMin, 0.2, 4.0);
  size_t resident = 0;
  for (uint64_t index = 0; index < kRoundsMin || watch.Seconds() < seconds; index += 3) {
    std::thread beside([&] {
      PlayRound(small_arena, index + 1, seed, slice / 2);
      PlayRound(small_arena, index + 2, seed, slice / 2);
    });
    PlayRound(arena, index, seed, slice);
    beside.join();
    if (!AwaitThreadCount(threads)) Complain("%zu threads are left over", ThreadCount() - threads);
    if (Descriptors() != descriptors) Complain("descriptors are left over");
    std::fflush(stdout);
    malloc_trim(0);
    if (index == 6) resident = ResidentBytes();
  }
  if (!kSanitized && ResidentBytes() > resident + kMemorySlack) {
    Complain("%zu MiB are resident, %zu were after the first rounds", ResidentBytes() >> 20, resident >> 20);
  }
  const uint32_t complaints = g_complaints;
  std::printf("%.1f s, %u complaints, seed %" PRIu64 "\n", watch.Seconds(), complaints, seed);
  return complaints == 0 ? 0 : 1;
}

}  // namespace
}  // namespace chaos

int main(int argc, char** argv) {
  if (argc < 2) {
    std::fprintf(stderr, "usage: chaos SECONDS [SEED]\n");
    return 2;
  }
  const uint64_t seed = argc > 2 ? std::strtoull(argv[2], nullptr, 10) : pool_now_ns() % 1'000'000;
  return chaos::Play(std::strtod(argv[1], nullptr), seed);
}
