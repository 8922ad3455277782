// SPDX-License-Identifier: Apache-2.0
//
// The callbacks of a pool, and how long they live.
#ifndef WORKPOOL_DETAIL_CALLBACKS_HPP_
#define WORKPOOL_DETAIL_CALLBACKS_HPP_

#include <workpool/workpool.h>

#include <atomic>
#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <unordered_map>
#include <utility>
#include <workpool/detail/attempt.hpp>
#include <workpool/result.hpp>

namespace workpool {
namespace detail {

// The callbacks of a pool, which are all given this as their user.
struct pool_callbacks {
  std::function<void(const failed_task&)> dead_letter;
  std::function<void(bool above, std::uint64_t waiting)> watermark;
  std::function<void(const running_task&)> stuck;
  pool_callbacks* next = nullptr;

  // What the library does not know of an attempt that failed.
  struct failure {
    std::string name;
    std::exception_ptr thrown;
  };
  // By arg, from a failed attempt until the next one has failed or the task has ended. A task whose
  // arg is not here is none of the binding's.
  std::mutex mu;
  std::unordered_map<const void*, failure> failures;  // guarded by mu

  void note(const void* arg, const failure& f) {
    const std::lock_guard<std::mutex> lock(mu);
    failures[arg] = f;
  }
  failure noted(const void* arg) {
    const std::lock_guard<std::mutex> lock(mu);
    const auto found = failures.find(arg);
    return found != failures.end() ? found->second : failure{};
  }
  void forget(const void* arg) {
    const std::lock_guard<std::mutex> lock(mu);
    failures.erase(arg);
  }

  static void on_dead_letter(void* user, void* arg, const pool_result_t* r,
                             const pool_attempt_t* history, std::uint32_t history_count) {
    static_cast<void>(caught([&] {
      pool_callbacks& self = *static_cast<pool_callbacks*>(user);
      failure f = self.noted(arg);
      failed_task told;
      static_cast<pool_result_t&>(told) = *r;
      add_text(told, what_of(f.thrown));
      told.name = std::move(f.name);
      told.thrown = std::move(f.thrown);
      told.history.assign(history, history + history_count);
      self.dead_letter(told);
    }));
  }
  static void on_watermark(void* user, pool_t, std::int32_t above, std::uint64_t waiting) {
    static_cast<void>(
        caught([&] { static_cast<pool_callbacks*>(user)->watermark(above != 0, waiting); }));
  }
  static void on_stuck(void* user, pool_t, const pool_running_t* task) {
    running_task copy;
    static_cast<pool_running_t&>(copy) = *task;
    static_cast<void>(caught([&] { static_cast<pool_callbacks*>(user)->stuck(copy); }));
  }
};

// A pool that is given up without waiting ends nobody knows when; its callbacks stay.
inline void keep_for_good(std::unique_ptr<pool_callbacks> callbacks) noexcept {
  static std::atomic<pool_callbacks*> all{nullptr};
  if (!callbacks) return;
  callbacks->next = all.load();
  while (!all.compare_exchange_weak(callbacks->next, callbacks.get())) {
  }
  static_cast<void>(callbacks.release());
}

}  // namespace detail
}  // namespace workpool
#endif  // WORKPOOL_DETAIL_CALLBACKS_HPP_
