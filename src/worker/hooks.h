// Hooks: functions that run on every worker when it starts and when it stops. They can be added to and removed
// from a running pool; each worker catches up at its next task boundary.
// Threads: Add, Remove: any thread that is not a worker of the pool.  Worker side: the worker.
#pragma once

#include <cstdint>

#include "absl/container/inlined_vector.h"
#include "base/api.h"
#include "base/mutex.h"
#include "park/event.h"

namespace workpool {

class Hooks {
 public:
  struct Hook {
    uint64_t id;
    HookFn start;
    HookFn stop;
    void* user;
    uint32_t users;  // workers that ran or are about to run start, and not yet stop
    bool removed;
  };
  // What one worker has run start of, oldest first.
  using Started = absl::InlinedVector<Hook*, 2>;

  ~Hooks();

  // NOMEM if there is no memory for it.
  [[nodiscard]] Status Add(HookFn start, HookFn stop, void* user, uint64_t* id);
  // After it no further worker runs start. False: no such hook.
  [[nodiscard]] bool BeginRemove(uint64_t id);
  // Waits until no worker is between its start and the end of its stop, and forgets it.
  void FinishRemove(uint64_t id);

  // Rises with every change.
  [[nodiscard]] uint64_t epoch() const { return epoch_.load(kAcquire); }

  // Runs what the calling worker has missed.
  void CatchUp(Started& started, pool_t pool, int32_t worker);
  // The worker ends: runs stop of everything, newest first. unwound: it ends by pthread_exit or pthread_cancel, inside whose
  // unwinding no user code could unwind again: stop is not called.
  void StopAll(Started& started, pool_t pool, int32_t worker, bool unwound);

 private:
  void Stop(Hook& hook, pool_t pool, int32_t worker, bool unwound);
  Hook* NextToStart(const Started& started);

  Mutex mu_;
  absl::InlinedVector<Hook*, 2> hooks_ ABSL_GUARDED_BY(mu_);
  uint64_t next_id_ ABSL_GUARDED_BY(mu_) = 1;
  Atomic<uint64_t> epoch_{0};
  Event unused_;
};

}  // namespace workpool
