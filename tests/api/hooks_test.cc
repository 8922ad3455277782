// Hooks on workers: pairs of start and stop, on pools that run already, and their removal.
#include <array>
#include <catch2/catch.hpp>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <thread>
#include <vector>

#include "test_support.h"

namespace workpool_test {
namespace {

// What the hooks of one pair have seen, by worker thread.
struct HookLog {
  std::mutex mu;
  std::map<std::thread::id, int> depth;  // starts minus stops
  std::set<int32_t> workers;
  uint64_t starts = 0, stops = 0, wrong = 0;
  pool_t expected_pool = 0;

  static void Start(void* user, pool_t pool, int32_t worker) {
    auto* log = static_cast<HookLog*>(user);
    const std::lock_guard<std::mutex> lock(log->mu);
    ++log->starts;
    log->workers.insert(worker);
    if (log->expected_pool != 0 && pool != log->expected_pool) ++log->wrong;
    if (worker < 0 || ++log->depth[std::this_thread::get_id()] != 1) ++log->wrong;
  }
  static void Stop(void* user, pool_t, int32_t worker) {
    auto* log = static_cast<HookLog*>(user);
    const std::lock_guard<std::mutex> lock(log->mu);
    ++log->stops;
    if (log->workers.count(worker) == 0) ++log->wrong;
    if (--log->depth[std::this_thread::get_id()] != 0) ++log->wrong;
  }
  bool StartedHere() {
    const std::lock_guard<std::mutex> lock(mu);
    return depth[std::this_thread::get_id()] == 1;
  }
  uint64_t Starts() {
    const std::lock_guard<std::mutex> lock(mu);
    return starts;
  }
  uint64_t Stops() {
    const std::lock_guard<std::mutex> lock(mu);
    return stops;
  }
};

// Occupies exactly count workers at once, so that each of them has run a task.
void OccupyWorkers(
    pool_t pool, uint64_t count, const std::function<void()>& inside = [] {}) {
  Gate gate;
  Body body([&](pool_ctx_t*) {
    inside();
    gate.Pass();
    return 0;
  });
  for (uint64_t i = 0; i < count; ++i) Must(pool_submit(pool, Body::Run, &body), "submit");
  if (!gate.AwaitArrivals(count)) std::abort();
  gate.Open();
  Must(pool_wait_idle(pool, kBoundNs), "wait_idle");
}

TEST_CASE("start runs on every worker before its first task, stop once when it ends", "[hooks]") {
  HookLog log;
  ScopedPool pool(4);
  log.expected_pool = pool;
  uint64_t id = 0;
  REQUIRE(pool_hook_add(pool, HookLog::Start, HookLog::Stop, &log, &id) == POOL_OK);
  CHECK(log.Starts() == 0);
  std::atomic<uint64_t> unstarted{0};
  OccupyWorkers(pool, 4, [&] {
    if (!log.StartedHere()) ++unstarted;
  });
  CHECK(unstarted == 0);
  CHECK(log.Starts() == 4);
  CHECK(log.Stops() == 0);
  REQUIRE(pool_destroy(pool.GiveUp()) == POOL_OK);
  CHECK(log.Stops() == 4);
  CHECK(log.wrong == 0);
  CHECK(log.workers.size() == 4);
}

TEST_CASE("a hook added to a running pool starts on existing workers before their next task",
          "[hooks]") {
  HookLog log;
  ScopedPool pool(3);
  OccupyWorkers(pool, 3);
  uint64_t id = 0;
  REQUIRE(pool_hook_add(pool, HookLog::Start, HookLog::Stop, &log, &id) == POOL_OK);
  std::atomic<uint64_t> unstarted{0};
  OccupyWorkers(pool, 3, [&] {
    if (!log.StartedHere()) ++unstarted;
  });
  CHECK(unstarted == 0);
  CHECK(log.Starts() == 3);
  REQUIRE(pool_hook_remove(pool, id) == POOL_OK);
  CHECK(log.Stops() == 3);
  CHECK(log.wrong == 0);
}

TEST_CASE("a removed hook has run stop everywhere, and its user data may go", "[hooks]") {
  ScopedPool pool(3);
  OccupyWorkers(pool, 3);
  for (uint64_t round = 0; round < Rounds(300); ++round) {
    auto log = std::make_unique<HookLog>();
    uint64_t id = 0;
    REQUIRE(pool_hook_add(pool, HookLog::Start, HookLog::Stop, log.get(), &id) == POOL_OK);
    std::atomic<uint64_t> runs{0};
    for (int i = 0; i < 20; ++i) Must(pool_submit(pool, CountRun, &runs), "submit");
    REQUIRE(pool_hook_remove(pool, id) == POOL_OK);
    REQUIRE(log->Starts() == log->Stops());
    REQUIRE(log->wrong == 0);
    log.reset();  // a late call would touch freed memory
    REQUIRE(pool_hook_remove(pool, id) == POOL_E_NOTFOUND);
    REQUIRE(WaitIdle(pool));
    REQUIRE(runs == 20);
  }
}

TEST_CASE("removing a hook waits for a worker that is in a task", "[hooks]") {
  HookLog log;
  ScopedPool pool(1);
  uint64_t id = 0;
  REQUIRE(pool_hook_add(pool, HookLog::Start, HookLog::Stop, &log, &id) == POOL_OK);
  Gate gate;
  Must(pool_submit(pool, PassGate, &gate), "submit");
  REQUIRE(gate.AwaitArrivals(1));
  std::atomic<int32_t> status{1};
  std::thread remover([&] { status = pool_hook_remove(pool, id); });
  CHECK(HoldsThroughout([&] { return status == 1 && log.Stops() == 0; }));
  gate.Open();
  remover.join();
  CHECK(status == POOL_OK);
  CHECK(log.Stops() == 1);
}

TEST_CASE("removing a hook reaches sleeping workers, and those of a paused pool", "[hooks]") {
  HookLog log;
  pool_options_t options = Options(3);
  options.workers_min = 3;
  ScopedPool pool(options);
  uint64_t id = 0;
  REQUIRE(pool_hook_add(pool, HookLog::Start, HookLog::Stop, &log, &id) == POOL_OK);
  OccupyWorkers(pool, 3);
  REQUIRE(PollUntil([&] { return Stats(pool).workers_parked == 3; }));
  REQUIRE(pool_pause(pool) == POOL_OK);
  REQUIRE(pool_hook_remove(pool, id) == POOL_OK);
  CHECK(log.Starts() == 3);
  CHECK(log.Stops() == 3);
  CHECK(log.wrong == 0);
}

TEST_CASE("several hooks are independent, and either function may be absent", "[hooks]") {
  HookLog both, another;
  std::atomic<uint64_t> only_start{0}, only_stop{0};
  const pool_hook_fn count = [](void* user, pool_t, int32_t) {
    ++*static_cast<std::atomic<uint64_t>*>(user);
  };
  ScopedPool pool(2);
  std::array<uint64_t, 4> ids{};
  REQUIRE(pool_hook_add(pool, HookLog::Start, HookLog::Stop, &both, &ids[0]) == POOL_OK);
  REQUIRE(pool_hook_add(pool, count, nullptr, &only_start, &ids[1]) == POOL_OK);
  REQUIRE(pool_hook_add(pool, nullptr, count, &only_stop, &ids[2]) == POOL_OK);
  REQUIRE(pool_hook_add(pool, HookLog::Start, HookLog::Stop, &another, &ids[3]) == POOL_OK);
  CHECK(std::set<uint64_t>(ids.begin(), ids.end()).size() == 4);
  OccupyWorkers(pool, 2);
  REQUIRE(pool_hook_remove(pool, ids[0]) == POOL_OK);
  CHECK(both.Stops() == 2);
  CHECK(another.Stops() == 0);
  CHECK(only_start == 2);
  CHECK(only_stop == 0);
  REQUIRE(pool_destroy(pool.GiveUp()) == POOL_OK);
  CHECK(both.Stops() == 2);
  CHECK(another.Stops() == 2);
  CHECK(only_start == 2);
  CHECK(only_stop == 2);
}

TEST_CASE("a stop hook may not wait for its own pool", "[hooks]") {
  struct Seen {
    std::atomic<uint64_t> hook{0};
    std::atomic<int32_t> remove{0}, close{0}, idle{0}, destroy{0};
  } seen;
  pool_options_t options = Options(1);
  options.keep_alive_ns = 1'000'000;
  ScopedPool pool(options);
  uint64_t id = 0;
  const pool_hook_fn stop = [](void* user, pool_t p, int32_t) {
    auto* s = static_cast<Seen*>(user);
    s->remove = pool_hook_remove(p, s->hook);
    s->close = pool_close(p, POOL_DRAIN, POOL_FOREVER);
    s->idle = pool_wait_idle(p, POOL_FOREVER);
    s->destroy = pool_destroy(p);
  };
  REQUIRE(pool_hook_add(pool, nullptr, stop, &seen, &id) == POOL_OK);
  seen.hook = id;
  REQUIRE(pool_submit(pool, DoNothing, nullptr) == POOL_OK);
  REQUIRE(PollUntil([&] { return Stats(pool).retired >= 1; }));
  CHECK(seen.remove == POOL_E_DEADLOCK);
  CHECK(seen.close == POOL_E_DEADLOCK);
  CHECK(seen.idle == POOL_E_DEADLOCK);
  CHECK(seen.destroy == POOL_E_DEADLOCK);
}

TEST_CASE("bad calls of the hook functions are refused", "[hooks]") {
  ScopedPool pool(1);
  uint64_t id = 0;
  CHECK(pool_hook_add(pool, nullptr, nullptr, nullptr, &id) == POOL_E_INVALID);
  CHECK(pool_hook_add(pool, HookLog::Start, nullptr, nullptr, nullptr) == POOL_E_INVALID);
  CHECK(pool_hook_remove(pool, 0) == POOL_E_NOTFOUND);
  CHECK(pool_hook_remove(pool, 123'456) == POOL_E_NOTFOUND);
  HookLog log;
  REQUIRE(pool_hook_add(pool, HookLog::Start, HookLog::Stop, &log, &id) == POOL_OK);
  std::atomic<int32_t> status{1};
  Body body([&](pool_ctx_t*) {
    status = pool_hook_remove(pool, id);
    return 0;
  });
  Must(pool_submit(pool, Body::Run, &body), "submit");
  REQUIRE(WaitIdle(pool));
  CHECK(status == POOL_E_DEADLOCK);
  CHECK(log.Stops() == 0);
  CHECK(pool_hook_remove(pool, id) == POOL_OK);
}

TEST_CASE("hooks come and go while workers do", "[hooks]") {
  pool_options_t options = Options(4);
  options.keep_alive_ns = 100'000;  // workers end and start all the time
  ScopedPool pool(options);
  std::atomic<bool> stop{false};
  std::atomic<uint64_t> bad{0};
  std::thread load([&] {
    while (!stop) {
      for (int i = 0; i < 8; ++i) pool_submit(pool, DoNothing, nullptr);
      pool_wait_idle(pool, kBoundNs);
      pool_tune(pool, 1 + pool_now_ns() % 4);
    }
  });
  for (uint64_t round = 0; round < Rounds(300); ++round) {
    auto log = std::make_unique<HookLog>();
    uint64_t id = 0;
    if (pool_hook_add(pool, HookLog::Start, HookLog::Stop, log.get(), &id) != POOL_OK) ++bad;
    for (int i = 0; i < 4; ++i) pool_submit(pool, DoNothing, nullptr);
    if (pool_hook_remove(pool, id) != POOL_OK) ++bad;
    if (log->Starts() != log->Stops() || log->wrong != 0) ++bad;
  }
  stop = true;
  load.join();
  CHECK(bad == 0);
}

}  // namespace
}  // namespace workpool_test
