// Quiet workers (park/quiet.h): the owner of a deque leaves its fences out while nobody may steal
// from it. Whoever is about to look changes the census first, and alerts.
#include "park/quiet.h"

#include "model/explorer.h"
#include "park/idle_set.h"
#include "queue/work_deque.h"

namespace workpool::model {
namespace {

// A worker becomes quiet after thousands of fences at the same census; the tests begin there.
using EnterFunction = void (QuietOwner::*)(uint64_t);
template <EnterFunction kEnter>
struct Reach {
  friend void Enter(QuietOwner& owner, uint64_t word) { (owner.*kEnter)(word); }
};
void Enter(QuietOwner& owner, uint64_t word);
template struct Reach<&QuietOwner::Enter>;

// Two workers, both up and at work: nobody searches, nobody could help.
class Pair {
 public:
  explicit Pair(bool quiet_already) {
    for (int i = 0; i < 2; ++i) MODEL_CHECK(idle.TryReserveStart(true));
    for (int i = 0; i < 2; ++i) idle.EndSearch();
    if (quiet_already) BecomeQuiet();
  }

  void BecomeQuiet() {
    const Census census = idle.Load();
    if (census.searching() == 0 && !census.NeedsHelp()) Enter(owner, census.word());
  }
  void Push(int id) {
    payload_[id].Write(1);
    MODEL_CHECK(deque.TryPush({&Run, &payload_[id]}));
  }
  bool Pop() {
    Slot slot;
    if (!deque.TryPop(&slot, [this] { owner.Fence(); })) return false;
    Take(slot);
    return true;
  }
  bool Steal() {
    Slot slot;
    if (deque.TrySteal(&slot) != StealResult::kTaken) return false;
    Take(slot);
    return true;
  }

  IdleSet idle{2};
  Quiet quiet;
  QuietOwner owner{quiet, idle};
  WorkDeque<4> deque;
  IdleSet::Parker parker;
  int taken = 0;

 private:
  static int32_t Run(void*, pool_ctx_t*) { return 0; }
  void Take(const Slot& slot) {
    auto* payload = static_cast<Plain<int>*>(slot.arg);
    MODEL_CHECK(payload->Read() == 1);
    payload->Write(0);
    ++taken;
  }
  Plain<int> payload_[4];
};

void SearchOnce(Pair& pair, int tasks = 1) {
  if (!pair.idle.TryBeginSearch()) return;
  pair.quiet.Alert();
  while (tasks > 0 && pair.Steal()) --tasks;
  pair.idle.EndSearch();
}

MODEL_TEST("A2: a quiet owner and a thief that alerted take the last task exactly once") {
  Pair pair(true);
  Thread thief([&] { SearchOnce(pair); });
  pair.Push(0);
  while (pair.Pop()) {
  }
  thief.Join();
  MODEL_CHECK(pair.taken == 1);
}

MODEL_TEST("A2: the same when the thief comes twice and the census is the old one again in between",
           .preemptions = 2) {
  Pair pair(true);
  Thread thief([&] {
    SearchOnce(pair);
    SearchOnce(pair);
  });
  pair.Push(0);
  pair.Push(1);
  while (pair.Pop()) {
  }
  thief.Join();
  MODEL_CHECK(pair.taken == 2);
}

// Two stolen at once leave the owner no race for the last task to notice them by: it has to see
// them.
template <typename Owner>
void StealTwoOfThree(bool quiet_already, Owner owner) {
  Pair pair(quiet_already);
  for (int i = 0; i < 3; ++i) pair.Push(i);
  Thread thief([&] { SearchOnce(pair, 3); });
  owner(pair);
  while (pair.Pop()) {
  }
  thief.Join();
  MODEL_CHECK(pair.taken == 3);
}

MODEL_TEST("A2: the same when the thief takes up to three tasks at once") {
  StealTwoOfThree(true, [](Pair&) {});
}
MODEL_TEST("A2: the same when the owner is not quiet and the thief takes up to three tasks") {
  StealTwoOfThree(false, [](Pair&) {});
}
MODEL_TEST("A2: the same when the owner becomes quiet and the thief takes up to three tasks") {
  StealTwoOfThree(false, [](Pair& pair) { pair.BecomeQuiet(); });
}
MODEL_TEST("A2: the same when the owner is no longer quiet and the thief takes up to three tasks",
           .stale_reads = 3) {
  StealTwoOfThree(true, [](Pair& pair) {
    (void)pair.Pop();
    pair.owner.Leave();
  });
}

MODEL_TEST("A2: the same when the owner becomes quiet while the thief comes", .preemptions = 2) {
  Pair pair(false);
  Thread thief([&] { SearchOnce(pair); });
  pair.BecomeQuiet();
  pair.Push(0);
  while (pair.Pop()) {
  }
  pair.owner.Leave();
  thief.Join();
  MODEL_CHECK(pair.taken == 1);
}

MODEL_TEST(
    "A3: a task that a quiet owner pushes is seen by a worker that goes to sleep, or the worker is "
    "woken") {
  Pair pair(true);
  Atomic<uint32_t> keep{2};
  Thread other([&] {
    pair.idle.Announce(pair.parker, false);
    pair.quiet.Alert();
    if (pair.deque.SizeApprox() > 0 && pair.idle.Withdraw(pair.parker)) return;
    (void)pair.idle.Sleep(pair.parker, kNever, keep);
  });
  pair.Push(0);
  if (!pair.owner.Fence() && pair.idle.Load().NeedsHelp()) pair.idle.WakeOne();
  other.Join();
}

}  // namespace
}  // namespace workpool::model
