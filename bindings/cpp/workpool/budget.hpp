// SPDX-License-Identifier: Apache-2.0
//
// budget: one cap for the workers of several pools.
#ifndef WORKPOOL_BUDGET_HPP_
#define WORKPOOL_BUDGET_HPP_

#include <workpool/workpool.h>

#include <cstdint>
#include <utility>
#include <workpool/error.hpp>

namespace workpool {

// At most so many workers in all pools that were made with it (options::in_budget). What one pool
// does not need the others have meanwhile, and give back between two tasks. Move-only. Pools keep
// it when this object is destroyed.
class budget {
 public:
  explicit budget(std::uint32_t workers_max) {
    detail::check(pool_budget_create(workers_max, &handle_));
  }
  // One whose cap is what GNU make leaves to this process, if it runs in a recipe that may have
  // jobs of make's -j. Throws error NOTFOUND (there is none), SYSTEM.
  static budget jobserver() {
    budget b;
    detail::check(pool_budget_jobserver(&b.handle_));
    return b;
  }
  budget(budget&& other) noexcept : handle_(std::exchange(other.handle_, 0)) {}
  budget& operator=(budget&& other) noexcept {
    budget(std::move(other)).swap(*this);
    return *this;
  }
  ~budget() {
    if (handle_ != 0) pool_budget_release(handle_);
  }
  void swap(budget& other) noexcept { std::swap(handle_, other.handle_); }

  // Another cap, for what starts from now on. Not for that of a jobserver.
  void set(std::uint32_t workers_max) { detail::check(pool_budget_set(handle_, workers_max)); }

  pool_budget_t native_handle() const noexcept { return handle_; }

 private:
  budget() noexcept = default;

  pool_budget_t handle_ = 0;
};

}  // namespace workpool
#endif  // WORKPOOL_BUDGET_HPP_
