// The options of a pool: checked, and completed with their defaults.
#pragma once

#include "base/api.h"
#include "worker/engine.h"

namespace workpool {

struct PoolOptions {
  EngineOptions engine;
  uint32_t prestart;
  int32_t on_full;
  int32_t on_rate;
  int64_t submit_timeout_ns;  // POOL_FOREVER, or > 0
  pool_log_fn log_fn;
  void* log_user;
  int32_t log_level;
  pool_options_t given;  // as they came, without the name; lanes, whose default depends on the strategy, completed
};

// OK, or INVALID with a text that names the field, its value, its limit and what to do.
[[nodiscard]] Status CheckOptions(const pool_options_t& in, PoolOptions* out);

// NULL, or UTF-8 of at most POOL_NAME_MAX bytes, which is copied to out (64 bytes).
[[nodiscard]] Status CheckName(const char* name, const char* field, const char* fallback, char* out);

// POOL_ON_FULL_DEFAULT becomes fallback.
[[nodiscard]] Status CheckOnFull(int32_t value, const char* field, int32_t fallback, int32_t* out);

// A timeout of the public interface: INVALID below -1.
[[nodiscard]] Status CheckTimeout(int64_t timeout_ns, const char* field);

}  // namespace workpool
