// A parallel loop. The caller works through the range itself; helpers, queued like tasks, join in while there is
// something left, so it finishes with no free worker, and nests. Ranges are claimed from one shared index in pieces
// that shrink with what is left (guided self-scheduling, Polychronopoulos and Kuck, 1987).
#include <cxxabi.h>

#include <algorithm>

#include "base/clock.h"
#include "base/error.h"
#include "base/finally.h"
#include "base/futex.h"
#include "base/limits.h"
#include "base/memory.h"
#include "base/spin.h"
#include "pool/pool.h"
#include "worker/call_out.h"

namespace workpool {
namespace {

// A piece is this part of an equal share of what is left: small enough that uneven bodies even out.
constexpr uint64_t kPiecesPerShare = 4;
// And never less than this part of an equal share of the whole: a claim moves a cache line between CPUs.
constexpr uint64_t kPiecesMax = 256;
// The caller looks so often whether the last helper is done before it sleeps: bodies are mostly short.
constexpr int kEndSpins = 500;

class Loop : public Entry {
 public:
  Loop(Engine& engine, Frame* caller, uint64_t begin, uint64_t end, uint64_t grain, uint32_t participants, RangeFn body,
       void* arg)
      : Entry{&kKind},
        engine_(engine),
        caller_(caller),
        end_(end),
        unit_(std::max<uint64_t>(grain, 1)),
        least_(std::max<uint64_t>((end - begin) / (uint64_t{participants} * kPiecesMax), 1)),
        exact_(grain != 0),
        participants_(participants),
        body_(body),
        arg_(arg),
        next_(begin) {}

  void Ref(uint32_t count) { refs_.fetch_add(count, kRelaxed); }
  void Unref(uint32_t count = 1) {
    if (refs_.fetch_sub(count, kAcqRel) == count) Delete(this);
  }

  // Takes part until nothing is left to claim.
  void Participate(Worker* worker) {
    const uint32_t id = entered_.fetch_add(1, kRelaxed);
    if (id >= participants_) return;
    Tls& tls = CurrentTls();
    Frame frame = MakeFrame(engine_, worker, nullptr, tls);
    frame.parent = caller_;
    FrameScope scope(tls, frame);
    uint64_t begin, end;
    while (!forked_ && Claim(&begin, &end)) RunPiece(frame, id, begin, end);
  }

  // Refuses further helpers and waits for those inside. queued: as many as were sent for.
  void Finish(uint32_t queued) {
    // acquire, here and below: what the helpers did.
    const uint32_t open = inside_.fetch_or(kClosed, kAcquire);
    if (const uint32_t late = queued - open / kArrived; late > 0) engine_.AddTombstones(late);
    uint32_t inside = open & kInside;
    for (int spin = 0; inside != 0 && spin < SpinRounds(kEndSpins); ++spin) {
      SpinPause();
      inside = inside_.load(kAcquire) & kInside;
    }
    if (inside == 0) return;
    const BlockedScope blocked(CurrentWorker(CurrentTls()));
    for (;;) {
      const uint32_t state = inside_.load(kAcquire);
      if ((state & kInside) == 0) return;
      (void)FutexWait(inside_, state, kNever);
    }
  }

  // After Finish.
  int32_t code() const { return code_.load(kRelaxed); }
  bool forked() const { return forked_; }

 private:
  // inside_: bit 0 closed; bits 1..15 helpers inside; bits 16..31 those that have come off a queue in time.
  static constexpr uint32_t kClosed = 1;
  static constexpr uint32_t kOne = 2;
  static constexpr uint32_t kArrived = 1 << 16;
  static constexpr uint32_t kInside = kArrived - kOne;
  static_assert(kParticipantsMax * kOne < kArrived && uint64_t{kParticipantsMax} * kArrived < uint64_t{1} << 32);

  // A helper comes off the queue.
  static void Execute(Entry& self, Worker& worker, bool) {
    auto& loop = static_cast<Loop&>(self);
    const bool inside = loop.Arrive(kOne);
    const Finally out([&] {
      if (inside) loop.Leave();
      loop.Unref();
    });
    if (inside) loop.Participate(&worker);
  }
  static void Discard(Entry& self, int32_t, int32_t) {
    auto& loop = static_cast<Loop&>(self);
    (void)loop.Arrive(0);
    loop.Unref();
  }
  static bool Bury(Entry& self) {
    auto& loop = static_cast<Loop&>(self);
    if ((loop.inside_.load(kRelaxed) & kClosed) == 0) return false;
    loop.Unref();
    return true;
  }
  static constexpr EntryKind kKind{&Execute, &Discard, &Bury};

  // A helper comes off a queue, and enters by kOne. False: too late.
  bool Arrive(uint32_t enter) {
    uint32_t state = inside_.load(kRelaxed);
    while ((state & kClosed) == 0) {
      // relaxed: the queue has brought the loop as its caller set it up.
      if (inside_.compare_exchange_weak(state, state + kArrived + enter, kRelaxed, kRelaxed)) return true;
    }
    engine_.TombstoneTaken();
    return false;
  }

  void Leave() {
    // release: what this helper did; the caller waits for the count.
    const uint32_t before = inside_.fetch_sub(kOne, kRelease);
    if ((before & kClosed) != 0 && (before & kInside) == kOne) FutexWakeAll(inside_);
  }

  bool Claim(uint64_t* begin, uint64_t* end) {
    // relaxed: the range itself is all that is claimed; bodies are ordered by Enter and Leave.
    uint64_t next = next_.load(kRelaxed);
    for (;;) {
      if (next >= end_) return false;
      const uint64_t left = end_ - next;
      uint64_t piece = left / (kPiecesPerShare * participants_);
      piece = std::max(piece, least_);
      piece = std::max(piece - piece % unit_, unit_);
      piece = std::min(piece, left);
      if (next_.compare_exchange_weak(next, next + piece, kRelaxed, kRelaxed)) {
        *begin = next;
        *end = next + piece;
        return true;
      }
    }
  }

  void RunPiece(Frame& frame, uint32_t id, uint64_t begin, uint64_t end) {
    while (begin < end) {
      const uint64_t stop = exact_ && end - begin > unit_ ? begin + unit_ : end;
      int32_t code;
      try {
        code = CallBody(frame, id, begin, stop);
      } catch (abi::__forced_unwind&) {
        Stop(POOL_E_THREADEXIT);
        throw;
      }
      if (frame.epoch != ForkEpoch()) {
        forked_ = true;
        return;
      }
      if (code != 0) {
        Stop(code);
        return;
      }
      if (exact_ && code_.load(kRelaxed) != 0) return;
      begin = stop;
    }
  }

  int32_t CallBody(Frame& frame, uint32_t id, uint64_t begin, uint64_t end) {
    // The code is kept apart: a body may return any, CallTask's are those of tasks.
    int32_t code = 0;
    const auto call = [&] {
      code = body_(arg_, begin, end, id, &frame);
      return 0;
    };
    const int32_t failure =
        engine_.options.terminate_on_exception ? CallTaskOrTerminate(nullptr, 0, call) : CallTask(nullptr, 0, call);
    return failure != 0 ? failure : code;
  }

  void Stop(int32_t code) {
    int32_t none = 0;
    code_.compare_exchange_strong(none, code, kRelaxed, kRelaxed);
    next_.store(end_, kRelaxed);
  }

  Engine& engine_;
  Frame* const caller_;  // whose request to stop the bodies share, or nullptr; it outlives them
  const uint64_t end_;
  const uint64_t unit_;
  const uint64_t least_;  // of a piece
  const bool exact_;
  const uint32_t participants_;
  const RangeFn body_;
  void* const arg_;
  bool forked_ = false;  // this process is a child that a body has made
  Atomic<uint32_t> refs_{1};
  Atomic<uint32_t> entered_{0};
  Atomic<uint32_t> inside_{0};
  Atomic<int32_t> code_{0};
  alignas(kCacheLine) Atomic<uint64_t> next_;
};

// Queues helpers; returns how many. Those that find no room are simply missing.
uint32_t Offer(Engine& engine, Loop& loop, uint32_t helpers, Worker* worker, ThreadLine& line) {
  loop.Ref(helpers);
  const Slot slot = SlotOf(loop);
  uint32_t queued = 0;
  if (worker != nullptr) {
    while (queued < helpers && worker->TryPush(slot)) ++queued;
  } else {
    const LineSection section(line, engine.line_slot);
    while (queued < helpers &&
           engine.dispatcher.Push(&slot, 1, line.index, Admission::kExempt, false).accepted == 1) {
      ++queued;
    }
    // The helpers before the look at the census; partner: the fence in IdleSet::Announce.
    FullFence();
    if (engine.idle.Load().NeedsHelp()) engine.workers.Help();
  }
  if (queued < helpers) loop.Unref(helpers - queued);
  return queued;
}

}  // namespace

Status Pool::ParallelFor(uint64_t begin, uint64_t end, uint64_t grain, uint32_t participants_max, RangeFn body,
                         void* arg, int32_t* body_code) {
  if (participants_max == 0) participants_max = participants();
  if (begin == end) return POOL_OK;
  Tls& tls = CurrentTls();
  ThreadLine* line = CurrentLine(tls);
  if (line == nullptr) return POOL_E_NOMEM;
  Worker* worker = OwnWorker(tls);
  const Census census = engine_.idle.Load();
  if (census.has(worker != nullptr ? Census::kRefuseAll : Census::kRefuseOutside)) {
    return FailConst(POOL_E_CLOSED, "the pool is closing");
  }
  Loop* loop = New<Loop>(engine_, InnermostFrame(tls), begin, end, grain, participants_max, body, arg);
  if (loop == nullptr) return POOL_E_NOMEM;
  uint32_t queued = 0;
  // Also when a body ends this thread: helpers use the loop until they have left it.
  const Finally out([&] {
    if (loop->forked()) return;
    loop->Finish(queued);
    if (body_code != nullptr) *body_code = loop->code();
    loop->Unref();
  });
  const uint64_t units = (end - begin - 1) / std::max<uint64_t>(grain, 1);
  const uint64_t helpers = std::min<uint64_t>(
      {uint64_t{participants_max} - 1, units, std::max(census.ceiling(), engine_.workers.max()) - (worker != nullptr ? 1 : 0)});
  queued = Offer(engine_, *loop, static_cast<uint32_t>(helpers), worker, *line);
  loop->Participate(worker);
  if (loop->forked()) return FailConst(POOL_E_FORKED, "a body forked; this is the child");
  return POOL_OK;
}

}  // namespace workpool
