// GLib's GThreadPool with threads that it shares with other pools (not exclusive): one is started for a task that finds none,
// up to 1024 or --threads N; a few unused ones stay for 15 s, the others end.
#include <glib.h>

#include "bench/load/replay.h"

namespace {

using bench_load::Job;

class Pool {
 public:
  static unsigned Threads() { return 1'024; }
  explicit Pool(unsigned threads)
      : pool_(g_thread_pool_new(Run, nullptr, static_cast<gint>(threads), /*exclusive=*/FALSE, nullptr)) {}
  // True also where no thread could be started: then it waits for another one.
  void Submit(Job& job) { g_thread_pool_push(pool_, &job, nullptr); }

 private:
  static void Run(void* job, void*) { bench_load::RunJob(*static_cast<Job*>(job)); }

  GThreadPool* pool_;
};

}  // namespace

int main(int argc, char** argv) { return bench_load::Replay<Pool>(argc, argv, "GThreadPool"); }
