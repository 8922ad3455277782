// SPDX-License-Identifier: Apache-2.0
//
// What the binding throws, and how a status of the library becomes that.
#ifndef WORKPOOL_ERROR_HPP_
#define WORKPOOL_ERROR_HPP_

#include <workpool/workpool.h>

#include <cstdint>
#include <stdexcept>
#include <string>

namespace workpool {

// A refused call, or the fate of a task that never ran: code() is one of POOL_E_..., what() says
// which function refused which value and what to do.
class error : public std::runtime_error {
 public:
  error(std::int32_t code, const std::string& text) : std::runtime_error(text), code_(code) {}
  explicit error(std::int32_t code) : error(code, pool_strerror(code)) {}
  std::int32_t code() const noexcept { return code_; }

 private:
  std::int32_t code_;
};

// Thrown by a task to be run again, as retry_options say. Where there is no further attempt the
// task has failed with it.
class retry : public error {
 public:
  retry() : error(POOL_RETRY) {}
  explicit retry(const std::string& why) : error(POOL_RETRY, why) {}
};

namespace detail {

[[noreturn]] inline void throw_status(pool_status_t status) {
  std::int32_t code = 0;
  char text[320];
  if (pool_last_error(&code, text, sizeof text, nullptr) == POOL_OK && code == status) {
    throw error(status, text);
  }
  throw error(status);
}

inline void check(pool_status_t status) {
  if (status != POOL_OK) throw_status(status);
}

// True for OK, false for TIMEOUT.
inline bool check_in_time(pool_status_t status) {
  if (status == POOL_E_TIMEOUT) return false;
  check(status);
  return true;
}

}  // namespace detail
}  // namespace workpool
#endif  // WORKPOOL_ERROR_HPP_
