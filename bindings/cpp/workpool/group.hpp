// SPDX-License-Identifier: Apache-2.0
//
// group: tasks that end together.
#ifndef WORKPOOL_GROUP_HPP_
#define WORKPOOL_GROUP_HPP_

#include <workpool/workpool.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <exception>
#include <memory>
#include <mutex>
#include <utility>
#include <workpool/context.hpp>
#include <workpool/detail/attempt.hpp>
#include <workpool/detail/box.hpp>
#include <workpool/detail/plain_task.hpp>
#include <workpool/detail/ruled_task.hpp>
#include <workpool/detail/task_box.hpp>
#include <workpool/error.hpp>
#include <workpool/pool.hpp>
#include <workpool/task_options.hpp>
#include <workpool/time.hpp>

namespace workpool {

// A set of tasks of one pool that is waited for as one. Members may add members. It nests: a task
// may make its own group and wait for it. The destructor waits for the members, whose captured
// references would dangle otherwise; when it runs because of an exception, it cancels those that
// have not started first. It must not be destroyed by its own members.
class group {
 public:
  explicit group(pool& p)
      : where_(p.where_),
        unwinding_(std::uncaught_exceptions()),
        state_(std::make_unique<state>()) {
    detail::check(pool_group_create(where_.handle, nullptr, &handle_));
  }
  group(const group&) = delete;
  group& operator=(const group&) = delete;
  ~group() {
    if (std::uncaught_exceptions() > unwinding_) static_cast<void>(pool_group_cancel(handle_));
    // A refused wait (in a forked child, or in a member) leaves state_ to the members, for ever.
    if (pool_group_wait(handle_, POOL_FOREVER, nullptr) != POOL_OK)
      static_cast<void>(state_.release());
    static_cast<void>(pool_group_release(handle_));
  }

  // Adds the task f(args...). Throws as pool::submit, and error CANCELLED after cancel().
  template <class F, class... Args, detail::require_task<F> = 0>
  void run(F&& f, Args&&... args) {
    using box_t = member_box<detail::bound_t<F, Args...>>;
    detail::box_owner owner(
        new box_t(*state_, where_, std::forward<F>(f), std::forward<Args>(args)...));
    if (!where_.calls_drop) {
      detail::submit_box(where_, task_options{}, &box_t::run, nullptr, std::move(owner), handle_);
      return;
    }
    detail::check(pool_group_submit(handle_, &box_t::run, owner.get()));
    static_cast<void>(owner.release());
  }
  // The same by rules; it counts against the queue limit.
  template <class F, class... Args>
  void run(const task_options& o, F&& f, Args&&... args) {
    using box_t = kept_member_box<detail::kept_t<F, Args...>>;
    detail::submit_box(where_, o, &box_t::run, &box_t::done,
                       detail::box_owner(new box_t(*state_, where_, o, std::forward<F>(f),
                                                   std::forward<Args>(args)...)),
                       handle_);
  }

  // Waits for all members, then rethrows the first exception that one of them threw, of several
  // attempts the last one's. Throws error CANCELLED, CLOSED, EXPIRED or FULL (shed) if a member
  // never ran, DEADLOCK in a member. Returns normally only if all of them ran well.
  void wait() { static_cast<void>(wait_for(forever)); }
  // As wait; false if the timeout came first.
  bool wait_for(std::chrono::nanoseconds timeout) {
    if (!detail::check_in_time(pool_group_wait(handle_, timeout.count(), nullptr))) return false;
    if (std::exception_ptr thrown = state_->take()) std::rethrow_exception(std::move(thrown));
    if (const std::int32_t code = state_->cause.exchange(POOL_OK)) throw error(code);
    return true;
  }

  // Cancels members that have not started, asks the others to stop, refuses new ones.
  void cancel() {
    state_->cancelled = true;
    detail::check(pool_group_cancel(handle_));
  }

  pool_group_t native_handle() const noexcept { return handle_; }

 private:
  // What members leave behind. Outlives them: wait returns after their drop.
  struct state {
    void keep(std::exception_ptr thrown) {
      const std::lock_guard<std::mutex> lock(mu);
      if (!first) first = std::move(thrown);
    }
    std::exception_ptr take() {
      const std::lock_guard<std::mutex> lock(mu);
      return std::exchange(first, nullptr);
    }

    std::mutex mu;
    std::exception_ptr first;                  // guarded by mu
    std::atomic<std::int32_t> cause{POOL_OK};  // of a member that neither ended well nor threw
    std::atomic<bool> cancelled{false};        // by cancel()
  };

  template <class Call>
  struct member_box final : detail::task_box {
    template <class... Parts>
    member_box(state& s, detail::target t, Parts&&... parts)
        : task_box(&member_box::end_it, t),
          owner(s),
          call(std::in_place, std::forward<Parts>(parts)...) {}

    static std::int32_t run(void* arg, pool_ctx_t* ctx) {
      member_box* self = static_cast<member_box*>(static_cast<detail::box*>(arg));
      detail::attempt made = self->tried_by({}, [self, ctx] {
        task_context context(ctx, self->where);
        static_cast<void>(self->call(context));
      });
      self->returned = true;
      if (made.thrown) self->owner.keep(std::move(made.thrown));
      return made.code;
    }
    static void end_it(detail::box* b, std::int32_t outcome) noexcept {
      member_box* self = static_cast<member_box*>(b);
      if (!self->returned && outcome != detail::kNotAccepted) {
        // Besides cancel(), only the end of the pool cancels a member without options.
        const std::int32_t if_cancelled = self->owner.cancelled ? POOL_E_CANCELLED : POOL_E_CLOSED;
        self->owner.cause = detail::cause_of(outcome, if_cancelled);
      }
      delete self;
    }

    state& owner;
    bool returned = false;  // or threw
    Call call;
  };

  template <class Call>
  struct kept_member_box final : detail::rules_box {
    template <class... Parts>
    kept_member_box(state& s, detail::target t, const task_options& o, Parts&&... parts)
        : rules_box(&kept_member_box::end_it, t, o),
          owner(s),
          call(std::in_place, std::forward<Parts>(parts)...) {}

    static std::int32_t run(void* arg, pool_ctx_t* ctx) {
      kept_member_box* self = static_cast<kept_member_box*>(static_cast<detail::box*>(arg));
      return self->attempt_kept([self, ctx] {
        task_context context(ctx, self->where);
        static_cast<void>(self->call(context));
      });
    }
    static void end_it(detail::box* b, std::int32_t outcome) noexcept {
      kept_member_box* self = static_cast<kept_member_box*>(b);
      if (outcome == POOL_FAILED && self->thrown) {
        self->owner.keep(std::move(self->thrown));
      } else if (outcome != POOL_DONE && outcome != detail::kNotAccepted) {
        self->owner.cause = self->cause_for(outcome);
      }
      delete self;
    }

    state& owner;
    Call call;
  };

  detail::target where_;
  int unwinding_;
  std::unique_ptr<state> state_;
  pool_group_t handle_ = 0;
};

}  // namespace workpool
#endif  // WORKPOOL_GROUP_HPP_
