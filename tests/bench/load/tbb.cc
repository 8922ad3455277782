// oneTBB: enqueue into an arena of workers only, as many as there are cores, or --threads N. It would start one fewer;
// global_control raises that.
#include <tbb/global_control.h>
#include <tbb/task_arena.h>

#include "bench/load/replay.h"

namespace {

using bench_load::Job;

class Pool {
 public:
  static unsigned Threads() { return bench_load::Cores(); }
  explicit Pool(unsigned threads)
      : limit_(tbb::global_control::max_allowed_parallelism, threads + 1), arena_(static_cast<int>(threads), 0) {}
  void Submit(Job& job) {
    arena_.enqueue([&job] { bench_load::RunJob(job); });
  }

 private:
  tbb::global_control limit_;
  tbb::task_arena arena_;
};

}  // namespace

int main(int argc, char** argv) { return bench_load::Replay<Pool>(argc, argv, "oneTBB"); }
