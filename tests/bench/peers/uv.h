// libuv's thread pool (uv_queue_work). It is one per process, its size comes from the environment,
// and only the thread that owns a loop may queue work on it: every producer has a loop. Completions
// run on that loop.
#pragma once

#include <uv.h>

#include <cstdlib>
#include <string>

#include "bench/harness/arguments.h"
#include "bench/peers/subject.h"

namespace bench {

class UvPool {
 public:
  static constexpr Can kCan{.renewable = false, .spawn = false};
  static std::string Name() { return "libuv"; }
  static std::string Version() { return uv_version_string(); }

  struct Context {};

  class Producer {
   public:
    explicit Producer(UvPool&) { Require(uv_loop_init(&loop_) == 0, "uv_loop_init"); }
    ~Producer() {
      Finish();
      uv_loop_close(&loop_);
    }
    template <class Task>
    void Submit(void* arg) {
      auto* work = new uv_work_t;
      work->data = arg;
      Require(uv_queue_work(&loop_, work, &Run<Task>, &Free) == 0, "uv_queue_work");
    }
    void Finish() { uv_run(&loop_, UV_RUN_DEFAULT); }

   private:
    template <class Task>
    static void Run(uv_work_t* work) {
      Context context;
      Task::Run(context, work->data);
    }
    static void Free(uv_work_t* work, int) { delete work; }

    uv_loop_t loop_;
  };

  explicit UvPool(Setup setup) {
    setenv("UV_THREADPOOL_SIZE", std::to_string(setup.workers).c_str(), /*overwrite=*/1);
  }
};

}  // namespace bench
