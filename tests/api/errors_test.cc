// Bad input gives a status and a text, never a crash and never a loss: tables over all functions.
#include <algorithm>
#include <catch2/catch.hpp>
#include <cstddef>
#include <cstring>
#include <ctime>
#include <functional>
#include <string>
#include <thread>
#include <vector>

#include "test_support.h"

namespace workpool_test {
namespace {

int32_t RangeNothing(void*, uint64_t, uint64_t, uint32_t, pool_ctx_t*) { return 0; }
void HookNothing(void*, pool_t, int32_t) {}

struct Call {
  const char* name;
  std::function<int32_t(uint64_t handle)> call;
};

// Every function that takes a pool and returns a status.
std::vector<Call> PoolCalls() {
  return {
      {"pool_close", [](uint64_t h) { return pool_close(h, POOL_DRAIN, 0); }},
      {"pool_destroy", [](uint64_t h) { return pool_destroy(h); }},
      {"pool_release", [](uint64_t h) { return pool_release(h); }},
      {"pool_pause", [](uint64_t h) { return pool_pause(h); }},
      {"pool_resume", [](uint64_t h) { return pool_resume(h); }},
      {"pool_submit", [](uint64_t h) { return pool_submit(h, DoNothing, nullptr); }},
      {"pool_submit_many",
       [](uint64_t h) {
         void* args[1] = {nullptr};
         return pool_submit_many(h, DoNothing, args, 1, nullptr);
       }},
      {"pool_submit_task",
       [](uint64_t h) {
         const pool_task_t task = Task(DoNothing, nullptr);
         return pool_submit_task(h, &task, nullptr);
       }},
      {"pool_submit_batch",
       [](uint64_t h) {
         const pool_task_t task = Task(DoNothing, nullptr);
         return pool_submit_batch(h, &task, sizeof(task), 1, nullptr, nullptr);
       }},
      {"pool_parallel_for",
       [](uint64_t h) { return pool_parallel_for(h, 0, 1, 0, 0, RangeNothing, nullptr, nullptr); }},
      {"pool_participants", [](uint64_t h) { return pool_participants(h); }},
      {"pool_wait_idle", [](uint64_t h) { return pool_wait_idle(h, 0); }},
      {"pool_group_create",
       [](uint64_t h) {
         pool_group_t group = 0;
         return pool_group_create(h, nullptr, &group);
       }},
      {"pool_hook_add",
       [](uint64_t h) {
         uint64_t id = 0;
         return pool_hook_add(h, HookNothing, nullptr, nullptr, &id);
       }},
      {"pool_hook_remove", [](uint64_t h) { return pool_hook_remove(h, 1); }},
      {"pool_tune", [](uint64_t h) { return pool_tune(h, 1); }},
      {"pool_stats",
       [](uint64_t h) {
         pool_stats_t stats;
         return pool_stats(h, &stats, sizeof(stats));
       }},
  };
}

std::vector<Call> TicketCalls() {
  return {
      {"pool_wait", [](uint64_t h) { return pool_wait(h, 0, 0, nullptr, 0); }},
      {"pool_wait_many", [](uint64_t h) { return pool_wait_many(&h, 1, 1, 0, nullptr); }},
      {"pool_cancel", [](uint64_t h) { return pool_cancel(h); }},
      {"pool_ticket_release", [](uint64_t h) { return pool_ticket_release(h); }},
  };
}

std::vector<Call> GroupCalls() {
  return {
      {"pool_group_submit", [](uint64_t h) { return pool_group_submit(h, DoNothing, nullptr); }},
      {"pool_group_wait", [](uint64_t h) { return pool_group_wait(h, 0, nullptr); }},
      {"pool_group_cancel", [](uint64_t h) { return pool_group_cancel(h); }},
      {"pool_group_release", [](uint64_t h) { return pool_group_release(h); }},
      {"pool_submit_task",
       [](uint64_t h) {
         ScopedPool pool(1);
         pool_task_t task = Task(DoNothing, nullptr);
         task.group = h;
         return h == 0 ? POOL_E_BADHANDLE : pool_submit_task(pool, &task, nullptr);
       }},
  };
}

// The last refusal of this thread names the function, and is a sentence and not a word.
void CheckText(const std::string& function, int32_t code) {
  int32_t seen = 0;
  char text[512] = {};
  size_t needed = 0;
  REQUIRE(pool_last_error(&seen, text, sizeof(text), &needed) == POOL_OK);
  INFO("text: " << text);
  CHECK(seen == code);
  CHECK(needed == std::strlen(text) + 1);
  CHECK(std::string(text).substr(0, function.size() + 1) == function + ":");
  CHECK(std::strlen(text) > function.size() + 12);
}

TEST_CASE(
    "J3: no function accepts a null, forged, stale or wrong-kind handle, and each refusal counts",
    "[errors]") {
  ScopedPool pool(1);
  pool_group_t group = 0;
  Must(pool_group_create(pool, nullptr, &group), "group_create");
  const pool_ticket_t ticket = Submit(pool, Task(DoNothing, nullptr));
  Must(pool_wait(ticket, 0, kBoundNs, nullptr, 0), "wait");

  ScopedPool gone(1);
  pool_group_t stale_group = 0;
  Must(pool_group_create(gone, nullptr, &stale_group), "group_create");
  const pool_ticket_t stale_ticket = Submit(gone, Task(DoNothing, nullptr));
  Must(pool_wait(stale_ticket, 0, kBoundNs, nullptr, 0), "wait");
  Must(pool_group_release(stale_group), "group_release");
  Must(pool_ticket_release(stale_ticket), "ticket_release");
  const pool_t stale_pool = gone.GiveUp();
  Must(pool_destroy(stale_pool), "destroy");

  const auto forged = [](uint64_t handle) {
    return std::vector<uint64_t>{handle ^ 1,
                                 handle + 1,
                                 handle ^ uint64_t{1} << 25,
                                 handle ^ uint64_t{1} << 26,
                                 handle ^ uint64_t{1} << 49,
                                 handle ^ uint64_t{1} << 50,
                                 handle | uint64_t{1} << 53,
                                 handle | uint64_t{1} << 63,
                                 ~handle,
                                 1,
                                 UINT64_MAX,
                                 uint64_t{1} << 52,
                                 reinterpret_cast<uintptr_t>(&handle)};
  };
  const auto try_all = [&](const std::vector<Call>& calls, std::vector<uint64_t> handles,
                           const std::vector<uint64_t>& good) {
    handles.push_back(0);
    for (const Call& call : calls) {
      for (const uint64_t handle : handles) {
        if (std::find(good.begin(), good.end(), handle) != good.end()) continue;
        INFO(call.name << " with handle " << handle);
        const uint64_t misuse = Misuse(pool);
        const int32_t status = call.call(handle);
        CHECK(status == POOL_E_BADHANDLE);
        if (std::string(call.name) == "pool_submit_task" && handle == 0) continue;
        CHECK(Misuse(pool) == misuse + 1);
        CheckText(call.name, POOL_E_BADHANDLE);
      }
    }
  };
  std::vector<uint64_t> handles = forged(pool);
  handles.insert(handles.end(), {stale_pool, group, ticket});
  try_all(PoolCalls(), handles, {pool});
  handles = forged(ticket);
  handles.insert(handles.end(), {stale_ticket, pool, group});
  try_all(TicketCalls(), handles, {ticket});
  handles = forged(group);
  handles.insert(handles.end(), {stale_group, pool, ticket});
  try_all(GroupCalls(), handles, {group});

  // Nothing was harmed.
  CHECK(pool_submit(pool, DoNothing, nullptr) == POOL_OK);
  CHECK(pool_group_submit(group, DoNothing, nullptr) == POOL_OK);
  CHECK(pool_group_wait(group, kBoundNs, nullptr) == POOL_OK);
  CHECK(pool_group_release(group) == POOL_OK);
  CHECK(pool_ticket_release(ticket) == POOL_OK);
}

TEST_CASE("every null, out-of-range or unknown argument is INVALID with a text that names it",
          "[errors]") {
  ScopedPool pool(1);
  pool_group_t group = 0;
  Must(pool_group_create(pool, nullptr, &group), "group_create");
  const pool_ticket_t ticket = Submit(pool, Task(DoNothing, nullptr));
  Must(pool_wait(ticket, 0, kBoundNs, nullptr, 0), "wait");
  const auto submit_with = [&](auto change) {
    return [&pool, change] {
      pool_task_t task = Task(DoNothing, nullptr);
      change(task);
      return pool_submit_task(pool, &task, nullptr);
    };
  };
  struct Row {
    const char* function;
    const char* names;  // what the text has to mention
    std::function<int32_t()> call;
  };
  void* args[1] = {nullptr};
  const pool_task_t good_task = Task(DoNothing, nullptr);
  pool_result_t result;
  const Row rows[] = {
      {"pool_options_init", "options", [] { return pool_options_init(nullptr, 128); }},
      {"pool_options_init", "size",
       [] {
         pool_options_t options;
         return pool_options_init(&options, 3);
       }},
      {"pool_task_init", "task", [] { return pool_task_init(nullptr, 64); }},
      {"pool_task_init", "size",
       [] {
         pool_task_t task;
         return pool_task_init(&task, 0);
       }},
      {"pool_create", "out", [] { return pool_create(nullptr, nullptr); }},
      {"pool_shared", "out", [] { return pool_shared(nullptr); }},
      {"pool_close", "mode", [&] { return pool_close(pool, 3, 0); }},
      {"pool_close", "mode", [&] { return pool_close(pool, -1, 0); }},
      {"pool_close", "timeout", [&] { return pool_close(pool, POOL_DRAIN, -2); }},
      {"pool_submit", "run", [&] { return pool_submit(pool, nullptr, nullptr); }},
      {"pool_submit_many", "run",
       [&] { return pool_submit_many(pool, nullptr, args, 1, nullptr); }},
      {"pool_submit_many", "args",
       [&] { return pool_submit_many(pool, DoNothing, nullptr, 1, nullptr); }},
      {"pool_submit_task", "task", [&] { return pool_submit_task(pool, nullptr, nullptr); }},
      {"pool_submit_task", "run", submit_with([](pool_task_t& t) { t.run = nullptr; })},
      {"pool_submit_task", "on_full", submit_with([](pool_task_t& t) { t.on_full = 6; })},
      {"pool_submit_task", "on_full", submit_with([](pool_task_t& t) { t.on_full = -1; })},
      {"pool_submit_task", "submit_timeout_ns",
       submit_with([](pool_task_t& t) { t.submit_timeout_ns = -2; })},
      {"pool_submit_task", "struct_size", submit_with([](pool_task_t& t) { t.struct_size = 3; })},
      {"pool_submit_task", "struct_size", submit_with([](pool_task_t& t) { t.struct_size = 0; })},
      {"pool_submit_batch", "tasks",
       [&] { return pool_submit_batch(pool, nullptr, sizeof(pool_task_t), 1, nullptr, nullptr); }},
      {"pool_submit_batch", "stride",
       [&] { return pool_submit_batch(pool, &good_task, 3, 1, nullptr, nullptr); }},
      {"pool_submit_batch", "stride",
       [&] { return pool_submit_batch(pool, &good_task, 0, 1, nullptr, nullptr); }},
      {"pool_submit_batch", "stride",
       [&] { return pool_submit_batch(pool, &good_task, sizeof(good_task) - 8, 1, nullptr, nullptr); }},
      {"pool_parallel_for", "body",
       [&] { return pool_parallel_for(pool, 0, 1, 0, 0, nullptr, nullptr, nullptr); }},
      {"pool_parallel_for", "begin",
       [&] { return pool_parallel_for(pool, 2, 1, 0, 0, RangeNothing, nullptr, nullptr); }},
      {"pool_parallel_for", "participants_max",
       [&] { return pool_parallel_for(pool, 0, 1, 0, 8'193, RangeNothing, nullptr, nullptr); }},
      {"pool_ctx_fork", "ctx",
       [] {
         pool_fork_t fork;
         return pool_ctx_fork(nullptr, &fork, DoNothing, nullptr);
       }},
      {"pool_ctx_join", "ctx",
       [] {
         pool_fork_t fork{};
         return pool_ctx_join(nullptr, &fork, nullptr);
       }},
      {"pool_ctx_submit", "ctx", [] { return pool_ctx_submit(nullptr, DoNothing, nullptr); }},
      {"pool_ctx_set_value", "ctx", [] { return pool_ctx_set_value(nullptr, 1); }},
      {"pool_wait", "flags", [&] { return pool_wait(ticket, 2, 0, nullptr, 0); }},
      {"pool_wait", "timeout", [&] { return pool_wait(ticket, 0, -2, nullptr, 0); }},
      {"pool_wait", "size", [&] { return pool_wait(ticket, 0, 0, &result, 3); }},
      {"pool_wait_many", "n", [&] { return pool_wait_many(&ticket, 0, 1, 0, nullptr); }},
      {"pool_wait_many", "tickets", [&] { return pool_wait_many(nullptr, 1, 1, 0, nullptr); }},
      {"pool_wait_many", "all", [&] { return pool_wait_many(&ticket, 1, 2, 0, nullptr); }},
      {"pool_wait_many", "timeout", [&] { return pool_wait_many(&ticket, 1, 1, -3, nullptr); }},
      {"pool_wait_idle", "timeout", [&] { return pool_wait_idle(pool, INT64_MIN); }},
      {"pool_group_create", "out", [&] { return pool_group_create(pool, nullptr, nullptr); }},
      {"pool_group_submit", "run", [&] { return pool_group_submit(group, nullptr, nullptr); }},
      {"pool_group_wait", "timeout", [&] { return pool_group_wait(group, -2, nullptr); }},
      {"pool_hook_add", "start",
       [&] {
         uint64_t id = 0;
         return pool_hook_add(pool, nullptr, nullptr, nullptr, &id);
       }},
      {"pool_hook_add", "id",
       [&] { return pool_hook_add(pool, HookNothing, nullptr, nullptr, nullptr); }},
      {"pool_tune", "workers", [&] { return pool_tune(pool, 70'000); }},
      {"pool_stats", "out", [&] { return pool_stats(pool, nullptr, sizeof(pool_stats_t)); }},
      {"pool_stats", "size",
       [&] {
         pool_stats_t stats;
         return pool_stats(pool, &stats, 0);
       }},
      {"pool_last_error", "buf", [] { return pool_last_error(nullptr, nullptr, 10, nullptr); }},
  };
  for (const Row& row : rows) {
    INFO(row.function << " with a bad " << row.names);
    const uint64_t misuse = Misuse(pool);
    CHECK(row.call() == POOL_E_INVALID);
    CHECK(Misuse(pool) == misuse + 1);
    CheckText(row.function, POOL_E_INVALID);
    CHECK(LastErrorText().find(row.names) != std::string::npos);
  }
  CHECK(Stats(pool).submitted == 1);
  CHECK(pool_group_release(group) == POOL_OK);
  CHECK(pool_ticket_release(ticket) == POOL_OK);
}

TEST_CASE("an unknown size of an init function is refused, a known one fills defaults",
          "[errors]") {
  std::vector<unsigned char> room(70'000, 0xff);
  auto* options = reinterpret_cast<pool_options_t*>(room.data());
  CHECK(pool_options_init(options, 65'537) == POOL_E_TOOBIG);
  auto* task = reinterpret_cast<pool_task_t*>(room.data());
  CHECK(pool_task_init(task, 65'537) == POOL_E_TOOBIG);
  for (const uint32_t size : {4u, 24u, uint32_t(sizeof(pool_options_t)), 300u, 65'536u}) {
    std::fill(room.begin(), room.end(), static_cast<unsigned char>(0xff));
    REQUIRE(pool_options_init(options, size) == POOL_OK);
    CHECK(options->struct_size == size);
    CHECK(room[size] == 0xff);  // nothing was written beyond what the caller has
    pool_t pool = 0;
    REQUIRE(pool_create(options, &pool) == POOL_OK);
    REQUIRE(pool_destroy(pool) == POOL_OK);
  }
}

TEST_CASE("a larger struct is accepted while its tail is zero", "[errors]") {
  struct Larger {
    pool_options_t known;
    unsigned char tail[40];
  } options;
  std::memset(&options, 0, sizeof(options));
  REQUIRE(pool_options_init(&options.known, sizeof(options)) == POOL_OK);
  options.known.workers_max = 1;
  pool_t pool = 0;
  REQUIRE(pool_create(&options.known, &pool) == POOL_OK);
  for (const size_t at : {size_t{0}, size_t{7}, sizeof(options.tail) - 1}) {
    options.tail[at] = 1;
    pool_t refused = 0;
    CHECK(pool_create(&options.known, &refused) == POOL_E_TOOBIG);
    CHECK(refused == 0);
    options.tail[at] = 0;
  }

  struct LargerTask {
    pool_task_t known;
    unsigned char tail[40];
  } task;
  std::memset(&task, 0, sizeof(task));
  std::atomic<uint64_t> runs{0};
  task.known = Task(CountRun, &runs);
  task.known.struct_size = sizeof(task);
  CHECK(pool_submit_task(pool, &task.known, nullptr) == POOL_OK);
  task.tail[39] = 9;
  CHECK(pool_submit_task(pool, &task.known, nullptr) == POOL_E_TOOBIG);
  CHECK(pool_submit_batch(pool, &task.known, sizeof(task), 1, nullptr, nullptr) == POOL_E_TOOBIG);

  // A smaller one counts as 0 in what it lacks: everything after arg.
  pool_task_t smaller;
  std::memset(&smaller, 0xff, sizeof(smaller));
  smaller.struct_size = offsetof(pool_task_t, group);
  smaller.on_full = 0;
  smaller.run = CountRun;
  smaller.done = nullptr;
  smaller.drop = nullptr;
  smaller.arg = &runs;
  CHECK(pool_submit_task(pool, &smaller, nullptr) == POOL_OK);
  REQUIRE(pool_destroy(pool) == POOL_OK);
  CHECK(runs == 2);
}

TEST_CASE("options out of range are refused with function, field, value, limit and remedy",
          "[errors]") {
  struct Row {
    const char* field;
    const char* value;  // as the text has to show it
    std::function<void(pool_options_t&)> change;
  };
  const std::string overlong(POOL_NAME_MAX + 1, 'x');
  const Row rows[] = {
      {"struct_size", "3", [](pool_options_t& o) { o.struct_size = 3; }},
      {"workers_min", "5",
       [](pool_options_t& o) {
         o.workers_min = 5;
         o.workers_max = 4;
       }},
      {"workers_min", "5000", [](pool_options_t& o) { o.workers_min = 5'000; }},
      {"workers_max", "70000", [](pool_options_t& o) { o.workers_max = 70'000; }},
      {"workers_max", "4097", [](pool_options_t& o) { o.workers_max = 4'097; }},
      {"workers_max", "4294967295", [](pool_options_t& o) { o.workers_max = UINT32_MAX; }},
      {"workers_limit", "3",
       [](pool_options_t& o) {
         o.workers_max = 4;
         o.workers_limit = 3;
       }},
      {"workers_limit", "4097", [](pool_options_t& o) { o.workers_limit = 4'097; }},
      {"keep_alive_ns", "-2", [](pool_options_t& o) { o.keep_alive_ns = -2; }},
      {"submit_timeout_ns", "-2", [](pool_options_t& o) { o.submit_timeout_ns = -2; }},
      {"on_full", "6", [](pool_options_t& o) { o.on_full = 6; }},
      {"on_full", "-1", [](pool_options_t& o) { o.on_full = -1; }},
      {"prestart", "5",
       [](pool_options_t& o) {
         o.workers_max = 4;
         o.prestart = 5;
       }},
      {"on_exception", "2", [](pool_options_t& o) { o.on_exception = 2; }},
      {"inherit_affinity", "2", [](pool_options_t& o) { o.inherit_affinity = 2; }},
      {"stack_bytes", "65535", [](pool_options_t& o) { o.stack_bytes = 65'535; }},
      {"stack_bytes", "1073741825", [](pool_options_t& o) { o.stack_bytes = (1u << 30) + 1; }},
      {"log_level", "5", [](pool_options_t& o) { o.log_level = 5; }},
      {"log_level", "-1", [](pool_options_t& o) { o.log_level = -1; }},
      {"reserved", "1", [](pool_options_t& o) { o.reserved = 1; }},
      {"name", "63", [&](pool_options_t& o) { o.name = overlong.c_str(); }},
      {"name", "UTF-8", [](pool_options_t& o) { o.name = "a\xff\xfe"; }},
      {"name", "UTF-8", [](pool_options_t& o) { o.name = "cut \xe2\x82"; }},
      {"name", "UTF-8", [](pool_options_t& o) { o.name = "overlong \xc0\xaf"; }},
      {"name", "UTF-8", [](pool_options_t& o) { o.name = "surrogate \xed\xa0\x80"; }},
  };
  for (const Row& row : rows) {
    pool_options_t options = Options();
    row.change(options);
    pool_t pool = 4711;
    INFO(row.field << " = " << row.value);
    CHECK(pool_create(&options, &pool) == POOL_E_INVALID);
    CheckText("pool_create", POOL_E_INVALID);
    CHECK(LastErrorText().find(row.field) != std::string::npos);
    CHECK(LastErrorText().find(row.value) != std::string::npos);
  }
  pool_options_t options = Options(70'000);
  pool_t pool = 0;
  CHECK(pool_create(&options, &pool) == POOL_E_INVALID);
  CHECK(LastErrorText().find("4096") != std::string::npos);
  CHECK(LastErrorText().find("use 0 for automatic") != std::string::npos);
}

TEST_CASE("names at the limit and in any script are accepted", "[errors]") {
  const std::string longest(POOL_NAME_MAX, 'x');
  ScopedPool owner(1);
  for (const std::string& name :
       {longest, std::string(), std::string("Gr\xc3\xbc\xc3\x9f"),
        std::string("\xe6\xb1\xa0 \xf0\x9f\x90\x9f"), std::string("a\"b\\c\nd")}) {
    pool_options_t options = Options(1);
    options.name = name.c_str();
    ScopedPool pool(options);
    CHECK(pool_submit(pool, DoNothing, nullptr) == POOL_OK);
    pool_task_t task = Task(DoNothing, nullptr);
    task.name = name.c_str();
    CHECK(pool_submit_task(owner, &task, nullptr) == POOL_OK);
  }
  pool_task_t task = Task(DoNothing, nullptr);
  const std::string overlong(POOL_NAME_MAX + 1, 'x');
  task.name = overlong.c_str();
  CHECK(pool_submit_task(owner, &task, nullptr) == POOL_E_INVALID);
  CheckText("pool_submit_task", POOL_E_INVALID);
  task.name = "\xff";
  CHECK(pool_submit_task(owner, &task, nullptr) == POOL_E_INVALID);
  CheckText("pool_submit_task", POOL_E_INVALID);
}

TEST_CASE("last_error is per thread, kept over successes, cut to the buffer", "[errors]") {
  int32_t code = 77;
  char text[512] = "unchanged";
  size_t needed = 0;
  REQUIRE(pool_last_error(&code, text, sizeof(text), &needed) == POOL_OK);
  CHECK(code == 0);
  CHECK(std::string(text).empty());
  CHECK(needed == 1);

  CHECK(pool_destroy(12'345) == POOL_E_BADHANDLE);
  {
    ScopedPool pool(1);
    Must(pool_submit(pool, DoNothing, nullptr), "submit");
  }
  REQUIRE(pool_last_error(&code, text, sizeof(text), &needed) == POOL_OK);
  CHECK(code == POOL_E_BADHANDLE);
  const std::string whole = text;
  REQUIRE(whole.size() > 20);
  CHECK(needed == whole.size() + 1);

  for (const size_t cap : {size_t{1}, size_t{2}, size_t{10}, whole.size(), whole.size() + 1}) {
    std::memset(text, 'z', sizeof(text));
    REQUIRE(pool_last_error(nullptr, text, cap, &needed) == POOL_OK);
    CHECK(std::string(text) == whole.substr(0, cap - 1));
    CHECK(needed == whole.size() + 1);
    CHECK(text[cap] == 'z');
  }
  CHECK(pool_last_error(nullptr, nullptr, 0, &needed) == POOL_OK);
  CHECK(needed == whole.size() + 1);
  CHECK(pool_last_error(nullptr, nullptr, 0, nullptr) == POOL_OK);

  int32_t other_code = 77;
  std::thread([&] { pool_last_error(&other_code, nullptr, 0, nullptr); }).join();
  CHECK(other_code == 0);
}

TEST_CASE("J3: calls that succeed leave the text of the last refusal alone", "[errors]") {
  pool_group_t group = 0;
  pool_ticket_t ticket = 0;
  {
    ScopedPool pool(1);
    REQUIRE(pool_group_create(pool, nullptr, &group) == POOL_OK);
    ticket = Submit(pool, Task(DoNothing, nullptr));
  }
  REQUIRE(pool_submit(0, nullptr, nullptr) == POOL_E_INVALID);
  const std::string text = LastErrorText();
  // These look for the pool, which has gone.
  CHECK(pool_group_cancel(group) == POOL_OK);
  CHECK(pool_wait(ticket, POOL_WAIT_HELP, 0, nullptr, 0) == POOL_OK);
  CHECK(LastErrorText() == text);
  CHECK(pool_group_release(group) == POOL_OK);
  CHECK(pool_ticket_release(ticket) == POOL_OK);
}

TEST_CASE("refusals of every kind leave a text", "[errors]") {
  pool_options_t options = Options(1);
  options.queue_limit = 1;
  ScopedPool pool(options);
  REQUIRE(pool_pause(pool) == POOL_OK);
  const pool_ticket_t ticket = Submit(pool, Task(DoNothing, nullptr));
  CHECK(pool_submit(pool, DoNothing, nullptr) == POOL_E_FULL);
  CheckText("pool_submit", POOL_E_FULL);
  CHECK(pool_wait(ticket, 0, 0, nullptr, 0) == POOL_E_TIMEOUT);
  CheckText("pool_wait", POOL_E_TIMEOUT);
  CHECK(pool_cancel(ticket) == POOL_OK);
  CHECK(pool_cancel(ticket) == POOL_E_ALREADY);
  CheckText("pool_cancel", POOL_E_ALREADY);
  CHECK(pool_hook_remove(pool, 5) == POOL_E_NOTFOUND);
  CheckText("pool_hook_remove", POOL_E_NOTFOUND);
  CHECK(pool_close(pool, POOL_DRAIN, kBoundNs) == POOL_OK);
  CHECK(pool_submit(pool, DoNothing, nullptr) == POOL_E_CLOSED);
  CheckText("pool_submit", POOL_E_CLOSED);
  CHECK(pool_ticket_release(ticket) == POOL_OK);
}

TEST_CASE("J3: refusals that are no misuse are not counted as such", "[errors]") {
  pool_options_t options = Options(1);
  options.queue_limit = 1;
  ScopedPool pool(options);
  REQUIRE(pool_pause(pool) == POOL_OK);
  const uint64_t misuse = Misuse(pool);
  const pool_ticket_t ticket = Submit(pool, Task(DoNothing, nullptr));
  CHECK(pool_submit(pool, DoNothing, nullptr) == POOL_E_FULL);
  CHECK(pool_wait(ticket, 0, 0, nullptr, 0) == POOL_E_TIMEOUT);
  CHECK(pool_hook_remove(pool, 5) == POOL_E_NOTFOUND);
  REQUIRE(pool_resume(pool) == POOL_OK);
  REQUIRE(WaitIdle(pool));
  CHECK(pool_cancel(ticket) == POOL_E_ALREADY);
  CHECK(Misuse(pool) == misuse);
  Body body([&](pool_ctx_t*) { return pool_destroy(pool) == POOL_E_DEADLOCK ? 0 : -1000; });
  const pool_ticket_t second = Submit(pool, Task(Body::Run, &body));
  pool_result_t result;
  REQUIRE(pool_wait(second, 0, kBoundNs, &result, sizeof(result)) == POOL_OK);
  CHECK(result.code == 0);
  CHECK(Misuse(pool) == misuse + 1);  // DEADLOCK is one
  CHECK(pool_ticket_release(ticket) == POOL_OK);
  CHECK(pool_ticket_release(second) == POOL_OK);
}

TEST_CASE("strerror has a sentence for every status and never NULL", "[errors]") {
  for (int32_t code = 0; code >= -20; --code) {
    REQUIRE(pool_strerror(code) != nullptr);
    CHECK(std::strlen(pool_strerror(code)) > 1);
    for (int32_t other = 0; other > code; --other) {
      CHECK(std::strcmp(pool_strerror(code), pool_strerror(other)) != 0);
    }
    CHECK(pool_strerror(code) == pool_strerror(code));  // constant
  }
  for (const int32_t code : {1, INT32_MAX, -21, -999, -1000, -5000, INT32_MIN}) {
    REQUIRE(pool_strerror(code) != nullptr);
    CHECK(std::strlen(pool_strerror(code)) > 1);
  }
}

TEST_CASE("version and clock", "[errors]") {
  const std::string version = std::to_string(POOL_VERSION_MAJOR) + "." +
                              std::to_string(POOL_VERSION_MINOR) + "." +
                              std::to_string(POOL_VERSION_PATCH);
  CHECK(pool_version() == version);
  CHECK(pool_abi_version() == POOL_VERSION_MAJOR * 1'000 + POOL_VERSION_MINOR);
  timespec before, after;
  clock_gettime(CLOCK_MONOTONIC, &before);
  const uint64_t now = pool_now_ns();
  clock_gettime(CLOCK_MONOTONIC, &after);
  const auto ns = [](const timespec& t) {
    return uint64_t(t.tv_sec) * 1'000'000'000 + uint64_t(t.tv_nsec);
  };
  CHECK(ns(before) <= now);
  CHECK(now <= ns(after));
}

}  // namespace
}  // namespace workpool_test
