// SPDX-License-Identifier: Apache-2.0
//
// task_context, and how a callable that may want one is called.
#ifndef WORKPOOL_CONTEXT_HPP_
#define WORKPOOL_CONTEXT_HPP_

#include <workpool/workpool.h>

#include <chrono>
#include <cstdint>
#include <functional>
#include <type_traits>
#include <utility>
#include <workpool/detail/box.hpp>
#include <workpool/error.hpp>

namespace workpool {

// As long as it lives, its task says that it blocks. Not beyond the end of the task's run.
class blocking_scope {
 public:
  explicit blocking_scope(pool_ctx_t* ctx) : ctx_(ctx) { detail::check(pool_ctx_block_begin(ctx)); }
  blocking_scope(blocking_scope&& other) noexcept : ctx_(std::exchange(other.ctx_, nullptr)) {}
  blocking_scope& operator=(blocking_scope&&) = delete;
  ~blocking_scope() {
    if (ctx_ != nullptr) pool_ctx_block_end(ctx_);
  }

 private:
  pool_ctx_t* ctx_;
};

// A running task's view of itself. Valid during that run and on its thread only, also as a copy.
class task_context {
 public:
  task_context(pool_ctx_t* ctx, detail::target where) noexcept : ctx_(ctx), where_(where) {}

  // True if the task was asked to stop: by its ticket, group or token, its run_timeout, or
  // close_mode::cancel_all.
  bool should_stop() const noexcept { return pool_ctx_should_stop(ctx_) != 0; }

  // Which run of the task this is, from 1.
  std::uint32_t attempt() const noexcept { return pool_ctx_attempt(ctx_); }
  // The task's deadline; time_point::max() if it has none.
  std::chrono::steady_clock::time_point deadline() const noexcept {
    using clock = std::chrono::steady_clock;
    const std::uint64_t ns = pool_ctx_deadline_ns(ctx_);
    if (ns > static_cast<std::uint64_t>(INT64_MAX)) return clock::time_point::max();
    return clock::time_point(
        std::chrono::duration_cast<clock::duration>(std::chrono::nanoseconds(ns)));
  }
  // The task's token, or 0; its creator owns it. cancel_token::under makes a child of it.
  pool_token_t token() const noexcept { return pool_ctx_token(ctx_); }

  // The 64-bit value in the task's result.
  void set_value(std::uint64_t value) { detail::check(pool_ctx_set_value(ctx_, value)); }

  // Around what blocks for long without the CPU, say a query: meanwhile another worker may be up in
  // this one's place at once. { const auto blocking = ctx.blocking(); read(); } They may be nested.
  [[nodiscard]] blocking_scope blocking() const { return blocking_scope(ctx_); }

  // A child that nobody waits for, on this worker's own queue, exempt from the queue limit.
  template <class F, class... Args>
  void post(F&& f, Args&&... args);

  // Calls f here while g may run on another worker, and returns when both have ended: a std::pair
  // of their values (std::monostate for void), or nothing if both return void. If either throws, so
  // does this call, still after both have ended; f's exception goes first. Allocates nothing. f and
  // g may take a task_context& of their own to fork further.
  template <class F, class G>
  auto fork_join(F&& f, G&& g);

  pool_ctx_t* native_handle() const noexcept { return ctx_; }

 private:
  pool_ctx_t* ctx_;
  detail::target where_;
};

namespace detail {

// Calls f(args...), or f(ctx, args...) if that is the way it can be called.
template <class F, class... Args>
decltype(auto) call_task(task_context& ctx, F&& f, Args&&... args) {
  if constexpr (std::is_invocable_v<F, Args...>) {
    return std::invoke(std::forward<F>(f), std::forward<Args>(args)...);
  } else {
    static_assert(std::is_invocable_v<F, task_context&, Args...>,
                  "a task is called as f(args...) or f(task_context&, args...)");
    return std::invoke(std::forward<F>(f), ctx, std::forward<Args>(args)...);
  }
}

template <class F, class... Args>
using call_result_t =
    decltype(call_task(std::declval<task_context&>(), std::declval<F>(), std::declval<Args>()...));

}  // namespace detail
}  // namespace workpool
#endif  // WORKPOOL_CONTEXT_HPP_
