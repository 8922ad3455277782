// How many workers there are: policies by name and in C++, what they have decided, budgets, and
// tasks that block.
#include <unistd.h>

#include <catch2/catch.hpp>
#include <cstdlib>
#include <mutex>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "helpers.h"

using namespace std::chrono_literals;

namespace {

// Tasks that wait until the end of the scope.
class Crowd {
 public:
  Crowd(workpool::pool& pool, int tasks) : pool_(pool) {
    for (int i = 0; i < tasks; ++i) {
      pool.post([this] {
        ++arrived_;
        gate_.Pass();
      });
    }
  }
  ~Crowd() {
    gate_.Open();
    pool_.wait_idle();
  }
  bool Await(int count) {
    return Eventually([&] { return arrived_ >= count; });
  }
  // Exactly so many, and no more in a while.
  bool Stays(int count) {
    if (!Await(count)) return false;
    std::this_thread::sleep_for(30ms);
    return arrived_ == count;
  }

 private:
  workpool::pool& pool_;
  Gate gate_;
  std::atomic<int> arrived_{0};
};

bool Listed(const workpool::pool& pool, bool shadow, std::uint32_t workers) {
  for (const workpool::decision& d : pool.decisions()) {
    if (d.shadow() == shadow && d.workers == workers) return true;
  }
  return false;
}

}  // namespace

TEST_CASE("a policy by name decides, as an option or set later", "[scaling]") {
  workpool::options o = Workers(0, 9);
  o.policy = "fixed,n=3";
  workpool::pool pool(o);
  Crowd crowd(pool, 20);
  CHECK(crowd.Stays(3));
  pool.set_policy("fixed,n=7");
  CHECK(crowd.Stays(7));
  CHECK(CodeOf([&] { pool.set_policy("best"); }) == POOL_E_INVALID);
  pool.set_policy("auto");
  CHECK(crowd.Await(9));
  o.policy = "best";
  CHECK_THROWS_WITH(workpool::pool(o), Catch::Contains("no policy 'best'"));
}

TEST_CASE("functions of one's own decide from what they see, and what they say is done and listed",
          "[scaling]") {
  std::mutex mu;
  std::vector<workpool::load_sample> seen;
  std::vector<std::uint32_t> asked;
  std::atomic<bool> allowed{false};
  workpool::policy p;
  p.signal = [&](const workpool::load_sample& load) {
    const std::lock_guard<std::mutex> lock(mu);
    seen.push_back(load);
    return 0.25;
  };
  p.decide = [](const workpool::load_sample& load, double signal) {
    return signal == 0.25 ? load.workers_max - 1 : 1;
  };
  p.cooldown = [&](const workpool::load_sample& load, std::uint32_t workers) {
    const std::lock_guard<std::mutex> lock(mu);
    asked.push_back(100 * load.target + workers);
    return allowed.load();
  };
  p.tick = 2ms;
  p.patience = 1ms;
  workpool::options o = Workers(0, 6);
  o.policy = "fixed,n=2";
  workpool::pool pool(o);
  Crowd crowd(pool, 20);
  REQUIRE(crowd.Stays(2));
  pool.set_policy(p);
  const auto asked_often = [&] {
    const std::lock_guard<std::mutex> lock(mu);
    return asked.size() > 3;
  };
  CHECK(Eventually(asked_often));
  CHECK(crowd.Stays(2));
  allowed = true;
  CHECK(crowd.Stays(5));
  CHECK(Listed(pool, false, 5));
  const std::vector<workpool::decision> all = pool.decisions();
  REQUIRE_FALSE(all.empty());
  CHECK(all.back().reason_name() == std::string("load"));
  CHECK(all.back().workers_before == 2);
  CHECK(all.back().signal == 0.25);
  CHECK(pool.decisions(all.back().number).empty());
  const std::lock_guard<std::mutex> lock(mu);
  CHECK(asked.front() == 205);
  const workpool::load_sample& last = seen.back();
  CHECK(last.workers_max == 6);
  CHECK(last.target == 5);
  CHECK(last.queued == 15);
  CHECK(last.head_age() > 0ns);
  CHECK(last.span() > 0ns);
  CHECK(last.cores >= 1);
}

TEST_CASE("keep: exactly so many workers are there, without a task, too", "[scaling]") {
  workpool::options o = Workers(0, 8);
  o.keep_alive = 1ms;
  workpool::pool pool(o);
  workpool::policy p;
  p.decide = [](const workpool::load_sample&, double) { return 3u; };
  p.keep = true;
  pool.set_policy(p);
  CHECK(Eventually([&] { return pool.stats().workers_live == 3; }));
  pool.set_policy("auto");
  CHECK(Eventually([&] { return pool.stats().workers_live == 0; }));
}

TEST_CASE("shadow: it is listed what a policy would have done, and nothing is done", "[scaling]") {
  workpool::options o = Workers(0, 8);
  o.policy = "fixed,n=2";
  workpool::pool pool(o);
  Crowd crowd(pool, 20);
  workpool::policy p;
  p.decide = [](const workpool::load_sample&, double) { return 7u; };
  p.shadow = true;
  pool.set_policy(p);
  CHECK(Eventually([&] { return Listed(pool, true, 7); }));
  CHECK(crowd.Stays(2));
  CHECK_FALSE(Listed(pool, false, 7));
}

TEST_CASE("signal and cooldown lead and hold a policy by name", "[scaling]") {
  workpool::options o = Workers(0, 8);
  o.policy = "fixed,n=2";
  workpool::pool pool(o);
  Crowd crowd(pool, 20);
  REQUIRE(crowd.Stays(2));
  std::atomic<bool> may{false};
  std::atomic<int> asked{0};
  workpool::policy p;
  p.name = "ewma,signal=own,alpha=1,cooldown=0s";
  p.tick = std::chrono::milliseconds(2);
  p.signal = [](const workpool::load_sample&) { return 2.0; };
  p.cooldown = [&](const workpool::load_sample&, std::uint32_t) {
    ++asked;
    return may.load();
  };
  pool.set_policy(p);
  CHECK(Eventually([&] { return asked > 3; }));
  CHECK(crowd.Stays(2));
  may = true;
  CHECK(crowd.Await(8));
  p.signal = nullptr;
  CHECK_THROWS_WITH(pool.set_policy(p), Catch::Contains("policy.signal"));
  pool.set_policy("auto");
}

TEST_CASE("what a seasonal policy has learned another pool goes on from", "[scaling]") {
  workpool::options o = Workers(0, 8);
  o.policy = "seasonal";
  workpool::pool pool(o);
  CHECK(pool.policy_history() == "season 1 86400 288\n-x288\n");
  workpool::policy p;
  p.name = "seasonal";
  p.history = "season 1 86400 288\n300x288\n";
  pool.set_policy(p);
  CHECK(Eventually([&] { return pool.stats().workers_live == 3; }));
  CHECK(pool.policy_history() == p.history);
  p.history = "season 1";
  CHECK(CodeOf([&] { pool.set_policy(p); }) == POOL_E_INVALID);
  pool.set_policy("auto");
  CHECK(CodeOf([&] { pool.policy_history(); }) == POOL_E_INVALID);
}

TEST_CASE("what a policy throws is lost, and the number stays", "[scaling]") {
  for (const std::string place : {"signal", "decide", "cooldown"}) {
    INFO(place);
    std::atomic<int> thrown{0};
    std::atomic<int> decided{0};
    const auto at = [&](const char* here) {
      if (place != here) return;
      ++thrown;
      throw std::runtime_error("from the policy");
    };
    workpool::options o = Workers(0, 8);
    o.policy = "fixed,n=3";
    workpool::pool pool(o);
    Crowd crowd(pool, 20);
    REQUIRE(crowd.Await(3));
    workpool::policy p;
    p.signal = [&](const workpool::load_sample&) {
      at("signal");
      return 0.0;
    };
    p.decide = [&](const workpool::load_sample&, double) {
      ++decided;
      at("decide");
      return 6u;
    };
    p.cooldown = [&](const workpool::load_sample&, std::uint32_t) {
      at("cooldown");
      return true;
    };
    p.tick = 2ms;
    pool.set_policy(p);
    CHECK(Eventually([&] { return thrown >= 3; }));
    CHECK(crowd.Stays(3));
    CHECK((decided == 0) == (place == "signal"));
    pool.set_policy("auto");
  }
}

TEST_CASE("when set_policy returns, nothing of the policy before runs or is kept", "[scaling]") {
  workpool::pool pool(Workers(0, 4));
  Crowd crowd(pool, 20);
  Lives lives;
  for (int i = 0; i < 50; ++i) {
    std::atomic<bool> inside{false};
    std::atomic<int> calls{0};
    {
      workpool::policy p;
      p.decide = [&, life = Life(lives)](const workpool::load_sample& load, double) {
        inside = true;
        ++calls;
        std::this_thread::sleep_for(1ms);
        inside = false;
        return load.target;
      };
      p.tick = 1ms;
      pool.set_policy(p);
    }
    CHECK(Eventually([&] { return inside.load(); }));
    CHECK(lives.live == 1);
    pool.set_policy("auto");
    CHECK_FALSE(inside);
    CHECK(lives.live == 0);
    const int before = calls;
    std::this_thread::sleep_for(2ms);
    CHECK(calls == before);
  }
}

TEST_CASE("a policy that is refused is not kept, and the one before stays", "[scaling]") {
  Lives lives;
  Lives refused;
  workpool::pool pool(Workers(0, 4));
  workpool::policy good;
  good.decide = [life = Life(lives)](const workpool::load_sample&, double) { return 2u; };
  pool.set_policy(good);
  good = {};
  workpool::policy bad;
  bad.name = "auto";
  bad.decide = [life = Life(refused)](const workpool::load_sample&, double) { return 2u; };
  CHECK(CodeOf([&] { pool.set_policy(bad); }) == POOL_E_INVALID);
  bad.name.clear();
  bad.tick = -5ns;
  CHECK(CodeOf([&] { pool.set_policy(bad); }) == POOL_E_INVALID);
  bad = {};
  CHECK(refused.live == 0);
  CHECK(lives.live == 1);
  workpool::pool other(std::move(pool));
  CHECK(lives.live == 1);
  CHECK(CodeOf([&] { pool.set_policy("auto"); }) == POOL_E_BADHANDLE);  // NOLINT: moved from
  other = workpool::pool(Workers(0, 1));
  CHECK(lives.live == 0);
  workpool::pool shared = workpool::pool::shared();
  CHECK(CodeOf([&] { shared.set_policy("auto"); }) == POOL_E_INVALID);
}

TEST_CASE("a policy may set another one, also while others do", "[scaling]") {
  Lives lives;
  {
    workpool::pool pool(Workers(0, 8));
    Crowd crowd(pool, 20);
    std::atomic<int> calls{0};
    const auto five = [life = Life(lives)](const workpool::load_sample&, double) { return 5u; };
    const auto hand_over = [&, life = Life(lives)](const workpool::load_sample&, double) {
      ++calls;
      workpool::policy next;
      next.decide = five;
      next.tick = 1ms;
      pool.set_policy(next);
      return 1u;
    };
    workpool::policy first;
    first.decide = hand_over;
    first.tick = 1ms;
    pool.set_policy(first);
    CHECK(crowd.Await(5));
    CHECK(calls == 1);
    std::vector<std::thread> others;
    for (int t = 0; t < 3; ++t) {
      others.emplace_back([&] {
        for (int i = 0; i < 50; ++i) pool.set_policy(first);
      });
    }
    for (std::thread& other : others) other.join();
    workpool::policy last;
    last.decide = [](const workpool::load_sample&, double) { return 7u; };
    last.tick = 1ms;
    CHECK(Eventually([&] {
      pool.set_policy(last);
      return Listed(pool, false, 7);
    }));
    CHECK(crowd.Await(7));
  }
  CHECK(lives.live == 0);
}

TEST_CASE("a pool may be given up while its policy runs, by the policy itself, too", "[scaling]") {
  for (const bool by_itself : {true, false}) {
    INFO(by_itself);
    Lives lives;
    Gate inside;
    Gate leave;
    Gate released;
    std::atomic<int> calls{0};
    auto pool = std::make_unique<workpool::pool>(Workers(0, 2));
    {
      workpool::policy p;
      p.decide = [&, life = Life(lives)](const workpool::load_sample&, double) {
        ++calls;
        inside.Open();
        leave.Pass();
        if (by_itself) {
          pool->release();
          released.Open();
        }
        return 1u;
      };
      p.tick = 1ms;
      pool->set_policy(p);
    }
    inside.Pass();
    if (!by_itself) pool->release();
    leave.Open();
    if (by_itself) released.Pass();
    pool.reset();
    CHECK(Eventually([&] { return lives.live == 0; }));
    CHECK(calls == 1);
  }
}

TEST_CASE("decisions tell of numbers set by hand; a pool that works is healthy", "[scaling]") {
  workpool::pool pool(Workers(0, 8));
  CHECK(pool.decisions().empty());
  pool.tune(6);
  pool.tune(5);
  const std::vector<workpool::decision> all = pool.decisions();
  REQUIRE(all.size() == 2);
  CHECK(all[1].number == 2);
  CHECK(all[1].reason_name() == std::string("manual"));
  CHECK(all[1].workers_before == 6);
  CHECK(all[1].workers == 5);
  CHECK(pool.decisions(1).size() == 1);
  CHECK(pool.healthy());
  pool.post([] {});
  CHECK(pool.healthy());
  workpool::pool other(std::move(pool));
  CHECK(CodeOf([&] { pool.healthy(); }) == POOL_E_BADHANDLE);  // NOLINT: moved from
}

TEST_CASE("blocking: while its scope lasts another task has the worker's place", "[scaling]") {
  workpool::pool pool(Workers(1, 1));
  Gate gate;
  std::atomic<int> beside{0};
  std::atomic<int> ended{0};
  auto blocked = pool.submit([&](workpool::task_context& ctx) {
    try {
      auto outer = ctx.blocking();
      const auto inner = ctx.blocking();
      const auto moved = std::move(outer);
      gate.Pass();
      throw std::runtime_error("from inside");
    } catch (const std::runtime_error&) {
    }
    // It is the only one again.
    pool.post([&] { ++ended; });
    std::this_thread::sleep_for(20ms);
    return ended == 0;
  });
  pool.submit([&] { ++beside; }).get();
  CHECK(beside == 1);
  gate.Open();
  CHECK(blocked.get());
  CheckSettled(pool);
}

TEST_CASE("budget: the workers of its pools are at most its cap, which may change", "[scaling]") {
  workpool::budget budget(3);
  workpool::options o = Workers(0, 8);
  o.in_budget = &budget;
  o.budget_weight = 2;
  workpool::pool first(o);
  o.budget_weight = 0;
  workpool::pool second(o);
  std::atomic<int> arrived{0};
  Gate gate;
  for (int i = 0; i < 10; ++i) {
    for (workpool::pool* pool : {&first, &second}) {
      pool->post([&] {
        ++arrived;
        gate.Pass();
      });
    }
  }
  CHECK(Eventually([&] { return arrived >= 3; }));
  std::this_thread::sleep_for(30ms);
  CHECK(arrived == 3);
  budget.set(5);
  CHECK(Eventually([&] { return arrived >= 5; }));
  { const workpool::budget gone(std::move(budget)); }
  std::this_thread::sleep_for(30ms);
  CHECK(arrived == 5);
  CHECK(CodeOf([&] { first.tune(2); }) == POOL_E_INVALID);
  CHECK(CodeOf([&] { workpool::pool third(o); }) == POOL_E_BADHANDLE);
  gate.Open();
  CheckSettled(first);
  CheckSettled(second);
}

TEST_CASE("what contradicts a budget is refused by name", "[scaling]") {
  CHECK(CodeOf([] { workpool::budget none(0); }) == POOL_E_INVALID);
  CHECK(CodeOf([] { workpool::budget::jobserver(); }) == POOL_E_NOTFOUND);
  workpool::budget budget(2);
  CHECK(CodeOf([&] { budget.set(POOL_WORKERS_MAX + 1); }) == POOL_E_INVALID);
  workpool::options o = Workers(0, 2);
  o.budget_floor = 1;
  CHECK_THROWS_WITH(workpool::pool(o), Catch::Contains("budget_floor"));
  o.budget_floor = 0;
  o.in_budget = &budget;
  o.budget_weight = 1001;
  CHECK_THROWS_WITH(workpool::pool(o), Catch::Contains("budget_weight = 1001"));
  o.budget_weight = 0;
  o.prestart = 1;
  CHECK_THROWS_WITH(workpool::pool(o), Catch::Contains("prestart"));
}
