// SPDX-License-Identifier: Apache-2.0
//
// Tasks without options: their callable is called once, as an rvalue.
#ifndef WORKPOOL_DETAIL_PLAIN_TASK_HPP_
#define WORKPOOL_DETAIL_PLAIN_TASK_HPP_

#include <workpool/workpool.h>

#include <cstdint>
#include <exception>
#include <future>
#include <optional>
#include <tuple>
#include <type_traits>
#include <utility>
#include <workpool/context.hpp>
#include <workpool/detail/attempt.hpp>
#include <workpool/detail/box.hpp>
#include <workpool/detail/task_box.hpp>
#include <workpool/error.hpp>
#include <workpool/task_options.hpp>

namespace workpool {
namespace detail {

// A callable with its arguments, called once.
template <class F, class... Args>
class bound_call {
 public:
  using result = call_result_t<F, Args...>;

  template <class... Parts>
  explicit bound_call(std::in_place_t, Parts&&... parts) : parts_(std::forward<Parts>(parts)...) {}

  result operator()(task_context& ctx) {
    return std::apply(
        [&ctx](F& f, Args&... args) -> result {
          return call_task(ctx, std::move(f), std::move(args)...);
        },
        parts_);
  }

 private:
  std::tuple<F, Args...> parts_;
};

template <class F, class... Args>
using bound_t = bound_call<std::decay_t<F>, std::decay_t<Args>...>;

// A task whose result nobody takes. Its exceptions leave it, and the pool handles them.
template <class Call>
struct post_box final : box {
  template <class... Parts>
  explicit post_box(target t, Parts&&... parts)
      : box{&post_box::end_it}, where(t), call(std::in_place, std::forward<Parts>(parts)...) {}

  static std::int32_t run(void* arg, pool_ctx_t* ctx) {
    post_box* self = static_cast<post_box*>(static_cast<box*>(arg));
    task_context context(ctx, self->where);
    static_cast<void>(self->call(context));
    return POOL_OK;
  }
  static void end_it(box* b, std::int32_t) noexcept { delete static_cast<post_box*>(b); }

  target where;
  Call call;
};

// A task whose result goes to a future.
template <class Call>
struct promise_box final : task_box {
  using result = typename Call::result;

  template <class... Parts>
  explicit promise_box(target t, Parts&&... parts)
      : task_box(&promise_box::end_it, t),
        call(std::in_place, std::in_place, std::forward<Parts>(parts)...) {}

  static std::int32_t run(void* arg, pool_ctx_t* ctx) {
    promise_box* self = static_cast<promise_box*>(static_cast<box*>(arg));
    attempt made = self->tried_by({}, [self, ctx] { self->run_call(ctx); });
    if (!made.thrown) return POOL_OK;
    // The handler is left already, so that the last reference to the exception is the taker's.
    self->call.reset();
    self->fail(std::move(made.thrown));
    return made.code;
  }

  // Tells why a task that never ran, or did not come back, has ended.
  static void done(void* arg, const pool_result_t* r) {
    promise_box* self = static_cast<promise_box*>(static_cast<box*>(arg));
    if (r->code != POOL_OK) self->cause = r->code;
  }

  static void end_it(box* b, std::int32_t outcome) noexcept {
    promise_box* self = static_cast<promise_box*>(b);
    if (!self->settled) {
      // A plain task is cancelled only by the end of its pool.
      if (self->cause == POOL_OK) self->cause = cause_of(outcome, POOL_E_CLOSED);
      self->call.reset();
      // Without memory for the error, the promise's end leaves a broken_promise.
      static_cast<void>(caught([self, outcome] {
        self->fail(kept(std::make_exception_ptr(end_error(outcome, self->cause))));
      }));
    }
    delete self;
  }

  void run_call(pool_ctx_t* ctx) {
    task_context context(ctx, where);
    if constexpr (std::is_void_v<result>) {
      (*call)(context);
      call.reset();
      promise.set_value();
    } else {
      result value = (*call)(context);
      call.reset();
      promise.set_value(std::forward<result>(value));
    }
    settled = true;
  }

  void fail(std::exception_ptr thrown) {
    settled = true;
    promise.set_exception(std::move(thrown));
  }

  bool settled = false;          // the promise has its value or exception
  std::int32_t cause = POOL_OK;  // error code if the task never comes to a result, if known
  std::optional<Call> call;      // empty once called
  std::promise<result> promise;
};

// So that options are not taken for a callable.
template <class F>
using require_task = std::enable_if_t<!std::is_same_v<std::decay_t<F>, task_options>, int>;
template <class F, class... Args>
using bound_result_t = call_result_t<std::decay_t<F>, std::decay_t<Args>...>;

}  // namespace detail

template <class F, class... Args>
void task_context::post(F&& f, Args&&... args) {
  using box_t = detail::post_box<detail::bound_t<F, Args...>>;
  detail::box_owner owner(new box_t(where_, std::forward<F>(f), std::forward<Args>(args)...));
  if (!where_.calls_drop) return detail::submit_box(where_, &box_t::run, std::move(owner));
  detail::check(pool_ctx_submit(ctx_, &box_t::run, owner.get()));
  static_cast<void>(owner.release());
}

}  // namespace workpool
#endif  // WORKPOOL_DETAIL_PLAIN_TASK_HPP_
