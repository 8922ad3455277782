// F1: an exception that leaves a task is that task's result and nobody else's trouble.
#include <catch2/catch.hpp>
#include <exception>
#include <stdexcept>
#include <string>
#include <thread>

#include "test_support.h"

namespace workpool_test {
namespace {

pool_result_t ResultOf(pool_t pool, std::function<int32_t(pool_ctx_t*)> run) {
  Body body(std::move(run));
  const pool_ticket_t ticket = Submit(pool, Task(Body::Run, &body));
  pool_result_t result;
  Must(pool_wait(ticket, 0, kBoundNs, &result, sizeof(result)), "pool_wait");
  Must(pool_ticket_release(ticket), "release");
  return result;
}

TEST_CASE("F1: a task that throws has failed with EXCEPTION and its what()", "[exceptions]") {
  ScopedPool pool(1);
  const auto thread_of_worker = [&] {
    std::thread::id id;
    ResultOf(pool, [&](pool_ctx_t*) {
      id = std::this_thread::get_id();
      return 0;
    });
    return id;
  };
  const auto before = thread_of_worker();
  const pool_result_t result = ResultOf(pool, [](pool_ctx_t* ctx) -> int32_t {
    pool_ctx_set_value(ctx, 12);
    throw std::runtime_error("disk on fire");
  });
  CHECK(result.outcome == POOL_FAILED);
  CHECK(result.code == POOL_E_EXCEPTION);
  CHECK(std::string(result.text) == "disk on fire");
  CHECK(result.value == 12);
  CHECK(result.attempts == 1);
  CHECK(Stats(pool).failed == 1);
  CHECK(thread_of_worker() == before);  // the worker lives
  CHECK(Stats(pool).retired == 0);
}

TEST_CASE("F1: the text is cut at 255 bytes and never between the bytes of a letter",
          "[exceptions]") {
  ScopedPool pool(1);
  for (const size_t length : {0u, 1u, 254u, 255u, 256u, 1'000u}) {
    const std::string text(length, 'e');
    const pool_result_t result =
        ResultOf(pool, [&](pool_ctx_t*) -> int32_t { throw std::runtime_error(text); });
    CHECK(std::string(result.text) == text.substr(0, 255));
  }
  std::string umlauts = "x";
  while (umlauts.size() < 300) umlauts += "\xc3\xa4";
  const pool_result_t result =
      ResultOf(pool, [&](pool_ctx_t*) -> int32_t { throw std::runtime_error(umlauts); });
  const std::string seen = result.text;
  CHECK(umlauts.substr(0, seen.size()) == seen);
  CHECK(seen.size() >= 253);
}

TEST_CASE("F1: whatever is thrown is caught", "[exceptions]") {
  ScopedPool pool(1);
  struct NotAnException {};
  struct NullWhat : std::exception {
    const char* what() const noexcept override { return nullptr; }
  };
  const std::function<int32_t(pool_ctx_t*)> throwers[] = {
      [](pool_ctx_t*) -> int32_t { throw 42; },
      [](pool_ctx_t*) -> int32_t { throw "a string"; },
      [](pool_ctx_t*) -> int32_t { throw NotAnException{}; },
      [](pool_ctx_t*) -> int32_t { throw std::bad_alloc(); },
      [](pool_ctx_t*) -> int32_t { throw NullWhat{}; },
      [](pool_ctx_t*) -> int32_t { throw std::string("a std::string"); },
  };
  for (const auto& thrower : throwers) {
    const pool_result_t result = ResultOf(pool, thrower);
    CHECK(result.outcome == POOL_FAILED);
    CHECK(result.code == POOL_E_EXCEPTION);
  }
}

TEST_CASE("F1: an exception in a plain task, a group member and a helped task is counted",
          "[exceptions]") {
  ScopedPool pool(1);
  Body throws([](pool_ctx_t*) -> int32_t { throw std::runtime_error("everywhere"); });
  Must(pool_submit(pool, Body::Run, &throws), "submit");
  pool_group_t group = 0;
  Must(pool_group_create(pool, nullptr, &group), "group_create");
  Must(pool_group_submit(group, Body::Run, &throws), "group_submit");
  int32_t code = 0;
  REQUIRE(pool_group_wait(group, kBoundNs, &code) == POOL_OK);
  CHECK(code == POOL_E_EXCEPTION);
  CHECK(pool_group_release(group) == POOL_OK);
  REQUIRE(WaitIdle(pool));
  REQUIRE(pool_pause(pool) == POOL_OK);
  const pool_ticket_t ticket = Submit(pool, Task(Body::Run, &throws));
  pool_result_t result;
  REQUIRE(pool_wait(ticket, POOL_WAIT_HELP, kBoundNs, &result, sizeof(result)) == POOL_OK);
  CHECK(result.code == POOL_E_EXCEPTION);
  CHECK(std::string(result.text) == "everywhere");
  CHECK(pool_ticket_release(ticket) == POOL_OK);
  CHECK(Stats(pool).failed == 3);
}

TEST_CASE("F1: tasks may throw and catch among themselves, also while they wait", "[exceptions]") {
  ScopedPool pool(1);
  const pool_result_t result = ResultOf(pool, [&](pool_ctx_t*) {
    try {
      throw std::runtime_error("outer");
    } catch (const std::exception& error) {
      // A nested task runs, and throws, while an exception is being handled here.
      Body inner([](pool_ctx_t*) -> int32_t { throw std::runtime_error("inner"); });
      const pool_ticket_t ticket = Submit(pool, Task(Body::Run, &inner));
      pool_result_t inner_result;
      const pool_status_t status =
          pool_wait(ticket, 0, kBoundNs, &inner_result, sizeof(inner_result));
      pool_ticket_release(ticket);
      if (status != POOL_OK || std::string(inner_result.text) != "inner") return -1001;
      if (std::string(error.what()) != "outer") return -1002;
      return std::current_exception() != nullptr ? 0 : -1003;
    }
  });
  CHECK(result.code == 0);
}

TEST_CASE("F1: a log function may throw anything", "[exceptions]") {
  pool_options_t options = Options(1);
  options.log_level = POOL_LOG_DEBUG;
  options.log_fn = [](void*, int32_t, const char*) { throw 42; };
  ScopedPool pool(options);
  Tally tally;
  Body body([](pool_ctx_t*) -> int32_t { throw std::runtime_error("logged"); });
  pool_task_t task = Task(Body::Run, &body);
  const pool_ticket_t ticket = Submit(pool, task);
  CHECK(WaitForResult(ticket).code == POOL_E_EXCEPTION);
  CHECK(pool_ticket_release(ticket) == POOL_OK);
  task = TallyTask(tally);
  CHECK(pool_submit_task(pool, &task, nullptr) == POOL_OK);
  REQUIRE(WaitIdle(pool));
  CHECK(tally.drops == 1);
}

TEST_CASE("F1: a thousand throwing tasks are a thousand failures", "[exceptions]") {
  ScopedPool pool(2);
  Tally tally;
  pool_task_t task = TallyTask(tally);
  task.run = [](void* arg, pool_ctx_t*) -> int32_t {
    ++static_cast<Tally*>(arg)->runs;
    throw std::runtime_error("again");
  };
  for (uint64_t i = 0; i < 1'000; ++i) Must(pool_submit_task(pool, &task, nullptr), "submit");
  REQUIRE(WaitIdle(pool));
  CHECK(tally.runs == 1'000);
  CHECK(tally.drops == 1'000);
  CHECK(tally.done_code == POOL_E_EXCEPTION);
  CHECK(Stats(pool).failed == 1'000);
  CHECK(Stats(pool).retired == 0);
}

}  // namespace
}  // namespace workpool_test
