// The service thread (park/service.h) of clients that can do without it: it ends when nobody has needed it for a while, and
// the next call starts another one. A call that is lost leaves the test asleep for ever; a thread that nobody joins or
// detaches is a failure of every schedule.
#include "model/explorer.h"
#include "park/event.h"
#include "park/service.h"

namespace workpool::model {
namespace {

constexpr uint64_t kLingerNs = 1'000'000'000;  // Service's

class Client {
 public:
  explicit Client(bool may_lapse = true) {
    client_.call = &Call;
    client_.owner = this;
    client_.may_lapse = may_lapse;
  }
  // Both as often as threads are refused.
  void Add() {
    while (Service::OfProcess()->Add(client_) != POOL_OK) {
    }
  }
  void CallIn(uint64_t ns) {
    called_.Write(called_.Read() + 1);
    while (!Service::OfProcess()->CallAt(client_, NowNs() + ns)) {
    }
  }
  void CallNow() { CallIn(0); }
  void Remove() {
    Service::OfProcess()->Remove(client_, true);
    gone_.Write(1);
  }
  void AwaitCalls(int calls) {
    MODEL_CHECK(over_.Await(kNever, [&] { return calls_.load(kAcquire) >= calls; }));
  }
  int calls() const { return calls_.load(kRelaxed); }

 private:
  static uint64_t Call(void* memory) {
    auto& self = *static_cast<Client*>(memory);
    (void)self.called_.Read();  // what came before the call is visible
    (void)self.gone_.Read();    // and nobody comes after the removal
    self.calls_.fetch_add(1, kRelease);
    self.over_.Notify();
    return kNever;
  }

  ServiceClient client_;
  Plain<int> called_{0};
  Plain<int> gone_{0};
  Atomic<int> calls_{0};
  Event over_;
};

void CallWhenItEnds(uint64_t after_ns) {
  Client client;
  client.Add();
  if (after_ns != 0) SleepNs(after_ns);
  client.CallNow();
  client.AwaitCalls(1);
  client.Remove();
  MODEL_CHECK(client.calls() == 1);
}

MODEL_TEST("a call that comes just when the service thread ends for want of work is made", .stale_reads = 1,
           .early_timeouts = 1) {
  CallWhenItEnds(0);
}
MODEL_TEST("a call that comes when the service thread has lingered long enough is made", .preemptions = 2) {
  CallWhenItEnds(kLingerNs);
}
MODEL_TEST("a call for which no thread can be started is refused, and made when it is tried again", .preemptions = 2,
           .stale_reads = 1, .early_timeouts = 1, .start_failures = 2) {
  CallWhenItEnds(kLingerNs);
}

MODEL_TEST("a call that is due long after the service thread would end for want of work is made", .preemptions = 2,
           .stale_reads = 1, .start_failures = 1) {
  Client client;
  client.Add();
  const uint64_t due_ns = NowNs() + 3 * kLingerNs;
  client.CallIn(3 * kLingerNs);
  client.AwaitCalls(1);
  MODEL_CHECK(NowNs() >= due_ns);
  client.Remove();
}

MODEL_TEST("calls of two clients that come when the service thread ends are both made", .preemptions = 2,
           .stale_reads = 1, .early_timeouts = 1) {
  Client one;
  Client two;
  one.Add();
  two.Add();
  Thread other([&] {
    two.CallNow();
    two.AwaitCalls(1);
    two.Remove();
  });
  one.CallNow();
  one.AwaitCalls(1);
  one.Remove();
  other.Join();
}

MODEL_TEST("a client that is removed while another one's call is due is not called any more, and the other one is",
           .preemptions = 2, .stale_reads = 1, .early_timeouts = 1) {
  Client one;
  Client two;
  one.Add();
  two.Add();
  two.CallNow();
  Thread other([&] { two.Remove(); });
  one.CallNow();
  one.AwaitCalls(1);
  one.Remove();
  other.Join();
  MODEL_CHECK(two.calls() <= 1);
}

MODEL_TEST("the last client may leave, and another one come, just when the service thread ends", .preemptions = 2,
           .stale_reads = 1, .early_timeouts = 2) {
  Client one;
  one.Add();
  Thread other([&] { one.Remove(); });
  Client two;
  two.Add();
  two.CallNow();
  two.AwaitCalls(1);
  two.Remove();
  other.Join();
}

MODEL_TEST("while a client that cannot do without is there the service thread stays", .preemptions = 2,
           .stale_reads = 1, .start_failures = 1) {
  Client lasting(false);
  Client passing;
  lasting.Add();
  passing.Add();
  Thread other([&] { passing.Remove(); });
  SleepNs(2 * kLingerNs);
  lasting.CallNow();  // nobody asks whether a thread could be started
  lasting.AwaitCalls(1);
  other.Join();
  lasting.Remove();
}

}  // namespace
}  // namespace workpool::model
