// What a thread leaves where others can read it, and what it keeps to itself.
//
// A ThreadLine is one cache line in which a thread names the handle slot it is working on by a plain
// store. Whoever wants to end that slot invalidates it, issues a HeavyFence and waits until no line names
// it: the reader pays two stores, the rare destroyer pays for both (hazard pointers, Michael, TPDS 2004,
// with the asymmetric fence of Goldblatt, P1202).
//
// Lines are never freed. The line of a dead thread is found by its owner's kernel id, because a
// destructor of thread storage would run in an unknown order, or point into an unloaded library.
//
// Threads:   Enter, Leave: the owner.  WaitUntilUnused: any thread that is not inside that slot.
// Invariant: between Enter and Leave no user code runs and nothing blocks for long; sections do not nest.
#pragma once

#include <cstdint>

#include "absl/functional/function_ref.h"
#include "base/atomic.h"
#include "base/cache_line.h"
#include "base/fence.h"

namespace workpool {

// The last refused call of a thread, see base/error.h.
struct LastError {
  struct Reason {
    int32_t code = 0;
    const char* text = "";        // constant, or the buffer
    const char* field = nullptr;  // constant: the option that set the limit; nullptr: no limit was met
    uint64_t limit = 0;
    char buffer[320] = {};
  };
  const char* function = "";  // constant
  Reason reason;              // of the last refused call
  Reason said;                // by the call that is going on, which may succeed all the same
};

struct alignas(kCacheLine) ThreadLine {
  Atomic<uint64_t> active{0};  // slot named by its owner, 0 = none
  Atomic<uint64_t> owner{0};   // kernel thread id in the low half, number of owners so far in the high half
  ThreadLine* next = nullptr;  // constant once published
  uint32_t index = 0;          // constant; spreads threads over queues
};

// A slot as capi/handle_table.h has them, of which no handle is alive.
inline constexpr uint64_t kDeadSlot[3] = {};

// Thread-private state; constant-initialised, without destructor.
struct Tls {
  ThreadLine* line = nullptr;   // valid if epoch is the process's
  uint32_t epoch = 0;           // fork epoch in which line was taken; 0 = never
  int32_t locks_held = 0;       // counted in builds with assertions
  uint32_t until_sample = 1;    // plain submits until one carries time stamps, that one included
  // The pool this thread submitted to last, and where its handle is checked (capi/handle_table.h), if LightFenceIsFree.
  // A forked child forgets it.
  uint64_t seen_handle = 0;
  const void* seen_slot = kDeadSlot;
  uint64_t seen_alive = 1;  // what the slot's word must show
  // What the worker this thread is compares before each task; a forked child finds it 0, which makes it look.
  Atomic<uint64_t>* calm = nullptr;
  void* worker = nullptr;       // the Worker this thread is, see worker/worker.h
  void* frame = nullptr;        // innermost running task, see worker/frame.h
  void* service = nullptr;      // of a service's thread: what it knows of itself, see park/service.h
  LastError error;              // not in the line, which the next owner could not take over without a race
  const void* stack_base = nullptr;  // lowest address of the stack; known on worker threads
};

#if defined(WORKPOOL_MODEL)
Tls& CurrentTls();
#else
extern constinit thread_local Tls t_tls;
inline Tls& CurrentTls() {
  Tls* tls = &t_tls;
  // In a shared library the address comes from a call; made opaque, it is asked for once in each function.
#if defined(__x86_64__)
  // With TLS descriptors that call keeps all registers, but those for vectors only since glibc 2.40.
  asm("" : "+r"(tls) : : "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10",
      "xmm11", "xmm12", "xmm13", "xmm14", "xmm15");
#else
  asm("" : "+r"(tls));
#endif
  return *tls;
}
#endif

// Raised by one in every forked child, before any other code of the child runs. Starts at 1.
extern Atomic<uint32_t> g_fork_epoch;

// The calling thread's line, or nullptr if there is no memory for one.
[[nodiscard]] ThreadLine* RegisterThread(Tls& tls);

[[nodiscard]] inline ThreadLine* CurrentLine(Tls& tls) {
  // relaxed: the epoch changes only in a child, which begins with one thread.
  if (tls.epoch == g_fork_epoch.load(kRelaxed)) [[likely]] return tls.line;
  return RegisterThread(tls);
}

// Names a slot for the life of the object.
class LineSection {
 public:
  LineSection(ThreadLine& line, uint64_t slot) : line_(line) {
    // release: a destroyer of the slot named before may see this name only, and must see what was done under the
    // last one.
    line_.active.store(slot, kRelease);
    // Partner: the HeavyFence in WaitUntilUnused. Without it the check of the slot's generation could be
    // done before the name is seen, and the slot be ended in between.
    LightFence();
  }
  ~LineSection() { Leave(line_); }

  // The two halves by hand, for the shortest way of all.
  static void EnterFree(ThreadLine& line, uint64_t slot) {
    line.active.store(slot, kRelease);
    FreeLightFence();  // as above
  }
  static void Leave(ThreadLine& line) {
    // release: what was done inside happens before the destroyer's acquire load of 0.
    line.active.store(0, kRelease);
  }

  LineSection(const LineSection&) = delete;
  LineSection& operator=(const LineSection&) = delete;

 private:
  ThreadLine& line_;
};

// Returns when every thread that was inside slot at the call has left it. The caller has made the slot
// unusable before, and is not inside it.
void WaitUntilUnused(uint64_t slot);
// The same, but returns as soon as enough() is true.
void WaitUntilUnused(uint64_t slot, absl::FunctionRef<bool()> enough);

}  // namespace workpool
