// LiveOptions: what a pool was made with, and what of it was set anew since, by name (option_table.h).
// Threads: all, any thread.
#pragma once

#include "base/api.h"
#include "base/mutex.h"

namespace workpool {

struct Engine;
struct OptionRow;

class LiveOptions {
 public:
  explicit LiveOptions(const pool_options_t& given) : now_(given) {}

  // Changes the pool that runs, at once. NOTFOUND, INVALID (a value out of its range, or an option that is fixed at
  // create), THREAD and NOMEM (aging, whose thread could not be started; bounds, NOMEM: no scaler); then nothing has changed.
  [[nodiscard]] Status Set(Engine& engine, const char* name, const char* value);
  // The value as text, in out, which has room for kOptionTextMax. NOTFOUND.
  [[nodiscard]] Status Get(const char* name, char* out);

 private:
  [[nodiscard]] Status Change(Engine& engine, const OptionRow& row, const char* value);

  Mutex mu_;
  pool_options_t now_ ABSL_GUARDED_BY(mu_);
};

}  // namespace workpool
