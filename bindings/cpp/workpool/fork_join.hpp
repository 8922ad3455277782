// SPDX-License-Identifier: Apache-2.0
//
// task_context::fork_join: two calls that may run at once.
#ifndef WORKPOOL_FORK_JOIN_HPP_
#define WORKPOOL_FORK_JOIN_HPP_

#include <workpool/workpool.h>

#include <cstdint>
#include <exception>
#include <optional>
#include <type_traits>
#include <utility>
#include <variant>
#include <workpool/context.hpp>
#include <workpool/detail/attempt.hpp>
#include <workpool/detail/box.hpp>
#include <workpool/error.hpp>

namespace workpool {
namespace detail {

// A result as a value: void is std::monostate.
template <class R>
using stored_t = std::conditional_t<std::is_void_v<R>, std::monostate, std::decay_t<R>>;

template <class F>
stored_t<call_result_t<F>> stored_call(task_context& ctx, F&& f) {
  if constexpr (std::is_void_v<call_result_t<F>>) {
    call_task(ctx, std::forward<F>(f));
    return {};
  } else {
    return call_task(ctx, std::forward<F>(f));
  }
}

// One fork in its parent's frame. The destructor joins, also when the parent unwinds: nobody may
// still use the frame then.
template <class G>
class fork_frame {
 public:
  fork_frame(pool_ctx_t* ctx, target where, G&& g)
      : ctx_(ctx), where_(where), g_(std::forward<G>(g)) {
    check(pool_ctx_fork(ctx_, &fork_, &fork_frame::run, this));
  }
  fork_frame(const fork_frame&) = delete;
  fork_frame& operator=(const fork_frame&) = delete;
  ~fork_frame() {
    if (!joined_) static_cast<void>(pool_ctx_join(ctx_, &fork_, nullptr));
  }

  stored_t<call_result_t<G>> join() {
    std::int32_t code = POOL_OK;
    joined_ = true;
    check(pool_ctx_join(ctx_, &fork_, &code));
    if (thrown_) std::rethrow_exception(std::move(thrown_));
    if (!value_) throw error(code);  // it ended its thread
    return *std::move(value_);
  }

 private:
  static std::int32_t run(void* arg, pool_ctx_t* ctx) {
    fork_frame* self = static_cast<fork_frame*>(arg);
    self->thrown_ = caught([self, ctx] {
      task_context context(ctx, self->where_);
      self->value_.emplace(stored_call(context, std::forward<G>(self->g_)));
    });
    return self->thrown_ ? POOL_E_EXCEPTION : POOL_OK;
  }

  pool_ctx_t* const ctx_;
  const target where_;
  G&& g_;
  bool joined_ = false;
  std::optional<stored_t<call_result_t<G>>> value_;
  std::exception_ptr thrown_;
  pool_fork_t fork_;
};

}  // namespace detail

template <class F, class G>
auto task_context::fork_join(F&& f, G&& g) {
  detail::fork_frame<G> fork(ctx_, where_, std::forward<G>(g));
  using r_f = detail::call_result_t<F>;
  using r_g = detail::call_result_t<G>;
  auto left = detail::stored_call(*this, std::forward<F>(f));
  if constexpr (std::is_void_v<r_f> && std::is_void_v<r_g>) {
    static_cast<void>(left);
    static_cast<void>(fork.join());
  } else {
    auto right = fork.join();
    return std::pair<detail::stored_t<r_f>, detail::stored_t<r_g>>(std::move(left),
                                                                   std::move(right));
  }
}

}  // namespace workpool
#endif  // WORKPOOL_FORK_JOIN_HPP_
