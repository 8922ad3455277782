// Watch: which tasks run for long. The service thread looks at the workers from time to time: one that has begun no
// further task since the last look still runs the same. So plain tasks pay nothing; those with a record tell their name
// and their time, where a pool is watched.
// Threads: all, any thread, unless said otherwise.
#pragma once

#include <cstdint>

#include "base/api.h"
#include "base/mutex.h"

namespace workpool {

class TaskRecord;
struct Engine;

// What one worker runs, for the watch. Lies in the worker.
class RunWatch {
 public:
  // A task with a record begins and ends. The worker itself; what it ran around it is known again after End.
  struct Named {
    char name[64];
    pool_ticket_t ticket;
    uint64_t start_ns;
    uint64_t start_cpu_ns;
    uint32_t attempt;
    bool known;
    bool told;  // as stuck
  };
  Named Begin(const TaskRecord& record, uint64_t now_ns);
  void End(const Named& around);
  // It took something that was no task: it does not still run the one before.
  void Passed();

  struct Seen {
    uint64_t started = 0;  // the worker's count when it was looked at first
    uint64_t since_ns = 0;
    uint64_t cpu_ns = 0;   // of its thread then
    bool busy = false;
    bool told = false;     // as stuck, where no record is known
  };

 private:
  friend class Watch;
  Mutex mu_;
  Named named_ ABSL_GUARDED_BY(mu_){};
  uint64_t runs_ ABSL_GUARDED_BY(mu_) = 0;  // begins and ends of records
  Seen seen_ ABSL_GUARDED_BY(mu_);
  uint64_t seen_runs_ ABSL_GUARDED_BY(mu_) = 0;
};

class Watch {
 public:
  struct Options {
    uint64_t stuck_after_ns = 0;  // 0: off
    pool_stuck_fn stuck = nullptr;
    void* user = nullptr;
  };
  Watch(Engine& engine, const Options& options) : engine_(engine), options_(options) {}

  bool on() const { return options_.stuck_after_ns != 0; }
  // How often to look.
  uint64_t period_ns() const { return options_.stuck_after_ns / 4; }

  // Looks at the workers, and calls the user for each task that is stuck. The service thread. False: nobody works, and it
  // need not look again until a worker has found that it is asleep.
  [[nodiscard]] bool Look();
  // Asked by a worker that has just begun to work, after a fence. True: it is to wake the watch.
  [[nodiscard]] bool MustWake() { return asleep_.load(kRelaxed) && asleep_.exchange(false, kRelaxed); }
  // At most cap of those that have run for at least longer_than_ns, the longest first; returns how many.
  [[nodiscard]] uint32_t List(uint64_t longer_than_ns, pool_running_t* out, uint32_t cap);

 private:
  // True: the worker runs a task, told in *out. *first, if wanted: it is stuck, and was not told so before.
  [[nodiscard]] bool LookAt(uint32_t index, uint64_t now_ns, pool_running_t* out, bool* first);

  Engine& engine_;
  const Options options_;
  Atomic<bool> asleep_{false};
};

}  // namespace workpool
