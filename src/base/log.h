// Log lines of one pool. Silent unless the user gave a callback; an own spdlog logger for each pool,
// never spdlog's registry, so that a host program's spdlog and ours do not meet.
#pragma once

#include "base/api.h"

namespace workpool {

class Log {
 public:
  Log() = default;
  ~Log();
  Log(const Log&) = delete;
  Log& operator=(const Log&) = delete;

  // Before the first Write. fn == nullptr: stays silent. Returns NOMEM if the logger cannot be made.
  [[nodiscard]] Status Open(const char* name, pool_log_fn fn, void* user, int32_t level);

  // False: every Write is silent.
  [[nodiscard]] bool on() const { return level_ != POOL_LOG_OFF; }

  // Any thread, without a lock held: it calls the user.
  [[gnu::format(printf, 3, 4)]] void Write(int32_t level, const char* format, ...);

 private:
  struct Sink;
  Sink* sink_ = nullptr;
  int32_t level_ = POOL_LOG_OFF;
};

}  // namespace workpool
