// workpool::error: the code, and a text that helps.
#include <catch2/catch.hpp>

#include "helpers.h"

TEST_CASE("a refused option is an error with the library's text", "[error]") {
  workpool::options o;
  o.workers_max = 70'000;
  try {
    workpool::pool pool(o);
    FAIL("a pool of 70 000 workers was made");
  } catch (const workpool::error& e) {
    CHECK(e.code() == POOL_E_INVALID);
    CHECK_THAT(e.what(), Catch::Contains("workers_max") && Catch::Contains("70000"));
  }
}

TEST_CASE("an error without a refused call has the text of its code", "[error]") {
  const workpool::error e(POOL_E_CLOSED);
  CHECK(e.code() == POOL_E_CLOSED);
  CHECK(std::string(e.what()) == pool_strerror(POOL_E_CLOSED));
}

TEST_CASE("C2: closing the own pool in a task is DEADLOCK unless it does not wait", "[error]") {
  workpool::pool pool;
  const std::int32_t waiting = pool.submit([&] { return CodeOf([&] { pool.close(); }); }).get();
  CHECK(waiting == POOL_E_DEADLOCK);
  CHECK(pool.submit([] { return 1; }).get() == 1);
  const bool closed =
      pool.submit(
              [&] { return pool.close(workpool::close_mode::drain, std::chrono::nanoseconds(0)); })
          .get();
  CHECK_FALSE(closed);
  CHECK(CodeOf([&] { pool.post([] {}); }) == POOL_E_CLOSED);
}
