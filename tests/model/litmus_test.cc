// The explorer itself: on small programs whose possible results are known it must meet all of them
// and no other, and it must find the bugs that were put in.
#include <string>

#include "base/fence.h"
#include "base/memory.h"
#include "base/spin.h"
#include "model/explorer.h"

namespace workpool::model {
namespace {

std::string Pair(int a, int b) { return std::to_string(a) + std::to_string(b); }

struct TwoFlags {
  Atomic<int> x{0};
  Atomic<int> y{0};
};

// Each of two threads sets its flag and looks at the other's, with something in between.
template <typename Between1, typename Between2>
void StoreBuffering(Order store, Order load, Between1 between1, Between2 between2) {
  TwoFlags flags;
  int seen1 = 0;
  int seen2 = 0;
  Thread one([&] {
    flags.x.store(1, store);
    between1();
    seen1 = flags.y.load(load);
  });
  Thread two([&] {
    flags.y.store(1, store);
    between2();
    seen2 = flags.x.load(load);
  });
  one.Join();
  two.Join();
  Observe(Pair(seen1, seen2));
}

void Nothing() {}

MODEL_TEST("the explorer finds that two threads with relaxed flags miss each other",
           .outcomes = "00 01 10 11") {
  StoreBuffering(kRelaxed, kRelaxed, Nothing, Nothing);
}

MODEL_TEST("the explorer finds that release and acquire do not order a store before a load",
           .outcomes = "00 01 10 11") {
  StoreBuffering(kRelease, kAcquire, Nothing, Nothing);
}

MODEL_TEST("the explorer finds that an acq_rel exchange is no fence (B6)",
           .outcomes = "00 01 10 11") {
  Atomic<int> mine[2];
  StoreBuffering(
      kRelaxed, kRelaxed, [&] { mine[0].exchange(1, kAcqRel); },
      [&] { mine[1].exchange(1, kAcqRel); });
}

MODEL_TEST("the explorer finds that seq_cst loads alone are no fence (B7)",
           .outcomes = "00 01 10 11") {
  StoreBuffering(kRelaxed, kSeqCst, Nothing, Nothing);
}

MODEL_TEST("seq_cst on stores and loads keeps two threads from missing each other",
           .outcomes = "01 10 11") {
  StoreBuffering(kSeqCst, kSeqCst, Nothing, Nothing);
}

MODEL_TEST("full fences on both sides keep two threads from missing each other",
           .outcomes = "01 10 11") {
  StoreBuffering(
      kRelaxed, kRelaxed, [] { FullFence(); }, [] { FullFence(); });
}

MODEL_TEST("the explorer finds that a full fence on one side is not enough",
           .outcomes = "00 01 10 11") {
  StoreBuffering(
      kRelaxed, kRelaxed, [] { FullFence(); }, Nothing);
}

MODEL_TEST("a light and a heavy fence keep two threads from missing each other",
           .outcomes = "01 10 11") {
  StoreBuffering(
      kRelaxed, kRelaxed, [] { LightFence(); }, [] { HeavyFence(); });
}

MODEL_TEST("the explorer finds that two light fences are not enough", .outcomes = "00 01 10 11") {
  StoreBuffering(
      kRelaxed, kRelaxed, [] { LightFence(); }, [] { LightFence(); });
}

MODEL_TEST("the explorer finds that a light fence does not pair with a full one",
           .outcomes = "00 01 10 11") {
  StoreBuffering(
      kRelaxed, kRelaxed, [] { LightFence(); }, [] { FullFence(); });
}

MODEL_TEST("the explorer finds that a heavy fence needs the compiler's fence on the other side",
           .outcomes = "00 01 10 11") {
  StoreBuffering(kRelaxed, kRelaxed, Nothing, [] { HeavyFence(); });
}

template <typename Write, typename Read>
void MessagePassing(Write write, Read read) {
  Atomic<int> data{0};
  Atomic<int> flag{0};
  Thread writer([&] {
    data.store(1, kRelaxed);
    write(flag);
  });
  const int seen = read(flag);
  Observe(Pair(seen, data.load(kRelaxed)));
  writer.Join();
}

MODEL_TEST("the explorer finds that a relaxed flag does not bring its data",
           .outcomes = "00 01 10 11") {
  MessagePassing([](Atomic<int>& flag) { flag.store(1, kRelaxed); },
                 [](Atomic<int>& flag) { return flag.load(kRelaxed); });
}

MODEL_TEST("the explorer finds that a relaxed load does not take what a release store brings",
           .outcomes = "00 01 10 11") {
  MessagePassing([](Atomic<int>& flag) { flag.store(1, kRelease); },
                 [](Atomic<int>& flag) { return flag.load(kRelaxed); });
}

MODEL_TEST("release and acquire bring the data with the flag", .outcomes = "00 01 11") {
  MessagePassing([](Atomic<int>& flag) { flag.store(1, kRelease); },
                 [](Atomic<int>& flag) { return flag.load(kAcquire); });
}

MODEL_TEST("fences beside relaxed operations bring the data with the flag",
           .outcomes = "00 01 11") {
  MessagePassing(
      [](Atomic<int>& flag) {
        FullFence();
        flag.store(1, kRelaxed);
      },
      [](Atomic<int>& flag) {
        const int seen = flag.load(kRelaxed);
        FullFence();
        return seen;
      });
}

template <typename Modify>
void ReleaseSequence(Modify modify) {
  Atomic<int> data{0};
  Atomic<int> flag{0};
  Thread writer([&] {
    data.store(1, kRelaxed);
    flag.store(1, kRelease);
  });
  Thread middle([&] { modify(flag); });
  if (flag.load(kAcquire) == 3) Observe(Pair(3, data.load(kRelaxed)));
  writer.Join();
  middle.Join();
}

MODEL_TEST("a relaxed read-modify-write carries on a release sequence", .outcomes = "31") {
  ReleaseSequence([](Atomic<int>& flag) {
    int expected = 1;
    flag.compare_exchange_strong(expected, 3, kRelaxed);
  });
}

MODEL_TEST("the explorer finds that a relaxed store ends a release sequence", .outcomes = "30 31") {
  ReleaseSequence([](Atomic<int>& flag) {
    if (flag.load(kRelaxed) == 1) flag.store(3, kRelaxed);
  });
}

// Two writers of different locations, two readers that look in opposite order.
void IndependentReads(Order store, Order load) {
  TwoFlags flags;
  int seen[4] = {};
  Thread write_x([&] { flags.x.store(1, store); });
  Thread write_y([&] { flags.y.store(1, store); });
  Thread reader([&] {
    seen[0] = flags.x.load(load);
    seen[1] = flags.y.load(load);
  });
  seen[2] = flags.y.load(load);
  seen[3] = flags.x.load(load);
  write_x.Join();
  write_y.Join();
  reader.Join();
  if (seen[0] == 1 && seen[2] == 1) Observe(Pair(seen[1], seen[3]));
}

MODEL_TEST(
    "the explorer finds that acquire loads of two threads disagree about the order of stores",
    .preemptions = 4, .outcomes = "00 01 10 11") {
  IndependentReads(kRelease, kAcquire);
}

MODEL_TEST("seq_cst loads of two threads agree about the order of stores", .preemptions = 4,
           .outcomes = "01 10 11") {
  IndependentReads(kSeqCst, kSeqCst);
}

// Where the model is stronger than the language: stores come into their location's order as they
// are made.
MODEL_TEST("two threads that write two locations in opposite order leave no cycle",
           .outcomes = "12 21 22") {
  TwoFlags flags;
  Thread one([&] {
    flags.x.store(1, kRelaxed);
    flags.y.store(2, kRelaxed);
  });
  flags.y.store(1, kRelaxed);
  flags.x.store(2, kRelaxed);
  one.Join();
  Observe(Pair(flags.x.load(kRelaxed), flags.y.load(kRelaxed)));
}

MODEL_TEST("one location is read in the order in which it was written",
           .outcomes = "00 01 02 11 12 22") {
  Atomic<int> x{0};
  Thread writer([&] {
    x.store(1, kRelaxed);
    x.store(2, kRelaxed);
  });
  const int first = x.load(kRelaxed);
  Observe(Pair(first, x.load(kRelaxed)));
  writer.Join();
}

MODEL_TEST("no addition is lost between read-modify-writes") {
  Atomic<int> sum{0};
  Thread one([&] { sum.fetch_add(1, kRelaxed); });
  Thread two([&] {
    int seen = sum.load(kRelaxed);
    while (!sum.compare_exchange_weak(seen, seen + 2, kRelaxed)) {
    }
  });
  one.Join();
  two.Join();
  MODEL_CHECK(sum.load(kRelaxed) == 3);
}

MODEL_TEST("the explorer finds an addition that a load and a store lose", .finds = "MODEL_CHECK") {
  Atomic<int> sum{0};
  const auto add = [&] { sum.store(sum.load(kRelaxed) + 1, kRelaxed); };
  Thread one(add);
  Thread two(add);
  one.Join();
  two.Join();
  MODEL_CHECK(sum.load(kRelaxed) == 2);
}

// A sleeper and a waker with a store and a load each (Dekker); the fences decide.
template <typename Fence, typename WakerFence>
void SleepAndWake(Fence fence, WakerFence waker_fence, std::memory_order load_order = kRelaxed) {
  Atomic<uint32_t> asleep{0};
  Atomic<uint32_t> word{0};
  Atomic<uint32_t> work{0};
  Thread sleeper([&] {
    asleep.store(1, kRelaxed);
    fence();
    if (work.load(load_order) == 0) (void)FutexWait(word, 0, kNever);
  });
  work.store(1, kRelaxed);
  waker_fence();
  if (asleep.load(load_order) == 1) {
    word.store(1, kRelaxed);
    FutexWake(word, 1);
  }
  sleeper.Join();
}

MODEL_TEST("B7: a wake-up with fences on both sides is never lost", .spurious = 1) {
  SleepAndWake([] { FullFence(); }, [] { FullFence(); });
}
MODEL_TEST("B7: a wake-up with a light fence at the waker and a heavy one at the sleeper is never lost",
           .spurious = 1) {
  SleepAndWake([] { HeavyFence(); }, [] { LightFence(); });
}
MODEL_TEST("B7: the explorer finds the wake-up that is lost without fences",
           .finds = "lost wake-up") {
  SleepAndWake(Nothing, Nothing);
}
MODEL_TEST("B7: the explorer finds the wake-up that is lost without the waker's fence",
           .finds = "lost wake-up") {
  SleepAndWake([] { FullFence(); }, Nothing);
}
MODEL_TEST("B7: the explorer finds the wake-up that is lost without the sleeper's fence",
           .finds = "lost wake-up") {
  SleepAndWake(Nothing, [] { FullFence(); });
}
MODEL_TEST("B7: the explorer finds the wake-up that is lost with a light fence on both sides",
           .finds = "lost wake-up") {
  SleepAndWake([] { LightFence(); }, [] { LightFence(); });
}
MODEL_TEST("B7: the explorer finds the wake-up that seq_cst loads alone lose",
           .finds = "lost wake-up") {
  SleepAndWake(Nothing, Nothing, kSeqCst);
}

MODEL_TEST("the explorer finds a sleeper that no wake-up needs", .spurious = 1,
           .finds = "lost wake-up") {
  Atomic<uint32_t> word{0};
  Thread sleeper([&] {
    (void)FutexWait(word, 0, kNever);
    (void)FutexWait(word, 0, kNever);
  });
  FutexWake(word, 1);
  sleeper.Join();
}

MODEL_TEST("the explorer finds a waiter that cannot stand a spurious wake-up", .spurious = 1,
           .finds = "MODEL_CHECK") {
  Atomic<uint32_t> word{0};
  Thread sleeper([&] {
    if (word.load(kAcquire) == 0) (void)FutexWait(word, 0, kNever);
    MODEL_CHECK(word.load(kAcquire) == 1);
  });
  word.store(1, kRelease);
  FutexWake(word, 1);
  sleeper.Join();
}

MODEL_TEST("a timed wait ends by its deadline when nobody can run") {
  Atomic<uint32_t> word{0};
  const uint64_t deadline_ns = NowNs() + 1'000'000'000;
  MODEL_CHECK(FutexWait(word, 0, deadline_ns) == FutexResult::kTimeout);
  MODEL_CHECK(NowNs() >= deadline_ns);
}

MODEL_TEST("the explorer finds a deadline that passes before a wake", .early_timeouts = 1,
           .outcomes = "timeout woken") {
  Atomic<uint32_t> word{0};
  Thread sleeper([&] {
    const FutexResult result = FutexWait(word, 0, NowNs() + 1'000'000'000);
    Observe(result == FutexResult::kTimeout ? "timeout" : "woken");
  });
  word.store(1, kRelease);
  FutexWake(word, 1);
  sleeper.Join();
}

MODEL_TEST("a spinning thread lets the one it waits for go on") {
  Atomic<int> flag{0};
  Thread other([&] { flag.store(1, kRelease); });
  while (flag.load(kAcquire) == 0) SpinPause();
  other.Join();
}

MODEL_TEST("the explorer finds two threads that wait for each other by spinning",
           .finds = "livelock") {
  TwoFlags flags;
  Thread other([&] {
    while (flags.x.load(kAcquire) == 0) SpinPause();
    flags.y.store(1, kRelease);
  });
  while (flags.y.load(kAcquire) == 0) SpinPause();
  flags.x.store(1, kRelease);
  other.Join();
}

MODEL_TEST("the explorer finds the use of a destroyed atomic", .finds = "after it was destroyed") {
  Atomic<Atomic<int>*> shared{nullptr};
  Atomic<int> gone{0};
  Thread user([&] {
    Atomic<int>* counter = shared.load(kAcquire);
    if (counter != nullptr && gone.load(kAcquire) == 1) counter->load(kRelaxed);
  });
  {
    Atomic<int> counter{0};
    shared.store(&counter, kRelease);
  }
  gone.store(1, kRelease);
  user.Join();
}

MODEL_TEST("the explorer finds a destruction that nothing orders after the last use",
           .finds = "nothing orders that after its use") {
  struct Counted {
    Atomic<int> references{2};
    Atomic<int> value{0};
  };
  auto* counted = New<Counted>();
  const auto drop = [counted] {
    counted->value.load(kRelaxed);
    if (counted->references.fetch_sub(1, kRelaxed) == 1) Delete(counted);
  };
  Thread other(drop);
  drop();
  other.Join();
}

MODEL_TEST("an acq_rel reference count orders the destruction after the last use") {
  struct Counted {
    Atomic<int> references{2};
    Atomic<int> value{0};
  };
  auto* counted = New<Counted>();
  const auto drop = [counted] {
    counted->value.load(kRelaxed);
    if (counted->references.fetch_sub(1, kAcqRel) == 1) Delete(counted);
  };
  Thread other(drop);
  drop();
  other.Join();
}

MODEL_TEST("the explorer finds an object that is published without release",
           .finds = "nothing orders that after its construction") {
  Atomic<Atomic<int>*> shared{nullptr};
  Thread user([&] {
    if (Atomic<int>* counter = shared.load(kAcquire)) counter->load(kRelaxed);
  });
  Atomic<int> counter{0};
  shared.store(&counter, kRelaxed);
  user.Join();
}

MODEL_TEST("the explorer finds a data race", .finds = "data race") {
  Plain<int> value;
  Thread other([&] { value.Write(1); });
  value.Read();
  other.Join();
}

MODEL_TEST("the explorer finds memory that is not given back", .finds = "bytes leaked") {
  (void)New<uint64_t>(uint64_t{0});
}

MODEL_TEST("the explorer finds a thread that nobody joins",
           .finds = "neither joined nor detached") {
  Thread other([] {});
}

MODEL_TEST("a static atomic has its first value in every schedule") {
  static constinit Atomic<int> count{7};
  Thread other([] { count.fetch_add(1, kRelaxed); });
  other.Join();
  MODEL_CHECK(count.load(kRelaxed) == 8);
}

}  // namespace
}  // namespace workpool::model
