// SPDX-License-Identifier: Apache-2.0
//
// cancel_token: stops many tasks at once.
#ifndef WORKPOOL_TOKEN_HPP_
#define WORKPOOL_TOKEN_HPP_

#include <workpool/workpool.h>

#include <cstdint>
#include <utility>
#include <workpool/error.hpp>

namespace workpool {

// Asks many tasks to stop: those under it (task_options::token) and under its children. Tasks of
// any pools; move-only. Destroying it cancels nothing. With a stop token of the standard library:
// std::stop_callback stop(token, [&] { tasks.cancel(); });
class cancel_token {
 public:
  cancel_token() : cancel_token(pool_token_t{0}) {}
  cancel_token(cancel_token&& other) noexcept : handle_(std::exchange(other.handle_, 0)) {}
  cancel_token& operator=(cancel_token&& other) noexcept {
    cancel_token(std::move(other)).swap(*this);
    return *this;
  }
  ~cancel_token() {
    if (handle_ != 0) pool_token_release(handle_);
  }
  void swap(cancel_token& other) noexcept { std::swap(handle_, other.handle_); }

  // One that is cancelled with this one, and may be cancelled alone.
  cancel_token child() const {
    if (handle_ == 0) throw error(POOL_E_INVALID, "cancel_token::child: it was moved from");
    return under(handle_);
  }
  // The same for a token that somebody else owns, say task_context::token().
  static cancel_token under(pool_token_t parent) { return cancel_token(parent); }

  // Tasks that wait are cancelled, those that run are asked to stop, new ones are refused with
  // error CANCELLED. reason is the code of those cancelled: 0 for POOL_E_CANCELLED, or one of your
  // own, at most -1000. The first one stays.
  void cancel(std::int32_t reason = 0) { detail::check(pool_token_cancel(handle_, reason)); }
  // 0: it is not cancelled.
  std::int32_t reason() const {
    const std::int32_t reason = pool_token_reason(handle_);
    if (reason < 0 && reason > -1000 && reason != POOL_E_CANCELLED) detail::throw_status(reason);
    return reason;
  }
  bool cancelled() const { return reason() != 0; }

  pool_token_t native_handle() const noexcept { return handle_; }

 private:
  explicit cancel_token(pool_token_t parent) { detail::check(pool_token_create(parent, &handle_)); }

  pool_token_t handle_ = 0;
};

}  // namespace workpool
#endif  // WORKPOOL_TOKEN_HPP_
