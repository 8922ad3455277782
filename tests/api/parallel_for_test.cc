// pool_parallel_for: every index once, the grain's boundaries, participants, codes, nesting.
#include <array>
#include <catch2/catch.hpp>
#include <memory>
#include <stdexcept>
#include <thread>
#include <vector>

#include "test_support.h"

namespace workpool_test {
namespace {

// A loop whose rules are checked while it runs.
struct Loop {
  using Inside = std::function<int32_t(uint64_t, uint64_t, uint32_t, pool_ctx_t*)>;

  uint64_t begin = 0, end = 0, grain = 0;
  uint32_t participants_max = 0;  // as given to the call
  Inside inside;

  std::atomic<uint64_t> covered{0}, bodies{0}, bad_range{0}, bad_participant{0}, shared{0};
  std::atomic<uint64_t> at_once{0}, most_at_once{0};
  uint32_t participants_bound = 0;
  std::unique_ptr<std::atomic<int>[]> in_use;

  static int32_t Body(void* arg, uint64_t from, uint64_t to, uint32_t participant,
                      pool_ctx_t* ctx) {
    auto* loop = static_cast<Loop*>(arg);
    ++loop->bodies;
    const uint64_t now = ++loop->at_once;
    uint64_t most = loop->most_at_once;
    while (now > most && !loop->most_at_once.compare_exchange_weak(most, now)) {
    }
    if (from >= to || from < loop->begin || to > loop->end) ++loop->bad_range;
    if (loop->grain > 0 && ((from - loop->begin) % loop->grain != 0 || to - from > loop->grain)) {
      ++loop->bad_range;
    }
    loop->covered += to - from;
    int32_t code = 0;
    if (participant >= loop->participants_bound) {
      ++loop->bad_participant;
    } else {
      if (loop->in_use[participant].exchange(1) != 0) ++loop->shared;
      if (loop->inside) code = loop->inside(from, to, participant, ctx);
      loop->in_use[participant] = 0;
    }
    --loop->at_once;
    return code;
  }

  pool_status_t Start(pool_t pool, int32_t* code = nullptr) {
    participants_bound =
        participants_max > 0 ? participants_max : static_cast<uint32_t>(pool_participants(pool));
    in_use = std::make_unique<std::atomic<int>[]>(participants_bound);
    return pool_parallel_for(pool, begin, end, grain, participants_max, Body, this, code);
  }

  [[nodiscard]] bool RulesKept() const {
    return bad_range == 0 && bad_participant == 0 && shared == 0;
  }
};

TEST_CASE("a loop covers its range once, whatever the bounds and the grain", "[parallel_for]") {
  ScopedPool pool(3);
  for (const uint64_t begin : {uint64_t{0}, uint64_t{1}, uint64_t{1'000'003}}) {
    for (const uint64_t length : {1u, 2u, 3u, 7u, 64u, 1'000u, 4'097u}) {
      for (const uint64_t grain : {0u, 1u, 2u, 3u, 64u, 1'000u, 100'000u}) {
        Loop loop;
        loop.begin = begin;
        loop.end = begin + length;
        loop.grain = grain;
        std::vector<std::atomic<uint8_t>> seen(length);
        loop.inside = [&](uint64_t from, uint64_t to, uint32_t, pool_ctx_t*) {
          for (uint64_t i = from; i < to; ++i) ++seen[i - begin];
          return 0;
        };
        int32_t code = 77;
        REQUIRE(loop.Start(pool, &code) == POOL_OK);
        REQUIRE(code == 0);
        REQUIRE(loop.covered == length);
        REQUIRE(loop.RulesKept());
        for (auto& count : seen) REQUIRE(count == 1);
      }
    }
  }
}

TEST_CASE("with a grain every range starts at a multiple of it and is no longer",
          "[parallel_for]") {
  ScopedPool pool(4);
  for (uint64_t round = 0; round < Rounds(200); ++round) {
    Loop loop;
    loop.begin = 17;
    loop.end = 17 + 10'001;
    loop.grain = 37;
    REQUIRE(loop.Start(pool) == POOL_OK);
    REQUIRE(loop.covered == 10'001);
    REQUIRE(loop.bodies >= (10'001 + 36) / 37);
    REQUIRE(loop.RulesKept());
  }
}

TEST_CASE("an empty range is legal and runs no body", "[parallel_for]") {
  ScopedPool pool(1);
  for (const uint64_t at : {uint64_t{0}, uint64_t{5}, UINT64_MAX}) {
    Loop loop;
    loop.begin = loop.end = at;
    int32_t code = 77;
    CHECK(loop.Start(pool, &code) == POOL_OK);
    CHECK(code == 0);
    CHECK(loop.bodies == 0);
  }
}

TEST_CASE("bounds and grains at the end of the number range do not overflow", "[parallel_for]") {
  ScopedPool pool(2);
  for (const uint64_t grain : {uint64_t{0}, uint64_t{1}, uint64_t{3}, UINT64_MAX}) {
    Loop loop;
    loop.begin = UINT64_MAX - 100;
    loop.end = UINT64_MAX;
    loop.grain = grain;
    CHECK(loop.Start(pool) == POOL_OK);
    CHECK(loop.covered == 100);
    CHECK(loop.RulesKept());
  }
  for (const uint64_t grain : {uint64_t{0}, uint64_t{1} << 60, UINT64_MAX}) {
    Loop loop;
    loop.begin = 0;
    loop.end = UINT64_MAX;
    loop.grain = grain;
    CHECK(loop.Start(pool) == POOL_OK);
    CHECK(loop.covered == UINT64_MAX);
    CHECK(loop.RulesKept());
  }
}

TEST_CASE("bad arguments of a loop are refused and run no body", "[parallel_for]") {
  ScopedPool pool(1);
  Loop loop;
  loop.end = 10;
  CHECK(pool_parallel_for(pool, 0, 10, 0, 0, nullptr, nullptr, nullptr) == POOL_E_INVALID);
  CHECK(pool_parallel_for(pool, 11, 10, 0, 0, Loop::Body, &loop, nullptr) == POOL_E_INVALID);
  CHECK(pool_parallel_for(pool, 0, 10, 0, 8'193, Loop::Body, &loop, nullptr) == POOL_E_INVALID);
  CHECK(pool_parallel_for(pool, 0, 10, 0, UINT32_MAX, Loop::Body, &loop, nullptr) ==
        POOL_E_INVALID);
  CHECK(loop.bodies == 0);
  loop.participants_max = 8'192;
  CHECK(loop.Start(pool) == POOL_OK);
  CHECK(loop.covered == 10);
}

TEST_CASE("participants is workers_max plus the caller", "[parallel_for]") {
  for (const uint32_t workers : {1u, 3u, 64u, POOL_WORKERS_MAX}) {
    ScopedPool pool(workers);
    CHECK(pool_participants(pool) == static_cast<int32_t>(workers) + 1);
    CHECK(pool_tune(pool, 1) == POOL_OK);
    CHECK(pool_participants(pool) == static_cast<int32_t>(workers) + 1);
  }
  CHECK(pool_participants(0) == POOL_E_BADHANDLE);
}

TEST_CASE("a participant is never shared by two bodies at once", "[parallel_for]") {
  ScopedPool pool(4);
  for (const uint32_t participants_max : {0u, 1u, 2u, 3u, 5u, 100u}) {
    for (uint64_t round = 0; round < Rounds(50); ++round) {
      Loop loop;
      loop.end = 200;
      loop.grain = 1;
      loop.participants_max = participants_max;
      loop.inside = [](uint64_t, uint64_t, uint32_t, pool_ctx_t*) {
        std::this_thread::yield();
        return 0;
      };
      REQUIRE(loop.Start(pool) == POOL_OK);
      REQUIRE(loop.covered == 200);
      REQUIRE(loop.RulesKept());
      if (participants_max > 0) REQUIRE(loop.most_at_once <= participants_max);
    }
  }
}

TEST_CASE("with one participant all bodies run on the caller", "[parallel_for]") {
  ScopedPool pool(4);
  Loop loop;
  loop.end = 1'000;
  loop.grain = 10;
  loop.participants_max = 1;
  const auto self = std::this_thread::get_id();
  std::atomic<uint64_t> elsewhere{0};
  loop.inside = [&](uint64_t, uint64_t, uint32_t participant, pool_ctx_t*) {
    if (std::this_thread::get_id() != self || participant != 0) ++elsewhere;
    return 0;
  };
  REQUIRE(loop.Start(pool) == POOL_OK);
  CHECK(elsewhere == 0);
  CHECK(loop.covered == 1'000);
}

TEST_CASE("workers take part: as many bodies run at once as there are participants",
          "[parallel_for]") {
  ScopedPool pool(3);
  Loop loop;
  loop.end = 4;
  loop.grain = 1;
  std::atomic<uint64_t> inside{0};
  std::atomic<bool> all_met{true};
  loop.inside = [&](uint64_t, uint64_t, uint32_t, pool_ctx_t*) {
    ++inside;
    if (!PollUntil([&] { return inside == 4; })) all_met = false;  // the caller and three workers
    return 0;
  };
  REQUIRE(loop.Start(pool) == POOL_OK);
  CHECK(all_met);
  CHECK(loop.most_at_once == 4);
  CHECK(loop.RulesKept());
}

TEST_CASE("a loop finishes with no free worker", "[parallel_for]") {
  ScopedPool pool(1);
  SECTION("the only worker is busy") {
    Gate gate;
    Must(pool_submit(pool, PassGate, &gate), "submit");
    REQUIRE(gate.AwaitArrivals(1));
    Loop loop;
    loop.end = 1'000;
    loop.grain = 7;
    CHECK(loop.Start(pool) == POOL_OK);
    CHECK(loop.covered == 1'000);
    CHECK(loop.RulesKept());
    gate.Open();
    REQUIRE(WaitIdle(pool));
  }
  SECTION("the pool is paused") {
    REQUIRE(pool_pause(pool) == POOL_OK);
    Loop loop;
    loop.end = 1'000;
    CHECK(loop.Start(pool) == POOL_OK);
    CHECK(loop.covered == 1'000);
    REQUIRE(pool_resume(pool) == POOL_OK);
  }
  SECTION("the caller is the only worker there may be") {
    pool_options_t options = Options(1);
    options.workers_limit = 1;
    ScopedPool alone(options);
    std::atomic<uint64_t> bad{0};
    Body body([&](pool_ctx_t*) {
      Loop loop;
      loop.end = 1'000;
      loop.grain = 7;
      if (loop.Start(alone) != POOL_OK || loop.covered != 1'000 || !loop.RulesKept()) ++bad;
      return 0;
    });
    Must(pool_submit(alone, Body::Run, &body), "submit");
    REQUIRE(WaitIdle(alone));
    CHECK(bad == 0);
  }
}

TEST_CASE("loops nest, and stay correct", "[parallel_for]") {
  for (const uint32_t workers : {1u, 2u, 4u}) {
    ScopedPool pool(workers);
    for (uint64_t round = 0; round < Rounds(20); ++round) {
      std::atomic<uint64_t> total{0}, bad{0};
      Loop outer;
      outer.end = 30;
      outer.grain = 1;
      outer.inside = [&](uint64_t, uint64_t, uint32_t, pool_ctx_t*) {
        Loop middle;
        middle.end = 20;
        middle.grain = 3;
        middle.inside = [&](uint64_t from, uint64_t to, uint32_t, pool_ctx_t*) {
          Loop inner;
          inner.end = 10 * (to - from);
          if (inner.Start(pool) != POOL_OK || !inner.RulesKept()) ++bad;
          total += inner.covered;
          return 0;
        };
        if (middle.Start(pool) != POOL_OK || !middle.RulesKept()) ++bad;
        return 0;
      };
      REQUIRE(outer.Start(pool) == POOL_OK);
      REQUIRE(outer.RulesKept());
      REQUIRE(bad == 0);
      REQUIRE(total == 30 * 20 * 10);
    }
  }
}

TEST_CASE("many outside threads run loops of one pool at once", "[parallel_for]") {
  ScopedPool pool(2);
  std::atomic<uint64_t> bad{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      for (uint64_t round = 0; round < Rounds(300); ++round) {
        Loop loop;
        loop.end = 500;
        loop.grain = 10;
        if (loop.Start(pool) != POOL_OK || loop.covered != 500 || !loop.RulesKept()) ++bad;
      }
    });
  }
  for (auto& thread : threads) thread.join();
  CHECK(bad == 0);
}

TEST_CASE("the first non-zero code stops the loop and is handed out, any integer",
          "[parallel_for]") {
  ScopedPool pool(3);
  for (const int32_t stop_code : {-1'000, 1, 2, 12'345, INT32_MAX, INT32_MIN}) {
    Loop loop;
    loop.end = 1'000'000'000;
    loop.grain = 10;
    loop.inside = [&](uint64_t from, uint64_t, uint32_t, pool_ctx_t*) {
      return from >= 5'000 ? stop_code : 0;
    };
    int32_t code = 0;
    CHECK(loop.Start(pool, &code) == POOL_OK);
    CHECK(code == stop_code);
    CHECK(loop.covered < 1'000'000'000);  // the rest was skipped
    CHECK(loop.RulesKept());
  }
  Loop loop;  // who does not ask for the code is not told
  loop.end = 10;
  loop.inside = [](uint64_t, uint64_t, uint32_t, pool_ctx_t*) { return -1; };
  CHECK(loop.Start(pool, nullptr) == POOL_OK);
}

TEST_CASE("with several codes the loop returns one of those that were returned first",
          "[parallel_for]") {
  ScopedPool pool(3);
  for (uint64_t round = 0; round < Rounds(300); ++round) {
    std::atomic<int32_t> next{1};
    Loop loop;
    loop.end = 100;
    loop.grain = 1;
    loop.inside = [&](uint64_t, uint64_t, uint32_t, pool_ctx_t*) { return next++; };
    int32_t code = 0;
    REQUIRE(loop.Start(pool, &code) == POOL_OK);
    // Each participant fails in its first body, and nobody begins another.
    REQUIRE(code >= 1);
    REQUIRE(code <= pool_participants(pool));
    REQUIRE(loop.bodies <= static_cast<uint64_t>(pool_participants(pool)));
  }
}

TEST_CASE("F1: a body that throws stops the loop with POOL_E_EXCEPTION", "[parallel_for]") {
  ScopedPool pool(2);
  for (uint64_t round = 0; round < Rounds(200); ++round) {
    std::atomic<uint64_t> bodies{0};
    const pool_range_fn throws = [](void* arg, uint64_t, uint64_t, uint32_t,
                                    pool_ctx_t*) -> int32_t {
      ++*static_cast<std::atomic<uint64_t>*>(arg);
      throw std::runtime_error("in a body");
    };
    int32_t code = 0;
    REQUIRE(pool_parallel_for(pool, 0, 1'000, 1, 0, throws, &bodies, &code) == POOL_OK);
    REQUIRE(code == POOL_E_EXCEPTION);
    REQUIRE(bodies >= 1);
    REQUIRE(bodies <= 3);
  }
}

TEST_CASE("a body has a context on every participant: it may fork, join and submit",
          "[parallel_for]") {
  ScopedPool pool(2);
  std::atomic<uint64_t> runs{0}, bad{0};
  Loop loop;
  loop.end = 200;
  loop.grain = 1;
  loop.inside = [&](uint64_t, uint64_t, uint32_t, pool_ctx_t* ctx) {
    if (ctx == nullptr || pool_ctx_should_stop(ctx) != 0) ++bad;
    pool_fork_t fork;
    if (pool_ctx_fork(ctx, &fork, CountRun, &runs) != POOL_OK) ++bad;
    if (pool_ctx_join(ctx, &fork, nullptr) != POOL_OK) ++bad;
    if (pool_ctx_submit(ctx, CountRun, &runs) != POOL_OK) ++bad;
    return 0;
  };
  REQUIRE(loop.Start(pool) == POOL_OK);
  REQUIRE(WaitIdle(pool));
  CHECK(bad == 0);
  CHECK(runs == 400);
}

TEST_CASE("a closed pool refuses loops from outside", "[parallel_for]") {
  ScopedPool pool(1);
  REQUIRE(pool_close(pool, POOL_DRAIN, kBoundNs) == POOL_OK);
  Loop loop;
  loop.end = 10;
  CHECK(loop.Start(pool) == POOL_E_CLOSED);
  CHECK(loop.bodies == 0);
}

TEST_CASE("a loop is not held up by tasks that are queued before it", "[parallel_for]") {
  ScopedPool pool(1);
  Gate gate;
  Must(pool_submit(pool, PassGate, &gate), "submit");
  REQUIRE(gate.AwaitArrivals(1));
  std::atomic<uint64_t> runs{0};
  for (int i = 0; i < 100; ++i) Must(pool_submit(pool, CountRun, &runs), "submit");
  Loop loop;
  loop.end = 100;
  CHECK(loop.Start(pool) == POOL_OK);
  CHECK(loop.covered == 100);
  CHECK(runs == 0);
  gate.Open();
  REQUIRE(WaitIdle(pool));
  CHECK(runs == 100);
}

}  // namespace
}  // namespace workpool_test
