#include "worker/forking.h"

#include <cxxabi.h>
#include <new>

#include "base/error.h"
#include "base/futex.h"
#include "base/spin.h"
#include "task/fork.h"
#include "worker/call_out.h"
#include "worker/engine.h"
#include "worker/waiting.h"
#include "worker/worker.h"

namespace workpool {
namespace {

// Looks at a running thief's progress before the joiner sleeps: the thief took the oldest and largest piece, so it
// seldom ends within less than a wake-up takes.
constexpr int kJoinSpins = 200;

inline int32_t RunFork(Fork& fork, Worker* worker) {
  Tls& tls = worker != nullptr ? worker->tls() : CurrentTls();
  Engine& engine = *fork.parent->engine;
  Frame frame{.engine = &engine,
              .worker = worker,
              .record = nullptr,
              .outer = InnermostFrame(tls),
              .parent = fork.parent,
              .value = 0,
              .epoch = fork.parent->epoch};
  FrameScope scope(tls, frame);
  const int32_t code = engine.options.terminate_on_exception
                           ? CallTaskOrTerminate(nullptr, 0, [&] { return fork.run(fork.arg, &frame); })
                           : CallTask(nullptr, 0, [&] { return fork.run(fork.arg, &frame); });
  LeaveForkedChild(frame);
  return code;
}

inline void CountFork(Worker* worker, int32_t code) {
  if (worker == nullptr) return;
  (code == 0 ? worker->counters.done : worker->counters.failed).Add();
}

void FinishFork(Fork& fork, int32_t code) {
  fork.code = code;
  // release: the child's work is visible to the parent; from here on the parent may be gone. Waking an address
  // that nobody waits on does no harm.
  if (fork.state.exchange(Fork::kOver, kRelease) == Fork::kAwaited) FutexWakeAll(fork.state);
}

// A thief, or the owner outside the join.
void ExecuteFork(Entry& self, Worker& worker, bool) {
  auto& fork = static_cast<Fork&>(self);
  worker.counters.started.Add();
  int32_t code;
  try {
    code = RunFork(fork, &worker);
  } catch (abi::__forced_unwind&) {
    CountFork(&worker, POOL_E_THREADEXIT);
    FinishFork(fork, POOL_E_THREADEXIT);
    throw;
  }
  CountFork(&worker, code);
  FinishFork(fork, code);
}

inline int32_t RunInline(Fork& fork, Worker* worker) {
  if (worker != nullptr) worker->counters.started.Add();
  int32_t code;
  try {
    code = RunFork(fork, worker);
  } catch (abi::__forced_unwind&) {
    CountFork(worker, POOL_E_THREADEXIT);
    throw;
  }
  CountFork(worker, code);
  return code;
}

// Takes fork out from under children that were submitted after it; top is the newest of those. False: a thief has it.
[[gnu::noinline]] bool RetrieveFromBelow(Worker& worker, Fork& fork, Slot top) {
  Slot above[Worker::Deque::kCapacityMax];
  size_t count = 0;
  above[count++] = top;
  Slot slot;
  bool found = false;
  while (!found && worker.TryPop(&slot)) {
    found = slot.arg == SlotOfFork(fork).arg;
    if (!found) above[count++] = slot;
  }
  // There is room: they were just taken out.
  while (count > 0) (void)worker.TryPush(above[--count]);
  return found;
}

// Takes fork out of the worker's own deque. False: a thief has it.
inline bool Retrieve(Worker& worker, Fork& fork) {
  Slot slot;
  if (!worker.TryPop(&slot)) return false;
  return slot.arg == SlotOfFork(fork).arg || RetrieveFromBelow(worker, fork, slot);
}

[[gnu::noinline]] void AwaitFork(Fork& fork, Worker* worker) {
  for (int spin = 0; spin < SpinRounds(kJoinSpins); ++spin) {
    if (fork.state.load(kAcquire) == Fork::kOver) return;
    SpinPause();
  }
  BlockedScope blocked(worker);
  uint32_t state = Fork::kQueued;
  fork.state.compare_exchange_strong(state, Fork::kAwaited, kRelaxed, kRelaxed);
  // acquire: what the child did.
  while (fork.state.load(kAcquire) != Fork::kOver) (void)FutexWait(fork.state, Fork::kAwaited, kNever);
}

constexpr EntryKind kForkKind{&ExecuteFork, nullptr, nullptr};  // never in an injection queue

}  // namespace

void CancelStolenFork(const Slot& slot) {
  auto& fork = static_cast<Fork&>(EntryOf(slot));
  fork.parent->engine->outside.ended[0][POOL_CANCELLED].Add();
  FinishFork(fork, POOL_E_THREADEXIT);
}

void ForkChild(Frame& parent, pool_fork_t* memory, RunFn run, void* arg) {
  auto* fork = new (memory)
      Fork{{&kForkKind}, run, arg, &parent, {Fork::kQueued}, 0};
  if (parent.worker != nullptr) {
    parent.worker->counters.submitted.Add();
    if (parent.worker->TryPush(SlotOfFork(*fork))) return;
  }
  fork->state.store(Fork::kInline, kRelaxed);
}

Status JoinChild(Frame& parent, pool_fork_t* memory, int32_t* code) {
  auto& fork = *reinterpret_cast<Fork*>(memory);
  if (fork.kind != &kForkKind || fork.parent != &parent) {
    return FailConst(POOL_E_INVALID, "mem holds no fork of this task; join each fork once");
  }
  Worker* worker = parent.worker;
  const bool here = fork.state.load(kRelaxed) == Fork::kInline || Retrieve(*worker, fork);
  int32_t result;
  if (here) {
    result = RunInline(fork, worker);
  } else {
    AwaitFork(fork, worker);
    result = fork.code;
  }
  fork.kind = nullptr;
  if (code != nullptr) *code = result;
  return POOL_OK;
}

}  // namespace workpool
