// libworkpool with its defaults, which find the number of workers. It has no --threads.
#include <workpool/workpool.h>

#include "bench/load/replay.h"

namespace {

using bench_load::Job;

class Pool {
 public:
  static unsigned Threads() { return 0; }
  explicit Pool(unsigned threads) {
    pool_options_t options;
    pool_options_init(&options, sizeof(options));
    options.workers_max = threads;
    Require(pool_create(&options, &pool_));
  }
  void Submit(Job& job) { Require(pool_submit(pool_, Run, &job)); }

 private:
  static int32_t Run(void* arg, pool_ctx_t*) {
    bench_load::RunJob(*static_cast<Job*>(arg));
    return 0;
  }
  static void Require(pool_status_t status) {
    if (status == POOL_OK) return;
    std::fprintf(stderr, "%s\n", pool_strerror(status));
    _exit(1);
  }

  pool_t pool_ = 0;
};

}  // namespace

int main(int argc, char** argv) { return bench_load::Replay<Pool>(argc, argv, "workpool"); }
