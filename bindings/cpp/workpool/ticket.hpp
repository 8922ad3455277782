// SPDX-License-Identifier: Apache-2.0
//
// ticket<R>: a hold on one submitted task; and waiting for several.
#ifndef WORKPOOL_TICKET_HPP_
#define WORKPOOL_TICKET_HPP_

#include <workpool/workpool.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <future>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>
#include <workpool/detail/attempt.hpp>
#include <workpool/error.hpp>
#include <workpool/result.hpp>
#include <workpool/time.hpp>

namespace workpool {

// One submitted task, to wait for (safe in tasks), time or cancel. Destroying it lets the task go
// on. With a stop token: std::stop_callback stop(token, [&] { t.cancel(); });
template <class R>
class ticket {
 public:
  ticket() noexcept = default;
  ticket(ticket&& other) noexcept
      : handle_(std::exchange(other.handle_, 0)),
        future_(std::move(other.future_)),
        text_(std::move(other.text_)) {}
  ticket& operator=(ticket&& other) noexcept {
    ticket(std::move(other)).swap(*this);
    return *this;
  }
  ~ticket() {
    if (handle_ != 0) pool_ticket_release(handle_);
  }
  void swap(ticket& other) noexcept {
    std::swap(handle_, other.handle_);
    std::swap(future_, other.future_);
    std::swap(text_, other.text_);
  }

  // Waits and returns the task's value or throws its exception; error CANCELLED, CLOSED, EXPIRED or
  // FULL (shed) if it never ran or was stopped between attempts, THREADEXIT if it ended its thread.
  // Once only. In a task of the pool, a task that has not started is run on the spot. Throws error
  // DEADLOCK in the task itself.
  R get() {
    wait();
    return future_.get();
  }
  void wait() const { detail::check(pool_wait(handle_, 0, POOL_FOREVER, nullptr, 0)); }
  // False if the timeout came first.
  bool wait_for(std::chrono::nanoseconds timeout) const {
    return detail::check_in_time(pool_wait(handle_, 0, timeout.count(), nullptr, 0));
  }
  // Waits; outcome, code, attempts, worker, times, text.
  workpool::result result() const {
    workpool::result r;
    detail::check(pool_wait(handle_, 0, POOL_FOREVER, &r, sizeof(pool_result_t)));
    if (text_) detail::add_text(r, *text_);
    return r;
  }
  // True: the task will not run (again), its callable is destroyed. False: it runs (is asked to
  // stop, and gets no further attempt) or is over.
  bool cancel() {
    const pool_status_t status = pool_cancel(handle_);
    if (status == POOL_E_ALREADY) return false;
    detail::check(status);
    return true;
  }

  bool valid() const noexcept { return handle_ != 0; }
  pool_ticket_t native_handle() const noexcept { return handle_; }

 private:
  friend class pool;
  ticket(pool_ticket_t handle, std::future<R> future,
         std::shared_ptr<const std::string> text) noexcept
      : handle_(handle), future_(std::move(future)), text_(std::move(text)) {}

  pool_ticket_t handle_ = 0;
  std::future<R> future_;
  std::shared_ptr<const std::string> text_;  // of a task with options; written until it has ended
};

namespace detail {

template <class Range>
std::vector<pool_ticket_t> handles_of(const Range& tickets) {
  std::vector<pool_ticket_t> handles;
  for (const auto& t : tickets) handles.push_back(t.native_handle());
  return handles;
}

}  // namespace detail

// Waits until every task of a range of tickets has ended. False if the timeout came first.
template <class Range>
bool wait_all(const Range& tickets, std::chrono::nanoseconds timeout = forever) {
  const std::vector<pool_ticket_t> all = detail::handles_of(tickets);
  if (all.empty()) return true;
  return detail::check_in_time(pool_wait_many(all.data(), static_cast<std::uint32_t>(all.size()), 1,
                                              timeout.count(), nullptr));
}
// Waits until one of them has ended, and tells which, by its place. Nothing if the timeout came
// first.
template <class Range>
std::optional<std::size_t> wait_any(const Range& tickets,
                                    std::chrono::nanoseconds timeout = forever) {
  const std::vector<pool_ticket_t> all = detail::handles_of(tickets);
  std::uint32_t index = 0;
  const bool in_time = detail::check_in_time(pool_wait_many(
      all.data(), static_cast<std::uint32_t>(all.size()), 0, timeout.count(), &index));
  return in_time ? std::optional<std::size_t>(index) : std::nullopt;
}

}  // namespace workpool
#endif  // WORKPOOL_TICKET_HPP_
