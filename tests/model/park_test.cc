// Parking (park/idle_set.h, park/event.h): a small pool of workers that share one counter as their
// queue and follow the protocol of the headers. A task that nobody wakes a worker for leaves the
// test's own thread asleep for ever, and the explorer says so.
#include "base/fence.h"
#include "model/explorer.h"
#include "park/event.h"
#include "park/idle_set.h"

namespace workpool::model {
namespace {

constexpr uint32_t kWorkersMax = 2;

class House {
 public:
  explicit House(uint32_t workers, uint64_t keep_alive_ns = kNever, uint32_t keep = 0)
      : idle(workers), keep_alive_ns_(keep_alive_ns), keep_(keep) {
    for (uint32_t i = 0; i < workers; ++i) MODEL_CHECK(idle.TryReserveStart(true));
    MODEL_CHECK(!idle.TryReserveStart(true));
  }

  void Submit(int tasks = 1) {
    queued_.fetch_add(tasks, kRelease);
    FullFence();
    if (idle.Load().NeedsHelp()) idle.WakeOne();
  }

  void AwaitRun(int tasks) {
    MODEL_CHECK(done_.Await(kNever, [&] { return run_.load(kAcquire) == tasks; }));
  }

  void Stop() {
    idle.SetFlags(Census::kStop);
    idle.WakeAll();
  }

  void Work(uint32_t index) {
    bool searching = true;
    for (;;) {
      if (Take()) {
        if (searching) StopSearching();
        searching = false;
        run_.fetch_add(1, kRelease);
        done_.Notify();
        continue;
      }
      if (!searching && idle.TryBeginSearch()) {
        searching = true;
        continue;
      }
      idle.Announce(parkers_[index], searching);
      searching = false;
      const bool work = queued_.load(kRelaxed) > 0;
      if (work || idle.Load().has(Census::kStop)) {
        if (idle.Withdraw(parkers_[index])) {
          searching = true;
          if (work) continue;
          idle.EndSearch();
          idle.Leave();
          return;
        }
      }
      const uint64_t deadline_ns = keep_alive_ns_ == kNever ? kNever : NowNs() + keep_alive_ns_;
      if (idle.Sleep(parkers_[index], deadline_ns, keep_) == SleepResult::kExpired) return;
      searching = true;
    }
  }

  void CheckAllGone() {
    const Census census = idle.Load();
    MODEL_CHECK(census.live() == 0);
    MODEL_CHECK(census.parked() == 0);
    MODEL_CHECK(census.searching() == 0);
  }

  IdleSet idle;

 private:
  bool Take() {
    int queued = queued_.load(kRelaxed);
    while (queued > 0) {
      if (queued_.compare_exchange_strong(queued, queued - 1, kAcquire, kRelaxed)) return true;
    }
    return false;
  }

  void StopSearching() {
    idle.EndSearch();
    FullFence();
    if (idle.Load().NeedsHelp() && queued_.load(kRelaxed) > 0) idle.WakeOne();
  }

  const uint64_t keep_alive_ns_;
  Atomic<uint32_t> keep_;
  Atomic<int> queued_{0};
  Atomic<int> run_{0};
  Event done_;
  IdleSet::Parker parkers_[kWorkersMax];
};

MODEL_TEST("B6: a task that arrives while the only worker goes to sleep is run") {
  House house(1);
  Thread worker([&] { house.Work(0); });
  house.Submit();
  house.AwaitRun(1);
  house.Stop();
  worker.Join();
  house.CheckAllGone();
}

MODEL_TEST(
    "A3: two tasks that arrive one after the other are both run by a worker that parks between "
    "them",
    .preemptions = 2) {
  House house(1);
  Thread worker([&] { house.Work(0); });
  house.Submit();
  house.Submit();
  house.AwaitRun(2);
  house.Stop();
  worker.Join();
  house.CheckAllGone();
}

MODEL_TEST("B2: the last searcher looks once more, so a task that woke nobody is still run",
           .preemptions = 2, .stale_reads = 1) {
  House house(2);
  Thread one([&] { house.Work(0); });
  Thread two([&] { house.Work(1); });
  house.Submit();
  house.AwaitRun(1);
  house.Stop();
  one.Join();
  two.Join();
  house.CheckAllGone();
}

MODEL_TEST("A3: tasks of two submitters are run while two workers park and wake", .preemptions = 2,
           .stale_reads = 1) {
  House house(2);
  Thread one([&] { house.Work(0); });
  Thread two([&] { house.Work(1); });
  Thread other([&] { house.Submit(); });
  house.Submit();
  house.AwaitRun(2);
  house.Stop();
  other.Join();
  one.Join();
  two.Join();
  house.CheckAllGone();
}

MODEL_TEST("B10: a stop at any point of their loops ends two workers", .stale_reads = 1) {
  House house(2);
  Thread one([&] { house.Work(0); });
  Thread two([&] { house.Work(1); });
  house.Stop();
  one.Join();
  two.Join();
  house.CheckAllGone();
}

MODEL_TEST("B13: spurious wake-ups leave the counts of sleepers right", .preemptions = 2,
           .spurious = 2) {
  House house(1);
  Thread worker([&] { house.Work(0); });
  house.Submit();
  house.AwaitRun(1);
  house.Stop();
  worker.Join();
  house.CheckAllGone();
}

MODEL_TEST("G4: of two workers one may expire at any time, and a task that arrives then is run",
           .preemptions = 2, .stale_reads = 1, .early_timeouts = 1) {
  House house(2, 1'000'000'000, 1);
  Thread one([&] { house.Work(0); });
  Thread two([&] { house.Work(1); });
  house.Submit();
  house.AwaitRun(1);
  MODEL_CHECK(house.idle.Load().live() >= 1);
  house.Stop();
  one.Join();
  two.Join();
  house.CheckAllGone();
}

MODEL_TEST("G3: with the target lowered by one, one of two workers expires and the other stays",
           .preemptions = 2, .stale_reads = 1) {
  House house(2, 1'000'000, 1);
  Thread one([&] { house.Work(0); });
  Thread two([&] { house.Work(1); });
  SleepNs(1'000'000'000);
  MODEL_CHECK(house.idle.Load().live() == 1);
  house.Stop();
  one.Join();
  two.Join();
  house.CheckAllGone();
}

// What one thread wrote before it changed the census is there for whoever sees the change.
template <typename Change, typename Changed>
void SeeWhatCameBefore(Change change, Changed changed) {
  IdleSet idle(2);
  IdleSet::Parker parker;
  for (int i = 0; i < 2; ++i) MODEL_CHECK(idle.TryReserveStart(true));
  const Census before = idle.Load();
  Plain<int> data{0};
  Thread other([&] {
    data.Write(1);
    change(idle, parker);
  });
  if (changed(before, idle.Load())) MODEL_CHECK(data.Read() == 1);
  other.Join();
}

bool AnyFlag(Census, Census now) { return now.has(Census::kStop); }
bool OtherCeiling(Census before, Census now) { return now.ceiling() != before.ceiling(); }
bool FewerSearch(Census before, Census now) { return now.searching() < before.searching(); }

MODEL_TEST("who sees a flag set sees what came before") {
  SeeWhatCameBefore([](IdleSet& idle, auto&) { idle.SetFlags(Census::kStop); }, AnyFlag);
}
MODEL_TEST("who sees a flag set on condition sees what came before", .spurious = 1) {
  SeeWhatCameBefore(
      [](IdleSet& idle, auto&) { MODEL_CHECK(idle.TrySetFlags(Census::kStop, Census::kPaused)); }, AnyFlag);
}
MODEL_TEST("who sees flags changed sees what came before", .spurious = 1) {
  SeeWhatCameBefore([](IdleSet& idle, auto&) { idle.ChangeFlags(Census::kStop, Census::kPaused); }, AnyFlag);
}
MODEL_TEST("who sees a flag cleared sees what came before") {
  IdleSet idle(1);
  idle.SetFlags(Census::kPaused);
  Plain<int> data{0};
  Thread other([&] {
    data.Write(1);
    idle.ClearFlags(Census::kPaused);
  });
  if (!idle.Load().has(Census::kPaused)) MODEL_CHECK(data.Read() == 1);
  other.Join();
}
MODEL_TEST("who sees the ceiling moved sees what came before") {
  SeeWhatCameBefore([](IdleSet& idle, auto&) { idle.MoveCeiling(-1); }, OtherCeiling);
}
MODEL_TEST("who sees that a worker searches no more sees what it did, whether it works or sleeps") {
  SeeWhatCameBefore([](IdleSet& idle, auto&) { idle.EndSearch(); }, FewerSearch);
}
MODEL_TEST("who sees that a worker goes to sleep sees what it did") {
  SeeWhatCameBefore(
      [](IdleSet& idle, auto& parker) {
        idle.Announce(parker, true);
        MODEL_CHECK(idle.Withdraw(parker));
      },
      FewerSearch);
}

template <typename Wake>
void WakeWith(Wake wake) {
  IdleSet idle(1);
  IdleSet::Parker parker;
  Atomic<uint32_t> keep{1};
  MODEL_CHECK(idle.TryReserveStart(true));
  idle.Announce(parker, true);
  Plain<int> data{0};
  Thread waker([&] {
    data.Write(1);
    wake(idle);
  });
  MODEL_CHECK(idle.Sleep(parker, kNever, keep) == SleepResult::kWoken);
  MODEL_CHECK(data.Read() == 1);
  waker.Join();
}

MODEL_TEST("a worker that is woken sees what its waker did before") {
  WakeWith([](IdleSet& idle) { MODEL_CHECK(idle.WakeOne()); });
}
MODEL_TEST("a worker that is woken with all others sees what its waker did before") {
  WakeWith([](IdleSet& idle) { idle.WakeAll(); });
}

// Event's first field is its epoch.
void SetEpoch(Event& event, uint32_t epoch) {
  reinterpret_cast<Atomic<uint32_t>&>(event).store(epoch, kRelaxed);
}

void NotifyTwice(uint32_t first_epoch) {
  Event event;
  SetEpoch(event, first_epoch);
  Atomic<int> value{0};
  Thread waiter(
      [&] { MODEL_CHECK(event.Await(kNever, [&] { return value.load(kAcquire) == 2; })); });
  value.store(1, kRelease);
  event.Notify();
  value.store(2, kRelease);
  event.Notify();
  waiter.Join();
}

MODEL_TEST("B17: an event that comes true while its waiter goes to sleep wakes it") {
  NotifyTwice(0);
}
MODEL_TEST("B18: an event whose epoch wraps loses no notification") { NotifyTwice(UINT32_MAX); }

MODEL_TEST("B17: a notifier that looks for waiters first misses none") {
  Event event;
  Atomic<int> value{0};
  Thread waiter(
      [&] { MODEL_CHECK(event.Await(kNever, [&] { return value.load(kAcquire) == 1; })); });
  value.store(1, kRelease);
  if (event.HasWaiters()) event.Notify();
  waiter.Join();
}

MODEL_TEST("B13: an event with two waiters stands spurious wake-ups", .preemptions = 2,
           .spurious = 2) {
  Event event;
  Atomic<int> value{0};
  const auto wait = [&] {
    MODEL_CHECK(event.Await(kNever, [&] { return value.load(kAcquire) == 1; }));
  };
  Thread one(wait);
  Thread two(wait);
  value.store(1, kRelease);
  event.Notify();
  one.Join();
  two.Join();
}

MODEL_TEST("an event that comes true at its deadline is not reported as late",
           .early_timeouts = 1) {
  Event event;
  Atomic<int> value{0};
  bool met = false;
  Thread waiter(
      [&] { met = event.Await(NowNs() + 1'000, [&] { return value.load(kAcquire) == 1; }); });
  value.store(1, kRelease);
  event.Notify();
  waiter.Join();
  // Late only if it could not yet see the value.
  if (!met) MODEL_CHECK(!event.HasWaiters());
}

}  // namespace
}  // namespace workpool::model
