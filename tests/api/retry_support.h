// What the tests of tasks that are tried again share.
#pragma once

#include <functional>

#include "time_support.h"

namespace workpool_test {

inline pool_class_options_t ClassOptions() {
  pool_class_options_t options;
  pool_class_options_init(&options, sizeof(options));
  return options;
}

// Fails with code until its attempt-th run.
inline std::function<int32_t(pool_ctx_t*)> SucceedsIn(uint32_t attempt, int32_t code = POOL_RETRY) {
  return [=](pool_ctx_t* ctx) { return pool_ctx_attempt(ctx) < attempt ? code : 0; };
}

}  // namespace workpool_test
