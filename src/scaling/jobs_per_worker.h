// JobsPerWorker: when more than so many tasks wait for each worker, twice as many workers. Fewer is left to idle expiry.
// Threads: one at a time.
#pragma once

#include "scaling/decider.h"

namespace workpool {

struct JobsPerWorkerOptions {
  double threshold = 50;  // tasks that wait, for each worker
  double factor = 2;      // so many times the workers then
};

class JobsPerWorker final : public Decider {
 public:
  explicit JobsPerWorker(const JobsPerWorkerOptions& options = {}) : options_(options) {}

  [[nodiscard]] Decision Decide(const LoadSample& sample) override;

 private:
  const JobsPerWorkerOptions options_;
};

}  // namespace workpool
