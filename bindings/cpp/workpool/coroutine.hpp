// SPDX-License-Identifier: Apache-2.0
//
// pool::schedule: a coroutine goes on in a pool. Empty before C++20.
#ifndef WORKPOOL_COROUTINE_HPP_
#define WORKPOOL_COROUTINE_HPP_

#if defined(__cpp_impl_coroutine)
#include <workpool/workpool.h>

#include <coroutine>
#include <cstdint>
#include <memory>
#include <utility>
#include <workpool/detail/attempt.hpp>
#include <workpool/detail/box.hpp>
#include <workpool/error.hpp>
#include <workpool/pool.hpp>

namespace workpool {
namespace detail {

class schedule_awaiter {
 public:
  explicit schedule_awaiter(target where) noexcept : where_(where) {}

  bool await_ready() const noexcept { return false; }
  void await_suspend(std::coroutine_handle<> coroutine) {
    // Not the awaiter itself: it may be gone with its coroutine before drop is called.
    submit_box(where_, &resume_box::run, box_owner(new resume_box(*this, coroutine)));
  }
  void await_resume() const {
    if (code_ != POOL_OK) throw error(code_);
  }

 private:
  struct resume_box final : box {
    resume_box(schedule_awaiter& a, std::coroutine_handle<> c)
        : box{&resume_box::end_it}, awaiter(a), coroutine(c) {}
    static std::int32_t run(void* arg, pool_ctx_t*) {
      std::exchange(static_cast<resume_box*>(static_cast<box*>(arg))->coroutine, nullptr).resume();
      return POOL_OK;
    }
    static void end_it(box* b, std::int32_t outcome) noexcept {
      const std::unique_ptr<resume_box> self(static_cast<resume_box*>(b));
      if (!self->coroutine || outcome == kNotAccepted) return;
      self->awaiter.code_ = cause_of(outcome, POOL_E_CLOSED);
      self->coroutine.resume();
    }
    schedule_awaiter& awaiter;
    std::coroutine_handle<> coroutine;  // null once resumed
  };

  target where_;
  std::int32_t code_ = POOL_OK;
};

}  // namespace detail

inline auto pool::schedule() noexcept { return detail::schedule_awaiter(where_); }

}  // namespace workpool

#endif  // __cpp_impl_coroutine
#endif  // WORKPOOL_COROUTINE_HPP_
