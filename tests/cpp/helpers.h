// What the tests of the C++ binding share: order by gates, waiting by bounded polls, life by
// counts.
#pragma once

#include <atomic>
#include <catch2/catch.hpp>
#include <chrono>
#include <condition_variable>
#include <future>
#include <memory>
#include <mutex>
#include <thread>
#include <utility>
#include <workpool/workpool.hpp>

// Closed until somebody opens it.
class Gate {
 public:
  void Open() {
    const std::lock_guard<std::mutex> lock(mu_);
    open_ = true;
    changed_.notify_all();
  }
  void Pass() {
    std::unique_lock<std::mutex> lock(mu_);
    changed_.wait(lock, [this] { return open_; });
  }

 private:
  std::mutex mu_;
  std::condition_variable changed_;
  bool open_ = false;
};

// True as soon as condition() is; false if it is not within a generous bound.
template <class Condition>
bool Eventually(Condition&& condition) {
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  while (!condition()) {
    if (std::chrono::steady_clock::now() > end) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  return true;
}

// Counts the objects that own a life: a moved-from one owns none. live falls to 0 when all are
// destroyed, ended counts how many lives were ended, so that a second end of the same one is seen.
struct Lives {
  std::atomic<int> live{0};
  std::atomic<int> ended{0};
};
class Life {
 public:
  explicit Life(Lives& lives) : lives_(&lives) { ++lives_->live; }
  Life(const Life& other) : lives_(other.lives_) {
    if (lives_ != nullptr) ++lives_->live;
  }
  Life(Life&& other) noexcept : lives_(std::exchange(other.lives_, nullptr)) {}
  Life& operator=(const Life&) = delete;
  ~Life() {
    if (lives_ == nullptr) return;
    --lives_->live;
    ++lives_->ended;
  }

 private:
  Lives* lives_;
};

// Holds the only worker of a pool until it is opened or destroyed.
class Plug {
 public:
  explicit Plug(workpool::pool& pool) {
    auto started = std::make_shared<Gate>();
    done_ = pool.submit([this, started] {
      started->Open();
      gate_.Pass();
    });
    started->Pass();
  }
  ~Plug() {
    gate_.Open();
    done_.wait();
  }

 private:
  Gate gate_;
  std::future<void> done_;
};

inline workpool::options Workers(std::uint32_t min, std::uint32_t max) {
  workpool::options o;
  o.workers_min = min;
  o.workers_max = max;
  return o;
}

// Options of one task by assignments, since C++17 has no designated initializers.
template <class Set>
workpool::task_options Rules(Set&& set) {
  workpool::task_options o;
  set(o);
  return o;
}

// Closes the pool and looks that every task that it accepted has exactly one outcome.
inline void CheckSettled(workpool::pool& pool,
                         workpool::close_mode mode = workpool::close_mode::drain) {
  CHECK(pool.close(mode, std::chrono::seconds(20)));
  const pool_stats_t s = pool.stats();
  CHECK(s.submitted == s.done + s.failed + s.cancelled + s.expired + s.shed);
}

// The code of the workpool::error that f throws; 0 if it throws none.
template <class F>
std::int32_t CodeOf(F&& f) {
  try {
    f();
  } catch (const workpool::error& e) {
    return e.code();
  }
  return POOL_OK;
}
