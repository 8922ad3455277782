// J3: with POOL_STRICT=1 misuse ends the process with the function's name, for tests of programs
// that use the library.
#include <fcntl.h>

#include <catch2/catch.hpp>
#include <functional>
#include <string>

#include "child.h"

namespace workpool_test {
namespace {

// Runs body in a child with POOL_STRICT=value (NULL: unset).
ChildTold RunStrict(const char* value, const std::function<void()>& body) {
  return RunChildThatTells([&] {
    if (value != nullptr) {
      setenv("POOL_STRICT", value, 1);
    } else {
      unsetenv("POOL_STRICT");
    }
    body();
  });
}

TEST_CASE("J3: with POOL_STRICT=1 misuse aborts and names the function", "[strict]") {
  struct Row {
    const char* function;
    std::function<void(pool_t)> misuse;
  };
  const Row rows[] = {
      {"pool_submit", [](pool_t pool) { pool_submit(pool, nullptr, nullptr); }},
      {"pool_submit", [](pool_t) { pool_submit(12'345, DoNothing, nullptr); }},
      {"pool_cancel", [](pool_t) { pool_cancel(0); }},
      {"pool_close", [](pool_t pool) { pool_close(pool, 9, 0); }},
      {"pool_create",
       [](pool_t) {
         pool_options_t options = Options(70'000);
         pool_t out = 0;
         pool_create(&options, &out);
       }},
      {"pool_create",
       [](pool_t) {
         struct {
           pool_options_t known;
           uint64_t tail;
         } options{Options(), 1};
         options.known.struct_size = sizeof(options);
         pool_t out = 0;
         pool_create(&options.known, &out);
       }},
      {"pool_destroy",
       [](pool_t pool) {
         Body body([&](pool_ctx_t*) { return pool_destroy(pool); });
         pool_submit(pool, Body::Run, &body);
         pool_wait_idle(pool, kBoundNs);
       }},
  };
  for (const Row& row : rows) {
    const ChildTold strict = RunStrict("1", [&] {
      ScopedPool pool(1);
      row.misuse(pool);
      _exit(3);  // not reached
    });
    INFO(row.function << ": " << strict.end << ", printed: " << strict.printed);
    CHECK(strict.end.KilledBy(SIGABRT));
    CHECK(strict.printed.find(std::string(row.function) + ":") != std::string::npos);
  }
}

TEST_CASE("J3: without POOL_STRICT, or with 0, misuse is a status and prints nothing", "[strict]") {
  for (const char* value : {static_cast<const char*>(nullptr), "0", ""}) {
    const ChildTold lenient = RunStrict(value, [] {
      ScopedPool pool(1);
      if (pool_submit(pool, nullptr, nullptr) != POOL_E_INVALID) _exit(4);
      if (pool_cancel(0) != POOL_E_BADHANDLE) _exit(5);
    });
    INFO(lenient.end << ", printed: " << lenient.printed);
    CHECK(lenient.end.ExitedWith(0));
    CHECK(lenient.printed.empty());
  }
}

TEST_CASE("J3: POOL_STRICT is read once, by the first pool_create", "[strict]") {
  const ChildTold told = RunStrict(nullptr, [] {
    ScopedPool first(1);
    setenv("POOL_STRICT", "1", 1);
    ScopedPool second(1);
    EXPECT(pool_submit(second, nullptr, nullptr) == POOL_E_INVALID);
  });
  INFO(told.end << ": " << told.printed);
  CHECK(told.end.ExitedWith(0));
}

TEST_CASE("J3: POOL_STRICT leaves refusals that are no misuse alone", "[strict]") {
  const ChildTold strict = RunStrict("1", [] {
    pool_options_t options = Options(1);
    options.queue_limit = 1;
    ScopedPool pool(options);
    if (pool_pause(pool) != POOL_OK) _exit(4);
    const pool_ticket_t ticket = Submit(pool, Task(DoNothing, nullptr));
    if (pool_submit(pool, DoNothing, nullptr) != POOL_E_FULL) _exit(5);
    if (pool_wait(ticket, 0, 0, nullptr, 0) != POOL_E_TIMEOUT) _exit(6);
    if (pool_cancel(ticket) != POOL_OK) _exit(7);
    if (pool_cancel(ticket) != POOL_E_ALREADY) _exit(8);
    if (pool_hook_remove(pool, 99) != POOL_E_NOTFOUND) _exit(9);
    if (pool_ticket_release(ticket) != POOL_OK) _exit(10);
    if (pool_close(pool, POOL_DRAIN, kBoundNs) != POOL_OK) _exit(11);
    if (pool_submit(pool, DoNothing, nullptr) != POOL_E_CLOSED) _exit(12);
  });
  INFO(strict.end << ", printed: " << strict.printed);
  CHECK(strict.end.ExitedWith(0));
  CHECK(strict.printed.empty());
}

}  // namespace
}  // namespace workpool_test
