// B12: an idle pool of 1 ... 64 threads is made and destroyed, again and again, none taking over a
// second; at the end no thread and no descriptor is left.
//
// usage: cycles COUNT
#include <cstdio>

#include "test_support.h"

using namespace workpool_test;

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fprintf(stderr, "usage: cycles COUNT\n");
    return 2;
  }
  const uint64_t count = std::strtoull(argv[1], nullptr, 10);
  const size_t threads = ThreadCount();
  const auto descriptors = Descriptors();
  const Stopwatch watch;
  double slowest = 0;
  for (uint64_t cycle = 0; cycle < count; ++cycle) {
    // 1 ... 64, the large ones rarely: they take the time.
    const uint64_t level = cycle % 64;
    const auto workers = static_cast<uint32_t>(level == 63 ? 64 : 1 + level % 8);
    pool_options_t options = Options(workers);
    // Destroyed while they start, while they fall asleep and when they sleep.
    options.prestart = cycle % 3 == 0 ? 0 : workers;
    const Stopwatch one;
    {
      ScopedPool pool(options);
      if (cycle % 3 == 0) Must(pool_tune(pool, workers), "pool_tune");
      if (cycle % 3 == 2) {
        if (!PollUntil([&] { return Stats(pool).workers_parked == workers; })) {
          std::fprintf(stderr, "cycle %llu: not all workers sleep\n",
                       static_cast<unsigned long long>(cycle));
          return 1;
        }
      }
    }
    slowest = std::max(slowest, one.Seconds());
  }
  std::printf("%llu cycles in %.1f s, the slowest %.1f ms\n",
              static_cast<unsigned long long>(count), watch.Seconds(), slowest * 1e3);
  if (!AwaitThreadCount(threads) || Descriptors() != descriptors) {
    std::fprintf(stderr, "threads or descriptors are left\n");
    return 1;
  }
  return slowest <= (kSanitized ? 10.0 : 1.0) ? 0 : 1;
}
