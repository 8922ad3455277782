// The locks, counters and process-wide objects of src/base and src/stats, each alone.
#include "base/mutex.h"
#include "base/process.h"
#include "base/spin_lock.h"
#include "base/thread_line.h"
#include "model/explorer.h"
#include "stats/counters.h"

namespace workpool::model {
namespace {

MODEL_TEST("a mutex keeps three threads apart, asleep or spinning", .preemptions = 2,
           .spurious = 1) {
  Mutex mu;
  Plain<int> value;
  const auto add = [&] {
    mu.Lock();
    value.Write(value.Read() + 1);
    mu.Unlock();
  };
  Thread one(add);
  Thread two(add);
  add();
  one.Join();
  two.Join();
  MODEL_CHECK(value.Read() == 3);
}

MODEL_TEST("a mutex that is tried is held once or refused") {
  Mutex mu;
  Plain<int> value;
  const auto add = [&] {
    if (!mu.TryLock()) return;
    value.Write(value.Read() + 1);
    mu.Unlock();
  };
  Thread one(add);
  add();
  one.Join();
  MODEL_CHECK(value.Read() >= 1);
}

MODEL_TEST("a spin lock keeps threads apart, tried or waited for", .preemptions = 2) {
  SpinLock lock;
  Plain<int> value;
  Thread tries([&] {
    if (!lock.TryLock()) return;
    value.Write(value.Read() + 1);
    lock.Unlock();
  });
  Thread waits([&] {
    lock.Lock();
    value.Write(value.Read() + 1);
    lock.Unlock();
  });
  lock.Lock();
  value.Write(value.Read() + 1);
  lock.Unlock();
  tries.Join();
  waits.Join();
  MODEL_CHECK(value.Read() >= 2);
}

template <typename AnyCounter>
void ReadInOppositeOrder() {
  AnyCounter started;
  AnyCounter ended;
  Thread worker([&] {
    for (int i = 0; i < 2; ++i) {
      started.Add();
      ended.Add();
    }
  });
  const uint64_t ended_count = ended.Read();
  const uint64_t started_count = started.Read();
  MODEL_CHECK(started_count >= ended_count);
  worker.Join();
  MODEL_CHECK(started.Read() == 2 && ended.Read() == 2);
}

MODEL_TEST("a snapshot never shows more ended than started") { ReadInOppositeOrder<Counter>(); }
MODEL_TEST("a snapshot of shared counters never shows more ended than started") {
  ReadInOppositeOrder<SharedCounter>();
}

struct Made {
  Made() { written.Write(1); }
  Plain<int> written;
};

MODEL_TEST("what is made once per process is seen whole by every thread, and once") {
  static constinit PerProcess<Made> made;
  Made* seen = nullptr;
  Thread other([&] {
    seen = made.Ensure();
    MODEL_CHECK(seen->written.Read() == 1);
  });
  if (Made* early = made.Get()) MODEL_CHECK(early->written.Read() == 1);
  Made* mine = made.Ensure();
  MODEL_CHECK(mine->written.Read() == 1);
  other.Join();
  MODEL_CHECK(mine == seen);
}

// ---- thread lines: what is ended while a thread names it ----------------------------------------

constexpr uint64_t kSlot = 77;

struct Guarded {
  // Whoever makes something to be ended later has a line first, as in pool_create.
  Guarded() { MODEL_CHECK(CurrentLine(CurrentTls()) != nullptr); }

  Atomic<bool> usable{true};
  Plain<int> value{0};

  void Use() {
    const LineSection section(*CurrentLine(CurrentTls()), kSlot);
    if (usable.load(kAcquire)) value.Write(value.Read() + 1);
  }
  void End() {
    usable.store(false, kRelease);
    WaitUntilUnused(kSlot);
    value.Write(-1);
  }
};

MODEL_TEST("a slot is not ended before the thread that names it has left it", .preemptions = 2) {
  Guarded guarded;
  Thread user([&] {
    guarded.Use();
    guarded.Use();
  });
  guarded.End();
  user.Join();
  MODEL_CHECK(guarded.value.Read() == -1);
}

template <typename Enter>
void EndAgainstNextSection(Enter enter) {
  Guarded guarded;
  Thread user([&] {
    guarded.Use();
    enter(*CurrentLine(CurrentTls()));
  });
  guarded.End();
  user.Join();
  MODEL_CHECK(guarded.value.Read() == -1);
}

MODEL_TEST("a slot is not ended before the thread that names another one by now has left it",
           .preemptions = 2) {
  EndAgainstNextSection([](ThreadLine& line) { const LineSection section(line, kSlot + 1); });
}

MODEL_TEST("a slot is not ended before the thread that names another one the short way has left it",
           .preemptions = 2) {
  EndAgainstNextSection([](ThreadLine& line) {
    LineSection::EnterFree(line, kSlot + 1);
    LineSection::Leave(line);
  });
}

MODEL_TEST("the line of a thread that has ended serves the next one", .preemptions = 2) {
  Guarded guarded;
  Thread first([&] { guarded.Use(); });
  first.Join();
  Thread second([&] { guarded.Use(); });
  Thread third([&] { const LineSection section(*CurrentLine(CurrentTls()), kSlot + 1); });
  guarded.End();
  second.Join();
  third.Join();
}

}  // namespace
}  // namespace workpool::model
