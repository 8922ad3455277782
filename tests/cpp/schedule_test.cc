// co_await pool.schedule(): a coroutine goes on, on a worker.
#include <catch2/catch.hpp>

#include "helpers.h"

#if defined(__cpp_impl_coroutine)

namespace {

// A coroutine that starts at once and whose end nobody waits for.
struct Detached {
  struct promise_type {
    Detached get_return_object() { return {}; }
    std::suspend_never initial_suspend() noexcept { return {}; }
    std::suspend_never final_suspend() noexcept { return {}; }
    void return_void() {}
    void unhandled_exception() { std::terminate(); }
  };
};

Detached Hop(workpool::pool& pool, int hops, std::promise<int>& done) {
  int on_workers = 0;
  for (int i = 0; i < hops; ++i) {
    co_await pool.schedule();
    on_workers += pool.worker_index() >= 0;
  }
  done.set_value(on_workers);
}

Detached Code(workpool::pool& pool, std::promise<std::int32_t>& done) {
  std::int32_t code = POOL_OK;
  try {
    co_await pool.schedule();
  } catch (const workpool::error& e) {
    code = e.code();
  }
  done.set_value(code);
}

}  // namespace

TEST_CASE("a coroutine goes on, on a worker, each time it asks", "[schedule]") {
  workpool::pool pool;
  std::promise<int> done;
  Hop(pool, 1000, done);
  CHECK(done.get_future().get() == 1000);
}

TEST_CASE("a coroutine that is closed out, or comes too late, gets CLOSED", "[schedule]") {
  workpool::pool pool(Workers(1, 1));
  std::promise<std::int32_t> queued;
  std::promise<std::int32_t> late;
  {
    Plug plug(pool);
    Code(pool, queued);
    CHECK_FALSE(pool.close(workpool::close_mode::cancel_queued, std::chrono::nanoseconds(0)));
  }
  Code(pool, late);
  CHECK(queued.get_future().get() == POOL_E_CLOSED);
  CHECK(late.get_future().get() == POOL_E_CLOSED);
}

#endif
