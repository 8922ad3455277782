// What a worker thread is like: name, stack, CPUs, signal mask, index.
#include <pthread.h>
#include <sched.h>
#include <signal.h>

#include <array>
#include <catch2/catch.hpp>
#include <fstream>
#include <mutex>
#include <set>
#include <thread>
#include <vector>

#include "test_support.h"

namespace workpool_test {
namespace {

// Runs inside on one worker of a pool with these options.
void RunOnWorker(const pool_options_t& options, const std::function<void(pool_t)>& inside) {
  ScopedPool pool(options);
  Body body([&](pool_ctx_t*) {
    inside(pool);
    return 0;
  });
  const pool_ticket_t ticket = Submit(pool, Task(Body::Run, &body));
  Must(pool_wait(ticket, 0, kBoundNs, nullptr, 0), "pool_wait");
  Must(pool_ticket_release(ticket), "release");
}

std::string NameOfThisThread() {
  char name[32] = {};
  pthread_getname_np(pthread_self(), name, sizeof(name));
  return name;
}

TEST_CASE("worker threads carry the pool's name", "[threads]") {
  std::string name;
  const auto look = [&](pool_t) { name = NameOfThisThread(); };
  pool_options_t options = Options(1);
  RunOnWorker(options, look);
  CHECK(name.substr(0, 4) == "pool");

  char changing[] = "decoder";
  options.name = changing;
  ScopedPool pool(options);
  changing[0] = 'X';  // it was copied during the call
  Body body([&](pool_ctx_t*) {
    name = NameOfThisThread();
    return 0;
  });
  Must(pool_submit(pool, Body::Run, &body), "submit");
  REQUIRE(WaitIdle(pool));
  CHECK(name.substr(0, 7) == "decoder");

  // The kernel keeps 15 bytes of a name; the longest one allowed still gives a name.
  const std::string longest(POOL_NAME_MAX, 'n');
  options.name = longest.c_str();
  RunOnWorker(options, look);
  CHECK(name.substr(0, 8) == "nnnnnnnn");
  CHECK(name.size() <= 15);
}

TEST_CASE("the creating thread keeps its name, mask and CPUs", "[threads]") {
  const std::string name = NameOfThisThread();
  sigset_t mask_before, mask_after;
  pthread_sigmask(SIG_BLOCK, nullptr, &mask_before);
  cpu_set_t cpus_before, cpus_after;
  REQUIRE(sched_getaffinity(0, sizeof(cpus_before), &cpus_before) == 0);
  pool_options_t options = Options(2);
  options.prestart = 2;
  {
    ScopedPool pool(options);
    Must(pool_submit(pool, DoNothing, nullptr), "submit");
    REQUIRE(WaitIdle(pool));
  }
  CHECK(NameOfThisThread() == name);
  pthread_sigmask(SIG_BLOCK, nullptr, &mask_after);
  for (int signal = 1; signal < 65; ++signal) {
    CHECK(sigismember(&mask_before, signal) == sigismember(&mask_after, signal));
  }
  REQUIRE(sched_getaffinity(0, sizeof(cpus_after), &cpus_after) == 0);
  CHECK(CPU_EQUAL(&cpus_before, &cpus_after));
}

TEST_CASE("E6: stack_bytes is honoured exactly, and defaults to 1 MiB", "[threads][exact]") {
  // Rising, because the C library may give a new thread the larger stack of one that has ended.
  for (const uint64_t wanted :
       {uint64_t{65'536}, uint64_t{262'144}, uint64_t{0}, uint64_t{3} << 20, uint64_t{256} << 20}) {
    pool_options_t options = Options(1);
    options.stack_bytes = wanted;
    size_t seen = 0;
    RunOnWorker(options, [&](pool_t) {
      pthread_attr_t attr;
      if (pthread_getattr_np(pthread_self(), &attr) != 0) return;
      void* base = nullptr;
      pthread_attr_getstack(&attr, &base, &seen);
      pthread_attr_destroy(&attr);
    });
    CHECK(seen == (wanted == 0 ? uint64_t{1} << 20 : wanted));
  }
}

TEST_CASE("E6: a task may use the stack that was asked for", "[threads]") {
  pool_options_t options = Options(1);
  options.stack_bytes = uint64_t{16} << 20;
  uint64_t sum = 0;
  RunOnWorker(options, [&](pool_t) {
    volatile char room[12 << 20];
    for (size_t i = 0; i < sizeof(room); i += 4'096) room[i] = 1;
    for (size_t i = 0; i < sizeof(room); i += 4'096) sum += static_cast<uint64_t>(room[i]);
  });
  CHECK(sum == (12 << 20) / 4'096);
}

TEST_CASE("E9: workers of a pinned creator run on the process's CPUs, unless asked to inherit",
          "[threads]") {
  // The main thread's mask stands for the process's. Where there is one CPU only, both are the same
  // set, and the test still checks that each set is the one expected.
  cpu_set_t process;
  REQUIRE(sched_getaffinity(getpid(), sizeof(process), &process) == 0);
  int first = 0;
  while (!CPU_ISSET(first, &process)) ++first;
  cpu_set_t one;
  CPU_ZERO(&one);
  CPU_SET(first, &one);
  for (const uint32_t inherit : {0u, 1u}) {
    cpu_set_t seen;
    CPU_ZERO(&seen);
    bool pinned = false;
    std::thread creator([&] {
      pinned = pthread_setaffinity_np(pthread_self(), sizeof(one), &one) == 0;
      pool_options_t options = Options(1);
      options.inherit_affinity = inherit;
      RunOnWorker(options, [&](pool_t) { sched_getaffinity(0, sizeof(seen), &seen); });
    });
    creator.join();
    REQUIRE(pinned);
    CHECK(CPU_EQUAL(&seen, inherit == 1 ? &one : &process));
  }
}

TEST_CASE("E9: a worker started later has the same CPUs, whoever submits", "[threads]") {
  cpu_set_t process;
  REQUIRE(sched_getaffinity(getpid(), sizeof(process), &process) == 0);
  int first = 0;
  while (!CPU_ISSET(first, &process)) ++first;
  cpu_set_t one, seen_free, seen_bound;
  CPU_ZERO(&one);
  CPU_SET(first, &one);
  CPU_ZERO(&seen_free);
  CPU_ZERO(&seen_bound);

  // Made by a free thread, fed by a pinned one; and made by a pinned thread to inherit, fed by a
  // free one.
  ScopedPool free_pool(1);
  pool_t bound_pool = 0;
  const auto look = [](void* arg, pool_ctx_t*) {
    return sched_getaffinity(0, sizeof(cpu_set_t), static_cast<cpu_set_t*>(arg)) == 0 ? 0 : -1000;
  };
  std::thread pinned([&] {
    pthread_setaffinity_np(pthread_self(), sizeof(one), &one);
    Must(pool_submit(free_pool, look, &seen_free), "submit");
    pool_options_t options = Options(1);
    options.inherit_affinity = 1;
    Must(pool_create(&options, &bound_pool), "create");
  });
  pinned.join();
  Must(pool_submit(bound_pool, look, &seen_bound), "submit");
  REQUIRE(WaitIdle(free_pool));
  REQUIRE(WaitIdle(bound_pool));
  CHECK(CPU_EQUAL(&seen_free, &process));
  CHECK(CPU_EQUAL(&seen_bound, &one));
  CHECK(pool_destroy(bound_pool) == POOL_OK);
}

TEST_CASE("E4: workers block every signal but the synchronous faults", "[threads]") {
  sigset_t mask;
  sigemptyset(&mask);
  RunOnWorker(Options(1), [&](pool_t) { pthread_sigmask(SIG_BLOCK, nullptr, &mask); });
  const std::set<int> deliverable = {SIGSEGV, SIGBUS, SIGFPE,  SIGILL, SIGTRAP,
                                     SIGABRT, SIGSYS, SIGKILL, SIGSTOP};
  for (int signal = 1; signal < SIGRTMAX; ++signal) {
    if (signal >= 32 && signal < SIGRTMIN) continue;  // the C library's own
    INFO("signal " << signal);
    CHECK(sigismember(&mask, signal) == (deliverable.count(signal) == 0 ? 1 : 0));
  }
}

TEST_CASE("a worker's index is below workers_limit and its own, outside it is -1", "[threads]") {
  pool_options_t options = Options(3);
  options.workers_limit = 5;
  ScopedPool pool(options);
  ScopedPool other(1);
  CHECK(pool_worker_index(pool) == -1);
  CHECK(pool_worker_index(0) == -1);
  CHECK(pool_worker_index(987'654'321) == -1);

  Gate gate;
  std::mutex mu;
  std::set<int32_t> indices;
  std::atomic<int32_t> in_other{0};
  Body body([&](pool_ctx_t*) {
    {
      const std::lock_guard<std::mutex> lock(mu);
      indices.insert(pool_worker_index(pool));
    }
    if (pool_worker_index(other) != -1) in_other = 1;
    gate.Pass();
    return 0;
  });
  for (int i = 0; i < 3; ++i) Must(pool_submit(pool, Body::Run, &body), "submit");
  REQUIRE(gate.AwaitArrivals(3));
  gate.Open();
  REQUIRE(WaitIdle(pool));
  CHECK(in_other == 0);
  CHECK(indices.size() == 3);
  CHECK(*indices.begin() >= 0);
  CHECK(*indices.rbegin() < 5);
}

TEST_CASE("workers that stand in for waiting ones stay below workers_limit", "[threads]") {
  pool_options_t options = Options(1);
  options.workers_limit = 4;
  ScopedPool pool(options);
  std::atomic<int32_t> most{-1}, live{0};
  // Each task waits for one that runs on another worker, so that a stand-in is wanted at each
  // level.
  struct Level {
    pool_t pool;
    int left;
    std::atomic<int32_t>* most;
    std::atomic<int32_t>* live;
    static int32_t Run(void* arg, pool_ctx_t*) {
      auto* level = static_cast<Level*>(arg);
      const int32_t index = pool_worker_index(level->pool);
      int32_t seen = level->most->load();
      while (index > seen && !level->most->compare_exchange_weak(seen, index)) {
      }
      const auto workers = static_cast<int32_t>(Stats(level->pool).workers_live);
      seen = level->live->load();
      while (workers > seen && !level->live->compare_exchange_weak(seen, workers)) {
      }
      if (level->left == 0) return 0;
      pool_ticket_t ticket = 0;
      Level next{level->pool, level->left - 1, level->most, level->live};
      const pool_task_t task = Task(Run, &next);
      Must(pool_submit_task(level->pool, &task, &ticket), "submit");
      const pool_status_t status = pool_wait(ticket, 0, kBoundNs, nullptr, 0);
      pool_ticket_release(ticket);
      return status;
    }
  };
  Level first{pool, 50, &most, &live};
  const pool_ticket_t ticket = Submit(pool, Task(Level::Run, &first));
  REQUIRE(pool_wait(ticket, 0, kBoundNs, nullptr, 0) == POOL_OK);
  CHECK(pool_ticket_release(ticket) == POOL_OK);
  CHECK(most < 4);
  CHECK(live <= 4);
}

}  // namespace
}  // namespace workpool_test
