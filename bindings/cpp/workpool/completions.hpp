// SPDX-License-Identifier: Apache-2.0
//
// completion_queue: a reader's end of many tasks.
#ifndef WORKPOOL_COMPLETIONS_HPP_
#define WORKPOOL_COMPLETIONS_HPP_

#include <workpool/workpool.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <utility>
#include <workpool/error.hpp>

namespace workpool {

// The end of one task: the fields of pool_completion_t (outcome, code, attempts, ticket, value),
// with its times as durations. ticket is what ticket<R>::native_handle() says; 0 for posts, futures
// and groups. arg is the binding's own.
struct completion : pool_completion_t {
  std::chrono::nanoseconds wait_time() const noexcept { return std::chrono::nanoseconds(wait_ns); }
  std::chrono::nanoseconds run_time() const noexcept { return std::chrono::nanoseconds(run_ns); }
};

// The ends of at most capacity tasks at a time (task_options::completions), of any pools, for one
// reader. A submit that finds no place is refused with error FULL, so that no completion is ever
// lost. Move-only. Destroying it lets the tasks go on.
class completion_queue {
 public:
  explicit completion_queue(std::uint32_t capacity) {
    detail::check(pool_cq_create(capacity, &handle_));
  }
  completion_queue(completion_queue&& other) noexcept : handle_(std::exchange(other.handle_, 0)) {}
  completion_queue& operator=(completion_queue&& other) noexcept {
    completion_queue(std::move(other)).swap(*this);
    return *this;
  }
  ~completion_queue() {
    if (handle_ != 0) pool_cq_release(handle_);
  }
  void swap(completion_queue& other) noexcept { std::swap(handle_, other.handle_); }

  // Readable while completions wait, for epoll and its like; neither to be read nor closed.
  int fd() const {
    const std::int32_t fd = pool_cq_fd(handle_);
    if (fd < 0) detail::throw_status(fd);
    return fd;
  }

  // Takes the oldest completions, at most as many as fit, and tells how many. Waits for the first;
  // 0 if the timeout came before it. Throws error CLOSED once it is detached.
  std::size_t poll(completion* out, std::size_t most, std::chrono::nanoseconds timeout = {}) const {
    static_assert(sizeof(completion) == sizeof(pool_completion_t),
                  "an array of one is one of both");
    const std::uint32_t cap = most < UINT32_MAX ? static_cast<std::uint32_t>(most) : UINT32_MAX;
    std::uint32_t n = 0;
    detail::check_in_time(pool_cq_poll(handle_, out, sizeof *out, cap, timeout.count(), &n));
    return n;
  }
  // Into an array, a span or a vector, whose size says how many fit.
  template <class Buffer>
  auto poll(Buffer&& buffer, std::chrono::nanoseconds timeout = {}) const
      -> decltype(static_cast<void>(std::data(buffer)), std::size_t{}) {
    return poll(std::data(buffer), std::size(buffer), timeout);
  }

  // Gives up what is to come: completions are thrown away, submits that name it are refused. The
  // tasks go on.
  void detach() { detail::check(pool_cq_detach(handle_)); }

  pool_cq_t native_handle() const noexcept { return handle_; }

 private:
  pool_cq_t handle_ = 0;
};

}  // namespace workpool
#endif  // WORKPOOL_COMPLETIONS_HPP_
