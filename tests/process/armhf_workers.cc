// E8: 256 workers fit into a 32-bit address space. Exit code 0 if all of them run a task at once.
#include <cstdio>

#include "test_support.h"

using namespace workpool_test;

int main() {
  constexpr uint32_t kWorkers = 256;
  pool_options_t options = Options(kWorkers);
  options.prestart = kWorkers;
  ScopedPool pool(options);
  Gate gate;
  std::atomic<uint64_t> runs{0};
  for (uint32_t i = 0; i < kWorkers; ++i) Must(pool_submit(pool, PassGate, &gate), "pool_submit");
  const bool all = gate.AwaitArrivals(kWorkers);
  gate.Open();
  for (int i = 0; i < 10'000; ++i) Must(pool_submit(pool, CountRun, &runs), "pool_submit");
  Must(pool_destroy(pool.GiveUp()), "pool_destroy");
  std::printf("%u-bit pointers, %u workers at once: %s, %llu tasks after them\n",
              static_cast<unsigned>(sizeof(void*) * 8), kWorkers, all ? "yes" : "no",
              static_cast<unsigned long long>(runs.load()));
  return all && runs == 10'000 ? 0 : 1;
}
