// libuv's thread pool: 4 threads, or --threads N (UV_THREADPOOL_SIZE), all started with the first task. Only the thread
// with the loop may queue work, so that is the submitter; it runs the callbacks of finished work between two submits.
#include <uv.h>

#include "bench/load/replay.h"

namespace {

using bench_load::Job;

class Pool {
 public:
  static unsigned Threads() { return 4; }
  explicit Pool(unsigned threads) {
    setenv("UV_THREADPOOL_SIZE", std::to_string(threads).c_str(), /*overwrite=*/1);
    if (uv_loop_init(&loop_) != 0) _exit(1);
  }
  void Submit(Job& job) {
    auto* work = new uv_work_t;
    work->data = &job;
    if (uv_queue_work(&loop_, work, Run, Free) != 0) _exit(1);
    uv_run(&loop_, UV_RUN_NOWAIT);
  }

 private:
  static void Run(uv_work_t* work) { bench_load::RunJob(*static_cast<Job*>(work->data)); }
  static void Free(uv_work_t* work, int) { delete work; }

  uv_loop_t loop_;
};

}  // namespace

int main(int argc, char** argv) { return bench_load::Replay<Pool>(argc, argv, "libuv"); }
