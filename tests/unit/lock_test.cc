#include <atomic>
#include <catch2/catch.hpp>
#include <memory>

#include "base/mutex.h"
#include "base/spin_lock.h"
#include "base/thread.h"
#include "unit_support.h"

namespace workpool {
namespace {

// Two or more threads count together under a lock; plain additions that met would lose some.
template <typename Lock>
uint64_t CountTogether(uint32_t threads, uint64_t each) ABSL_NO_THREAD_SAFETY_ANALYSIS {
  Lock mu;
  uint64_t count = 0;
  std::atomic<int> inside{0};
  std::atomic<uint64_t> met{0};
  const auto add = [&](bool by_trying) ABSL_NO_THREAD_SAFETY_ANALYSIS {
    for (uint64_t i = 0; i < each; ++i) {
      if (by_trying) {
        while (!mu.TryLock()) {
        }
      } else {
        mu.Lock();
      }
      if (inside.fetch_add(1) != 0) ++met;
      ++count;
      inside.fetch_sub(1);
      mu.Unlock();
    }
  };
  {
    std::vector<std::unique_ptr<ScopedThread>> others;
    for (uint32_t i = 1; i < threads; ++i) {
      others.push_back(std::make_unique<ScopedThread>([&, i] { add(i % 2 == 1); }));
    }
    add(false);
  }
  CHECK(met == 0);
  return count;
}

// What TryLock says on another thread.
template <typename Lock>
bool OthersMayEnter(Lock& mu) ABSL_NO_THREAD_SAFETY_ANALYSIS {
  bool entered = false;
  ScopedThread other([&]() ABSL_NO_THREAD_SAFETY_ANALYSIS {
    entered = mu.TryLock();
    if (entered) mu.Unlock();
  });
  other.Join();
  return entered;
}

template <typename Lock>
void CheckTryLock() ABSL_NO_THREAD_SAFETY_ANALYSIS {
  Lock mu;
  REQUIRE(mu.TryLock());
  CHECK_FALSE(mu.TryLock());
  CHECK_FALSE(OthersMayEnter(mu));
  mu.Unlock();
  CHECK(OthersMayEnter(mu));
  mu.Lock();
  CHECK_FALSE(OthersMayEnter(mu));
  mu.Unlock();
  CHECK(OthersMayEnter(mu));
}

TEMPLATE_TEST_CASE("a lock lets one thread in at a time", "[base]", Mutex, SpinLock) {
  for (uint32_t threads : {2u, 4u}) {
    const uint64_t each = workpool_test::Rounds(40'000);
    CHECK(CountTogether<TestType>(threads, each) == threads * each);
  }
}

TEMPLATE_TEST_CASE("a held lock refuses those who only try", "[base]", Mutex, SpinLock) {
  CheckTryLock<TestType>();
}

TEST_CASE("whoever waits for a lock sleeps until it is free", "[base]") {
  Mutex mu;
  std::atomic<int> tid{0};
  std::atomic<bool> entered{false};
  mu.Lock();
  ScopedThread waiter([&] {
    tid = CurrentTid();
    MutexLock lock(mu);
    entered = true;
  });
  CHECK(workpool_test::PollUntil(
      [&] { return tid != 0 && workpool_test::ThreadStatus(tid, "State").substr(0, 1) == "S"; }));
  CHECK_FALSE(entered);
  mu.Unlock();
  waiter.Join();
  CHECK(entered);
}

#if !defined(NDEBUG)
TEST_CASE("each thread counts the locks it holds", "[base]") {
  Mutex mutex;
  SpinLock spin_lock;
  const int32_t before = CurrentTls().locks_held;
  {
    MutexLock lock(mutex);
    CHECK(CurrentTls().locks_held == before + 1);
    spin_lock.Lock();
    CHECK(CurrentTls().locks_held == before + 2);
    int32_t others = -1;
    ScopedThread other([&] { others = CurrentTls().locks_held; });
    other.Join();
    CHECK(others == 0);
    spin_lock.Unlock();
  }
  CHECK(CurrentTls().locks_held == before);
}
#endif

}  // namespace
}  // namespace workpool
