// LoadTask: one arrival of a trace as a task of a real pool, and what was measured of it. LoadWorld: what all tasks of
// a run share, and how one is run: CPU, CPU under a mutex, blocked time, CPU.
// Threads: a LoadTask belongs to who submits it, then to who runs it; after it has ended anybody may read it.
#pragma once

#include <workpool/workpool.h>

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <vector>

#include "arrivals.h"
#include "load_calls.h"

namespace workpool_cli {

class LoadWorld;

struct LoadTask {
  // kDropped: accepted, and not run to its end: given up, shed or expired.
  enum class End : uint8_t { kNone, kDone, kFailed, kDropped, kRefused };

  const Arrival* plan = nullptr;
  LoadWorld* world = nullptr;
  uint64_t submit_ns = 0;  // 0: not submitted
  uint64_t start_ns = 0;   // of its first run; 0: it never ran
  uint64_t end_ns = 0;
  uint32_t runs = 0;
  End end = End::kNone;
};

class LoadWorld {
 public:
  // announce: blocked time is announced to the pool. hurry, when set, cuts all that runs short.
  LoadWorld(const Trace& trace, LoadClient* client, bool announce);

  void Start(uint64_t start_ns) { calls_.Start(start_ns); }
  void Hurry() { hurry_ = true; }

  // Runs a task on the calling thread. ctx is the pool's, or nullptr. False: it failed, and is to be run again.
  [[nodiscard]] bool Run(LoadTask& task, pool_ctx_t* ctx);
  // A task that will not be run again. failed: in its last run.
  void GiveUp(LoadTask& task, bool failed);

  // Tasks with a first run, and tasks that have ended.
  [[nodiscard]] uint64_t started() const { return started_; }
  [[nodiscard]] uint64_t ended() const { return ended_.load(std::memory_order_acquire); }
  // The longest wait of the tasks that have started since the last call.
  [[nodiscard]] uint64_t TakeWaitMaxNs() { return wait_max_ns_.exchange(0); }

 private:
  void NoteWait(uint64_t wait_ns);
  void Finish(LoadTask& task, LoadTask::End end);

  const bool announce_;
  std::atomic<bool> hurry_{false};
  LoadCalls calls_;
  std::vector<std::unique_ptr<std::mutex>> mutexes_;
  std::atomic<uint64_t> started_{0};
  std::atomic<uint64_t> ended_{0};
  std::atomic<uint64_t> wait_max_ns_{0};
};

}  // namespace workpool_cli
