#include "stats_table.h"

#include <cinttypes>
#include <cstdio>

namespace workpool_cli {
namespace {

void Row(const char* a, uint64_t av, const char* b, uint64_t bv, const char* c, uint64_t cv) {
  std::printf("  %-10s %10" PRIu64 "   %-10s %10" PRIu64 "   %-10s %10" PRIu64 "\n", a, av, b, bv,
              c, cv);
}

void Times(const char* name, uint64_t p50_ns, uint64_t p99_ns) {
  std::printf("  %-10s p50 %9.3f ms     p99 %9.3f ms\n", name, static_cast<double>(p50_ns) / 1e6,
              static_cast<double>(p99_ns) / 1e6);
}

}  // namespace

void PrintStats(const pool_stats_t& s) {
  std::printf("pool statistics (the pieces of big files are tasks too)\n");
  Row("submitted", s.submitted, "started", s.started, "done", s.done);
  Row("failed", s.failed, "cancelled", s.cancelled, "steals", s.steals);
  Row("parks", s.parks, "wakes", s.wakes, "retired", s.retired);
  Times("in queue", s.wait_p50_ns, s.wait_p99_ns);
  Times("run", s.run_p50_ns, s.run_p99_ns);
}

}  // namespace workpool_cli
