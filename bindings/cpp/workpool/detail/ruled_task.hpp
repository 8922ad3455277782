// SPDX-License-Identifier: Apache-2.0
//
// Tasks with options: their callable is called as often as need be, as an lvalue.
#ifndef WORKPOOL_DETAIL_RULED_TASK_HPP_
#define WORKPOOL_DETAIL_RULED_TASK_HPP_

#include <workpool/workpool.h>

#include <cstdint>
#include <exception>
#include <functional>
#include <future>
#include <memory>
#include <optional>
#include <string>
#include <tuple>
#include <type_traits>
#include <utility>
#include <variant>
#include <workpool/completions.hpp>
#include <workpool/context.hpp>
#include <workpool/detail/attempt.hpp>
#include <workpool/detail/box.hpp>
#include <workpool/detail/task_box.hpp>
#include <workpool/error.hpp>
#include <workpool/task_options.hpp>
#include <workpool/token.hpp>

namespace workpool {
namespace detail {

// A callable with its arguments, called as often as need be.
template <class F, class... Args>
class kept_call {
 public:
  using result = call_result_t<F&, Args&...>;

  template <class... Parts>
  explicit kept_call(std::in_place_t, Parts&&... parts) : parts_(std::forward<Parts>(parts)...) {}

  result operator()(task_context& ctx) {
    return std::apply([&ctx](F& f, Args&... args) -> result { return call_task(ctx, f, args...); },
                      parts_);
  }

 private:
  std::tuple<F, Args...> parts_;
};

template <class F, class... Args>
using kept_t = kept_call<std::decay_t<F>, std::decay_t<Args>...>;

// What all boxes of tasks with options have.
struct rules_box : task_box {
  rules_box(void (*e)(box*, std::int32_t) noexcept, target t, const task_options& o)
      : task_box(e, t), name(t.letters != nullptr ? o.name : std::string()), retry_if(o.retry_if) {}

  static rules_box& of(void* arg) { return *static_cast<rules_box*>(static_cast<box*>(arg)); }
  static void done(void* arg, const pool_result_t* r) { of(arg).cause = r->code; }
  static std::int32_t may_retry(void* arg, std::int32_t code, std::uint32_t attempt_number) {
    bool wanted = false;
    const rules_box& self = of(arg);
    static_cast<void>(caught([&] {
      wanted = self.retry_if(failed_attempt{code, attempt_number, self.thrown});
    }));
    return wanted ? 1 : 0;
  }

  // One attempt of a task whose exception has a taker. It is kept for him, and also passes on to
  // the pool, which keeps its text; not where the pool would terminate, and not if it stands for a
  // code: then a ticket has the text.
  template <class F>
  std::int32_t attempt_kept(F&& f) {
    thrown = nullptr;
    if (text) text->clear();
    attempt made = tried_by(name, std::forward<F>(f));
    thrown = std::move(made.thrown);
    if (made.code == POOL_E_EXCEPTION && !where.terminates) std::rethrow_exception(thrown);
    if (text) static_cast<void>(caught([this] { *text = what_of(thrown); }));
    return made.code;
  }

  // The cause of an outcome that is none of the last attempt's.
  std::int32_t cause_for(std::int32_t outcome) const {
    return cause != POOL_OK ? cause : cause_of(outcome, POOL_E_CANCELLED);
  }

  std::string name;  // empty if nobody is told of it
  std::function<bool(const failed_attempt&)> retry_if;
  std::shared_ptr<std::string> text;  // of the last attempt, for a ticket
  std::exception_ptr thrown;          // by the last attempt
  std::int32_t cause = POOL_OK;  // code of the end, once known; a detached queue's tasks never know
};

// A task with options whose result nobody takes.
template <class Call>
struct kept_post_box final : rules_box {
  template <class... Parts>
  kept_post_box(target t, const task_options& o, Parts&&... parts)
      : rules_box(&kept_post_box::end_it, t, o),
        call(std::in_place, std::forward<Parts>(parts)...) {}

  static std::int32_t run(void* arg, pool_ctx_t* ctx) {
    kept_post_box* self = static_cast<kept_post_box*>(static_cast<box*>(arg));
    task_context context(ctx, self->where);
    if (!self->where.terminates) {
      return self->attempt_kept([&] { static_cast<void>(self->call(context)); });
    }
    // Other exceptions find no handler here, and the pool terminates where they were thrown.
    try {
      static_cast<void>(self->call(context));
      return POOL_OK;
    } catch (const error& e) {
      if (task_code(e.code()) == POOL_E_EXCEPTION) throw;
      self->note(self->name, kept(std::current_exception()));
      return e.code();
    }
  }
  static void end_it(box* b, std::int32_t) noexcept { delete static_cast<kept_post_box*>(b); }

  Call call;
};

// A task with options whose result goes to a future.
template <class Call>
struct kept_promise_box final : rules_box {
  using result = typename Call::result;
  using value_t = std::conditional_t<
      std::is_void_v<result>, std::monostate,
      std::conditional_t<std::is_reference_v<result>, std::remove_reference_t<result>*, result>>;

  template <class... Parts>
  kept_promise_box(target t, const task_options& o, Parts&&... parts)
      : rules_box(&kept_promise_box::end_it, t, o),
        call(std::in_place, std::in_place, std::forward<Parts>(parts)...) {}

  static std::int32_t run(void* arg, pool_ctx_t* ctx) {
    kept_promise_box* self = static_cast<kept_promise_box*>(static_cast<box*>(arg));
    self->value.reset();
    return self->attempt_kept([self, ctx] {
      task_context context(ctx, self->where);
      if constexpr (std::is_void_v<result>) {
        (*self->call)(context);
        self->value.emplace();
      } else if constexpr (std::is_reference_v<result>) {
        self->value.emplace(std::addressof((*self->call)(context)));
      } else {
        self->value.emplace((*self->call)(context));
      }
    });
  }

  static void end_it(box* b, std::int32_t outcome) noexcept {
    const std::unique_ptr<kept_promise_box> self(static_cast<kept_promise_box*>(b));
    self->call.reset();
    // Without memory for the error, the promise's end leaves a broken_promise.
    static_cast<void>(caught([&] { self->settle(outcome); }));
  }

  void settle(std::int32_t outcome) {
    if (outcome == POOL_DONE && value) {
      thrown = caught([this] { give_value(); });
      if (!thrown) return;
    } else if (outcome != POOL_FAILED || !thrown) {
      thrown = kept(std::make_exception_ptr(end_error(outcome, cause_for(outcome))));
    }
    promise.set_exception(std::move(thrown));
  }

  void give_value() {
    if constexpr (std::is_void_v<result>) {
      promise.set_value();
    } else if constexpr (std::is_reference_v<result>) {
      promise.set_value(**value);
    } else {
      promise.set_value(*std::move(value));
    }
  }

  std::optional<Call> call;      // empty once it has ended
  std::optional<value_t> value;  // of the last attempt
  std::promise<result> promise;
};

// The handle of what an option points to. One that was moved from has none, and must not pass for
// an option that was not given.
template <class T>
auto handle_of(const T* given, const char* option) -> decltype(given->native_handle()) {
  if (given == nullptr) return 0;
  if (given->native_handle() != 0) return given->native_handle();
  throw error(POOL_E_INVALID, std::string("task_options.") + option +
                                  " was moved from; name the object that has it now");
}

// The C form of o; it points into o. What runs it is still to be set.
inline pool_task_t task_of(const task_options& o) {
  pool_task_t task;
  check(pool_task_init(&task, sizeof task));
  task.drop = drop_box;
  task.on_full = static_cast<std::int32_t>(o.when_full);
  task.submit_timeout_ns = o.submit_timeout.count();
  task.name = o.name.empty() ? nullptr : o.name.c_str();
  task.token = handle_of(o.token, "token");
  task.cq = handle_of(o.completions, "completions");
  task.key = o.key;
  task.priority = o.priority;
  task.class_id = o.class_id;
  task.cost_bytes = o.cost_bytes;
  task.deadline_ns = o.deadline.to_ns(pool_now_ns());
  task.queue_timeout_ns = o.queue_timeout.count();
  task.run_timeout_ns = o.run_timeout.count();
  task.delay_ns = o.delay.count();
  task.period_ns = o.period.count();
  task.period_mode = static_cast<std::int32_t>(o.period_by);
  task.on_rate = static_cast<std::int32_t>(o.when_rate);
  task.retries_max = o.retry.max;
  task.backoff_factor_percent = o.retry.factor_percent;
  task.backoff_first_ns = o.retry.first_delay.count();
  task.backoff_max_ns = o.retry.max_delay.count();
  task.backoff_jitter = static_cast<std::int32_t>(o.retry.spread);
  task.retry_on = static_cast<std::int32_t>(o.retry.when);
  if (o.retry_if) task.retry_if = &rules_box::may_retry;
  return task;
}

// Submits one box with options. done: somebody asks for the cause of its end.
inline void submit_box(target where, const task_options& o, pool_run_fn run, pool_done_fn done,
                       box_owner owner, pool_group_t group = 0, pool_ticket_t* ticket = nullptr) {
  pool_task_t task = task_of(o);
  task.run = run;
  task.done = done;
  task.arg = owner.get();
  task.group = group;
  check(pool_submit_task(where.handle, &task, ticket));
  static_cast<void>(owner.release());
}

template <class F, class... Args>
using kept_result_t = call_result_t<std::decay_t<F>&, std::decay_t<Args>&...>;

}  // namespace detail
}  // namespace workpool
#endif  // WORKPOOL_DETAIL_RULED_TASK_HPP_
