// cancel_token: many tasks, children, reasons.
#include <catch2/catch.hpp>
#include <type_traits>
#include <vector>

#include "helpers.h"

static_assert(!std::is_copy_constructible_v<workpool::cancel_token>);
static_assert(std::is_nothrow_move_constructible_v<workpool::cancel_token>);
static_assert(std::is_nothrow_move_assignable_v<workpool::cancel_token>);

namespace {

workpool::task_options Under(const workpool::cancel_token& token) {
  return Rules([&](auto& o) { o.token = &token; });
}

}  // namespace

TEST_CASE("cancel of a token ends what waits, in all pools, asks what runs, refuses what comes",
          "[token]") {
  Lives lives;
  workpool::pool one(Workers(1, 1));
  workpool::pool two(Workers(1, 1));
  workpool::cancel_token token;
  Gate started;
  auto running = one.submit(Under(token), [&](workpool::task_context& ctx) {
    started.Open();
    return Eventually([&] { return ctx.should_stop(); });
  });
  started.Pass();
  two.pause();
  std::vector<std::future<void>> waiting;
  for (int i = 0; i < 10; ++i) {
    waiting.push_back((i % 2 == 0 ? one : two).submit(Under(token), [life = Life(lives)] {}));
  }
  CHECK_FALSE(token.cancelled());
  CHECK(token.reason() == 0);
  token.cancel();
  CHECK(lives.live == 0);
  CHECK(token.reason() == POOL_E_CANCELLED);
  for (auto& f : waiting) CHECK(CodeOf([&] { f.get(); }) == POOL_E_CANCELLED);
  CHECK(running.get());
  CHECK(CodeOf([&] { one.post(Under(token), [] {}); }) == POOL_E_CANCELLED);
  CHECK(two.stats().cancelled == 5);
  two.resume();
  CheckSettled(one);
  CheckSettled(two);
  CHECK(lives.ended == 10);
}

TEST_CASE("a token's reason is the code of what it cancels; the first one stays", "[token]") {
  workpool::pool pool(Workers(1, 1));
  workpool::cancel_token token;
  pool.pause();
  auto t = pool.submit_ticket(Under(token), [] {});
  workpool::group group(pool);
  group.run(Under(token), [] {});
  token.cancel(-1234);
  token.cancel(-4321);
  CHECK(token.reason() == -1234);
  CHECK(CodeOf([&] { t.get(); }) == -1234);
  CHECK(t.result().code == -1234);
  CHECK(CodeOf([&] { group.wait(); }) == -1234);
  CHECK(CodeOf([&] { token.cancel(-5); }) == POOL_E_INVALID);
  pool.resume();
  CheckSettled(pool);
}

TEST_CASE("a child is cancelled with its parent, but not the other way round", "[token]") {
  workpool::pool pool(Workers(1, 1));
  pool.pause();
  workpool::cancel_token parent;
  workpool::cancel_token left = parent.child();
  workpool::cancel_token right = parent.child();
  workpool::cancel_token grandchild = right.child();
  auto under_left = pool.submit(Under(left), [] { return 1; });
  auto under_grandchild = pool.submit(Under(grandchild), [] { return 2; });
  auto under_parent = pool.submit(Under(parent), [] { return 3; });
  left.cancel();
  CHECK(CodeOf([&] { under_left.get(); }) == POOL_E_CANCELLED);
  CHECK_FALSE(parent.cancelled());
  CHECK_FALSE(grandchild.cancelled());
  parent.cancel(-1001);
  CHECK(grandchild.reason() == -1001);
  CHECK(left.reason() == POOL_E_CANCELLED);
  CHECK(CodeOf([&] { under_grandchild.get(); }) == -1001);
  CHECK(CodeOf([&] { under_parent.get(); }) == -1001);
  CHECK(parent.child().cancelled());
  pool.resume();
  CheckSettled(pool);
}

TEST_CASE("a task may put children under its own token", "[token]") {
  workpool::pool pool(Workers(1, 1));
  workpool::cancel_token token;
  auto inner = pool.submit(Under(token),
                           [&](workpool::task_context& ctx) {
                             CHECK(ctx.token() == token.native_handle());
                             const auto own = workpool::cancel_token::under(ctx.token());
                             return pool.submit(Rules([&](auto& o) {
                                                  o.token = &own;
                                                  o.delay = std::chrono::hours(1);
                                                }),
                                                [] {});
                           })
                   .get();
  token.cancel();
  CHECK(CodeOf([&] { inner.get(); }) == POOL_E_CANCELLED);
  CHECK(pool.submit({}, [](workpool::task_context& ctx) { return ctx.token(); }).get() == 0);
  CheckSettled(pool);
}

TEST_CASE("the tasks of a batch may be under a token", "[token]") {
  workpool::pool pool(Workers(1, 1));
  workpool::cancel_token token;
  pool.pause();
  auto futures = pool.submit_batch(Under(token), std::vector<int>{1, 2}, [](int n) { return n; });
  token.cancel(-1003);
  for (auto& f : futures) CHECK(CodeOf([&] { f.get(); }) == -1003);
  pool.resume();
  CheckSettled(pool);
}

TEST_CASE("destroying a token cancels nothing; a moved-from one is empty", "[token]") {
  workpool::pool pool(Workers(1, 1));
  pool.pause();
  std::future<int> kept;
  {
    workpool::cancel_token token;
    kept = pool.submit(Under(token), [] { return 4; });
    workpool::cancel_token moved(std::move(token));
    CHECK(token.native_handle() == 0);  // NOLINT: what a moved-from token is
    CHECK(CodeOf([&] { static_cast<void>(token.reason()); }) == POOL_E_BADHANDLE);
    CHECK_FALSE(moved.cancelled());
  }
  pool.resume();
  CHECK(kept.get() == 4);
  CheckSettled(pool);
}

TEST_CASE("a token that was moved from is refused with INVALID, not taken for none", "[token]") {
  Lives lives;
  workpool::pool pool(Workers(1, 1));
  workpool::cancel_token token;
  const workpool::cancel_token moved(std::move(token));
  const workpool::task_options o = Under(token);  // NOLINT: what a moved-from token does
  CHECK_THROWS_WITH(pool.post(o, [life = Life(lives)] {}), Catch::Contains("token"));
  CHECK(CodeOf([&] { pool.post(o, [] {}); }) == POOL_E_INVALID);
  CHECK(CodeOf([&] { static_cast<void>(pool.submit(o, [] {})); }) == POOL_E_INVALID);
  CHECK(CodeOf([&] { static_cast<void>(pool.submit_ticket(o, [] {})); }) == POOL_E_INVALID);
  workpool::group group(pool);
  CHECK(CodeOf([&] { group.run(o, [] {}); }) == POOL_E_INVALID);
  const std::vector<int> items{1, 2};
  CHECK(CodeOf([&] {
          static_cast<void>(pool.post_batch(o, items, [life = Life(lives)](int) {}));
        }) == POOL_E_INVALID);
  CHECK(CodeOf([&] { static_cast<void>(pool.submit_batch(o, items, [](int) {})); }) ==
        POOL_E_INVALID);
  CHECK(CodeOf([&] { static_cast<void>(token.child()); }) == POOL_E_INVALID);
  CHECK(lives.live == 0);
  CHECK_FALSE(moved.cancelled());
  group.wait();
  CheckSettled(pool);
  CHECK(pool.stats().submitted == 0);
}
