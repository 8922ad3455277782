#include "park/service.h"

#include <pthread.h>

#include <atomic>
#include <catch2/catch.hpp>
#include <functional>
#include <vector>

#include "base/clock.h"
#include "base/random.h"
#include "unit_support.h"

namespace workpool {
namespace {

using workpool_test::AwaitThreadCount;
using workpool_test::Gate;
using workpool_test::HoldsThroughout;
using workpool_test::PollUntil;
using workpool_test::ThreadCount;

constexpr uint64_t kMs = 1'000'000;

Service& TheService() { return *Service::OfProcess(); }

// A client from a lambda, which returns when it is to be called next; counts its calls, and is removed with its scope.
class Client {
 public:
  explicit Client(std::function<uint64_t()> body) : body_(std::move(body)) {
    client_.call = &Call;
    client_.owner = this;
  }
  explicit Client(uint64_t next_ns = kNever) : Client([next_ns] { return next_ns; }) {}
  ~Client() { Remove(); }
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  Client& Add() {
    if (TheService().Add(client_) != POOL_OK) std::abort();
    return *this;
  }
  void Remove(bool wait = true) { TheService().Remove(client_, wait); }
  void CallAt(uint64_t due_ns) { TheService().CallAt(client_, due_ns); }

  [[nodiscard]] bool AwaitCalls(uint64_t count) {
    return PollUntil([&] { return ended >= count; });
  }

  std::atomic<uint64_t> begun{0}, ended{0};
  std::atomic<uint64_t> last_ns{0};  // when the last call began
  std::atomic<int32_t> thread{0};    // of the last call

 private:
  static uint64_t Call(void* owner) {
    auto& client = *static_cast<Client*>(owner);
    client.last_ns = NowNs();
    client.thread = CurrentTid();
    ++client.begun;
    const uint64_t next_ns = client.body_();
    ++client.ended;
    return next_ns;
  }

  std::function<uint64_t()> body_;
  ServiceClient client_;
};

// Whatever a test does, its threads are gone in the end.
class ThreadsBalance {
 public:
  ~ThreadsBalance() { CHECK(AwaitThreadCount(before_)); }

 private:
  size_t before_ = ThreadCount();
};

TEST_CASE("there is one service in a process", "[service]") {
  CHECK(Service::OfProcess() != nullptr);
  CHECK(Service::OfProcess() == Service::OfProcess());
}

TEST_CASE("a client is called when its time has come, once, and not before", "[service]") {
  const ThreadsBalance balance;
  Client client;
  client.Add();
  for (const uint64_t delay_ns : {uint64_t{0}, kMs, 20 * kMs}) {
    const uint64_t before = client.ended;
    const uint64_t due_ns = NowNs() + delay_ns;
    client.CallAt(due_ns);
    REQUIRE(client.AwaitCalls(before + 1));
    CHECK(client.last_ns >= due_ns);
  }
  client.CallAt(0);  // long past
  CHECK(client.AwaitCalls(4));
  CHECK(HoldsThroughout([&] { return client.begun == 4; }));
}

TEST_CASE("one that was never told a time is not called", "[service]") {
  const ThreadsBalance balance;
  Client client;
  client.Add();
  CHECK(HoldsThroughout([&] { return client.begun == 0; }));
}

TEST_CASE("an earlier time wakes the service, a later one is none", "[service]") {
  const ThreadsBalance balance;
  Client client;
  client.Add();
  client.CallAt(NowNs() + 3'600'000 * kMs);
  client.CallAt(kNever - 1);
  CHECK(HoldsThroughout([&] { return client.begun == 0; }));
  const uint64_t due_ns = NowNs() + 5 * kMs;
  client.CallAt(due_ns);
  client.CallAt(due_ns + 5 * kMs);
  REQUIRE(client.AwaitCalls(1));
  CHECK(client.last_ns >= due_ns);
  // The others were for the same call.
  CHECK(HoldsThroughout([&] { return client.begun == 1; }));
}

TEST_CASE("a client says itself when it is to be called next", "[service]") {
  const ThreadsBalance balance;
  std::vector<uint64_t> due{0};
  Client client([&] {
    due.push_back(NowNs() + 2 * kMs);
    return due.size() <= 5 ? due.back() : kNever;
  });
  client.Add().CallAt(1);
  REQUIRE(client.AwaitCalls(5));
  CHECK(client.last_ns >= due[4]);
  CHECK(HoldsThroughout([&] { return client.begun == 5; }));
}

TEST_CASE("of what it says and what others say meanwhile the earlier time holds", "[service]") {
  const ThreadsBalance balance;
  Gate gate;
  std::atomic<bool> first{true};
  Client client([&] {
    if (!first.exchange(false)) return kNever;
    gate.Pass();
    return NowNs() + 3'600'000 * kMs;
  });
  client.Add().CallAt(0);
  REQUIRE(gate.AwaitArrivals(1));
  client.CallAt(NowNs() + kMs);
  gate.Open();
  CHECK(client.AwaitCalls(2));
  // And a client may ask for itself from inside.
  std::atomic<bool> again{true};
  Client own([&] {
    if (again.exchange(false)) own.CallAt(NowNs() + kMs);
    return kNever;
  });
  own.Add().CallAt(0);
  CHECK(own.AwaitCalls(2));
  CHECK(HoldsThroughout([&] { return own.begun == 2; }));
}

TEST_CASE("several clients are called in the order of their times, on one thread", "[service]") {
  const ThreadsBalance balance;
  const size_t threads = ThreadCount();
  std::vector<int> order;
  Client a([&] { return order.push_back(1), kNever; });
  Client b([&] { return order.push_back(2), kNever; });
  Client c([&] { return order.push_back(3), kNever; });
  // While it is busy with the first one, so that all three are due when it looks.
  Gate gate;
  Client first([&] { return gate.Pass(), kNever; });
  first.Add().CallAt(0);
  REQUIRE(gate.AwaitArrivals(1));
  const uint64_t now_ns = NowNs();
  a.Add().CallAt(now_ns - 10);
  b.Add().CallAt(now_ns - 30);
  c.Add().CallAt(now_ns - 20);
  CHECK(ThreadCount() == threads + 1);
  gate.Open();
  CHECK((a.AwaitCalls(1) && b.AwaitCalls(1) && c.AwaitCalls(1)));
  CHECK(a.thread == b.thread);
  CHECK(b.thread == c.thread);
  for (Client* client : {&first, &a, &b, &c}) client->Remove();
  CHECK(order == std::vector<int>{2, 3, 1});
}

TEST_CASE("adding twice, removing twice, and times for strangers are harmless", "[service]") {
  const ThreadsBalance balance;
  Client client;
  client.Remove();
  client.CallAt(0);
  client.Add().Add();
  CHECK(HoldsThroughout([&] { return client.begun == 0; }));
  client.CallAt(0);
  CHECK(client.AwaitCalls(1));
  client.Remove();
  client.Remove();
  client.CallAt(0);
  CHECK(HoldsThroughout([&] { return client.begun == 1; }));
  // What it was told before it was removed is forgotten.
  client.Add().CallAt(NowNs() + 10'000 * kMs);
  client.Remove();
  client.Add();
  CHECK(HoldsThroughout([&] { return client.begun == 1; }));
}

TEST_CASE("removing waits for a call that runs, and no call comes afterwards", "[service]") {
  const ThreadsBalance balance;
  Gate gate;
  Client bystander;  // so that this is not about the end of the thread
  bystander.Add();
  Client client([&] { return gate.Pass(), uint64_t{0}; });  // again at once, for ever
  client.Add().CallAt(0);
  REQUIRE(gate.AwaitArrivals(1));
  std::atomic<bool> removed{false};
  ScopedThread remover([&] {
    client.Remove();
    removed = true;
  });
  CHECK(HoldsThroughout([&] { return !removed; }));
  gate.Open();
  remover.Join();
  const uint64_t calls = client.begun;
  CHECK(client.ended == calls);
  CHECK(HoldsThroughout([&] { return client.begun == calls; }));
}

TEST_CASE("removing does not wait for the call of somebody else", "[service]") {
  const ThreadsBalance balance;
  Gate gate;
  Client busy([&] { return gate.Pass(), kNever; });
  Client client;
  client.Add();
  busy.Add().CallAt(0);
  REQUIRE(gate.AwaitArrivals(1));
  client.CallAt(0);
  client.Remove();  // hangs if it waited
  CHECK(client.begun == 0);
  gate.Open();
  busy.Remove();
}

TEST_CASE("a client may remove itself and others inside its call", "[service]") {
  const ThreadsBalance balance;
  SECTION("itself, and it may be gone before the call ends") {
    static std::atomic<uint64_t> calls;
    calls = 0;
    Client bystander;
    bystander.Add();
    auto* client = new ServiceClient();
    client->owner = client;
    client->call = [](void* owner) {
      auto* self = static_cast<ServiceClient*>(owner);
      TheService().Remove(*self, true);
      delete self;
      ++calls;
      return uint64_t{0};  // nobody's time any more
    };
    REQUIRE(TheService().Add(*client) == POOL_OK);
    TheService().CallAt(*client, 0);
    CHECK(PollUntil([&] { return calls == 1; }));
    bystander.CallAt(0);
    CHECK(bystander.AwaitCalls(1));
    CHECK(calls == 1);
  }
  SECTION("another one, whose time has come") {
    Client other;
    Client client([&] {
      other.Remove();
      return kNever;
    });
    other.Add();
    client.Add();
    Gate gate;
    Client first([&] { return gate.Pass(), kNever; });
    first.Add().CallAt(0);
    REQUIRE(gate.AwaitArrivals(1));
    client.CallAt(1);
    other.CallAt(2);
    gate.Open();
    CHECK(client.AwaitCalls(1));
    CHECK(HoldsThroughout([&] { return other.begun == 0; }));
  }
  SECTION("the last one, which ends the thread it runs on") {
    const size_t threads = ThreadCount();
    std::atomic<bool> over{false};
    Client client([&] {
      client.Remove(true);
      over = true;
      return kNever;
    });
    client.Add().CallAt(0);
    CHECK(PollUntil([&] { return over.load(); }));
    CHECK(AwaitThreadCount(threads));
  }
}

TEST_CASE("the last client sees the thread off, the next one starts another", "[service]") {
  const ThreadsBalance balance;
  const size_t threads = ThreadCount();
  for (const bool wait : {true, false}) {
    INFO("wait " << wait);
    for (int round = 0; round < 20; ++round) {
      Client one, two;
      one.Add();
      two.Add();
      REQUIRE(ThreadCount() == threads + 1);
      two.CallAt(0);
      REQUIRE(two.AwaitCalls(1));
      one.Remove(wait);
      CHECK(ThreadCount() == threads + 1);
      two.Remove(wait);
      // A joined thread is listed by the kernel a moment longer, too.
      REQUIRE(AwaitThreadCount(threads));
    }
  }
}

TEST_CASE("a client that comes while the thread ends is served by another one", "[service]") {
  const ThreadsBalance balance;
  for (uint64_t round = 0; round < workpool_test::Rounds(2'000); ++round) {
    Client last, fresh;
    last.Add().CallAt(0);
    ScopedThread other([&] { last.Remove(round % 2 == 0); });
    fresh.Add().CallAt(0);
    REQUIRE(fresh.AwaitCalls(1));
  }
}

TEST_CASE("a call that ends its thread is called again at once, on another thread", "[service]") {
  const ThreadsBalance balance;
  const size_t threads = ThreadCount();
  std::vector<int32_t> tids;
  Client client([&]() -> uint64_t {
    tids.push_back(CurrentTid());
    if (tids.size() <= 3) pthread_exit(nullptr);
    return kNever;
  });
  Client bystander;
  bystander.Add();
  client.Add().CallAt(0);
  REQUIRE(client.AwaitCalls(1));  // only the last one ended as calls do
  CHECK(client.begun == 4);
  bystander.CallAt(0);
  CHECK(bystander.AwaitCalls(1));
  CHECK(AwaitThreadCount(threads + 1));
  CHECK(HoldsThroughout([&] { return client.begun == 4; }));
  client.Remove();
  CHECK(tids.size() == 4);
  for (size_t i = 1; i < tids.size(); ++i) CHECK(tids[i] != tids[i - 1]);
  bystander.Remove();
  CHECK(AwaitThreadCount(threads));
}

TEST_CASE("a call that ends its thread after it has removed the last client ends only that", "[service]") {
  const ThreadsBalance balance;
  const size_t threads = ThreadCount();
  Client client([&]() -> uint64_t {
    client.Remove();
    pthread_exit(nullptr);
  });
  client.Add().CallAt(0);
  REQUIRE(PollUntil([&] { return client.begun == 1; }));
  CHECK(AwaitThreadCount(threads));
  Client next;
  next.Add().CallAt(0);
  CHECK(next.AwaitCalls(1));
  CHECK(client.begun == 1);
}

TEST_CASE("removing waits for a call that ends its thread, too", "[service]") {
  const ThreadsBalance balance;
  Gate gate;
  Client bystander;
  bystander.Add();
  Client client([&]() -> uint64_t {
    gate.Pass();
    pthread_exit(nullptr);
  });
  client.Add().CallAt(0);
  REQUIRE(gate.AwaitArrivals(1));
  ScopedThread remover([&] { client.Remove(); });
  gate.Open();
  remover.Join();
  const uint64_t calls = client.begun;
  CHECK(HoldsThroughout([&] { return client.begun == calls; }));
  bystander.CallAt(0);
  CHECK(bystander.AwaitCalls(1));
}

// ---- calls that wait ---------------------------------------------------------------------------

TEST_CASE("while a call waits for another time, others are called, and it itself", "[service]") {
  const ThreadsBalance balance;
  const size_t threads = ThreadCount();
  Gate gate;
  std::atomic<bool> first{true};
  Client other;
  Client client([&] {
    if (!first.exchange(false)) return kNever;
    Service::StandIn();
    gate.Pass();
    return kNever;
  });
  client.Add().CallAt(0);
  other.Add();
  REQUIRE(gate.AwaitArrivals(1));
  other.CallAt(0);
  CHECK(other.AwaitCalls(1));
  // There may be more to do for it: it is called at once, and when it is told.
  CHECK(client.AwaitCalls(1));
  client.CallAt(0);
  CHECK(client.AwaitCalls(2));
  CHECK(ThreadCount() == threads + 2);
  gate.Open();
  CHECK(client.AwaitCalls(3));
  // The one that waited ends; one is enough.
  CHECK(AwaitThreadCount(threads + 1));
  client.CallAt(0);
  CHECK(client.AwaitCalls(4));
}

TEST_CASE("standing in twice in one call, or outside of one, starts no more threads", "[service]") {
  const ThreadsBalance balance;
  const size_t threads = ThreadCount();
  Service::StandIn();
  CHECK(ThreadCount() == threads);
  Gate gate;
  std::atomic<bool> first{true};
  Client client([&] {
    if (!first.exchange(false)) return kNever;
    for (int i = 0; i < 10; ++i) Service::StandIn();
    gate.Pass();
    return kNever;
  });
  client.Add().CallAt(0);
  REQUIRE(gate.AwaitArrivals(1));
  CHECK(AwaitThreadCount(threads + 2));
  gate.Open();
  CHECK(client.AwaitCalls(2));
  CHECK(AwaitThreadCount(threads + 1));
}

TEST_CASE("removing waits for every call, also for one that waits on a thread stood in for", "[service]") {
  const ThreadsBalance balance;
  Gate gate;
  std::atomic<bool> first{true};
  Client client([&] {
    if (!first.exchange(false)) return kNever;
    Service::StandIn();
    gate.Pass();
    return kNever;
  });
  client.Add().CallAt(0);
  REQUIRE(gate.AwaitArrivals(1));
  REQUIRE(client.AwaitCalls(1));  // the other call is over
  std::atomic<bool> removed{false};
  ScopedThread remover([&] {
    client.Remove();
    removed = true;
  });
  CHECK(HoldsThroughout([&] { return !removed; }));
  gate.Open();
  remover.Join();
  CHECK(client.ended == 2);
}

TEST_CASE("the end of an old call is not that of a new client's call", "[service]") {
  const ThreadsBalance balance;
  Gate old_gate, new_gate;
  // The last client removes itself, and its call goes on while its thread is none of the service any more.
  Client old_client([&] {
    old_client.Remove(false);
    old_gate.Pass();
    return kNever;
  });
  old_client.Add().CallAt(0);
  REQUIRE(old_gate.AwaitArrivals(1));
  Client new_client([&] { return new_gate.Pass(), kNever; });
  new_client.Add().CallAt(0);
  REQUIRE(new_gate.AwaitArrivals(1));
  old_gate.Open();
  REQUIRE(old_client.AwaitCalls(1));
  std::atomic<bool> removed{false};
  ScopedThread remover([&] {
    new_client.Remove();
    removed = true;
  });
  CHECK(HoldsThroughout([&] { return !removed; }));
  new_gate.Open();
  remover.Join();
}

TEST_CASE("a call that waits on a thread stood in for may end that thread", "[service]") {
  const ThreadsBalance balance;
  const size_t threads = ThreadCount();
  Gate gate;
  std::atomic<bool> first{true};
  Client client([&]() -> uint64_t {
    if (!first.exchange(false)) return kNever;
    Service::StandIn();
    gate.Pass();
    pthread_exit(nullptr);
  });
  client.Add().CallAt(0);
  REQUIRE(gate.AwaitArrivals(1));
  REQUIRE(client.AwaitCalls(1));
  gate.Open();
  CHECK(AwaitThreadCount(threads + 1));
  client.CallAt(0);
  CHECK(client.AwaitCalls(2));
}

TEST_CASE("the time that a call stood in for returns is heeded", "[service]") {
  const ThreadsBalance balance;
  Gate gate;
  std::atomic<bool> first{true};
  std::atomic<uint64_t> due_ns{0};
  Client client([&]() -> uint64_t {
    if (!first.exchange(false)) return kNever;
    Service::StandIn();
    gate.Pass();
    return due_ns = NowNs() + 5 * kMs;
  });
  client.Add().CallAt(0);
  REQUIRE(gate.AwaitArrivals(1));
  REQUIRE(client.AwaitCalls(1));  // by the other thread, which sleeps for ever now
  gate.Open();
  REQUIRE(client.AwaitCalls(3));
  CHECK(client.last_ns >= due_ns);
}

TEST_CASE("clients of many threads come, are called and go", "[service]") {
  const ThreadsBalance balance;
  const uint64_t rounds = workpool_test::Rounds(2'000);
  std::atomic<uint64_t> late{0};
  const auto come_and_go = [&](uint32_t seed) {
    Random random(seed);
    for (uint64_t i = 0; i < rounds; ++i) {
      Client client([own = Random(3 * i + seed)]() mutable {
        return own.Below(2) == 0 ? kNever : NowNs() + own.Below(50'000);
      });
      client.Add();
      const bool asked = random.Below(4) != 0;
      if (asked) client.CallAt(NowNs() + random.Below(100'000));
      if (asked && random.Below(2) == 0 && !client.AwaitCalls(1)) ++late;
      client.Remove(random.Below(2) == 0);
      if (client.begun != client.ended) ++late;
    }
  };
  {
    ScopedThread one([&] { come_and_go(1); });
    ScopedThread two([&] { come_and_go(2); });
    come_and_go(3);
  }
  CHECK(late == 0);
}

}  // namespace
}  // namespace workpool
