// What the tests of policies share: policies from names and from lambdas, the lines of a log.
#pragma once

#include <catch2/catch.hpp>
#include <functional>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "growth_support.h"

namespace workpool_test {

inline pool_policy_t NewPolicy() {
  pool_policy_t policy;
  Must(pool_policy_init(&policy, sizeof(policy)), "policy_init");
  return policy;
}

inline pool_policy_t Named(const char* name, uint32_t flags = 0) {
  pool_policy_t policy = NewPolicy();
  policy.name = name;
  policy.flags = flags;
  return policy;
}

// A policy from a lambda. It has to outlive its place in the pool.
class OwnPolicy {
 public:
  explicit OwnPolicy(std::function<uint32_t(const pool_load_t&)> decide)
      : decide_(std::move(decide)) {}

  [[nodiscard]] pool_policy_t Policy(uint32_t flags = 0) {
    pool_policy_t policy = NewPolicy();
    policy.flags = flags;
    policy.decide = [](void* user, const pool_load_t* load, double) {
      auto* self = static_cast<OwnPolicy*>(user);
      ++self->calls;
      return self->decide_(*load);
    };
    policy.user = this;
    policy.tick_ns = kMs;
    policy.patience_ns = kMs;
    return policy;
  }
  std::atomic<uint64_t> calls{0};

 private:
  std::function<uint32_t(const pool_load_t&)> decide_;
};

// Lines of a pool's log.
class Log {
 public:
  void Attach(pool_options_t* options, int32_t level) {
    options->log_level = level;
    options->log_user = this;
    options->log_fn = [](void* user, int32_t, const char* line) {
      auto* self = static_cast<Log*>(user);
      const std::lock_guard<std::mutex> lock(self->mu_);
      self->lines_.emplace_back(line);
    };
  }
  [[nodiscard]] bool Has(const std::string& text) {
    const std::lock_guard<std::mutex> lock(mu_);
    for (const std::string& line : lines_) {
      if (line.find(text) != std::string::npos) return true;
    }
    return false;
  }

 private:
  std::mutex mu_;
  std::vector<std::string> lines_;
};

// So many tasks run at once, and no more.
inline void CheckRunsExactly(pool_t pool, uint32_t workers) {
  Gate gate;
  SubmitToGate(pool, gate, 3 * workers + 5);
  CHECK(gate.AwaitArrivals(workers));
  CHECK(HoldsThroughout([&] { return gate.arrivals() == workers; }));
  gate.Open();
  REQUIRE(WaitIdle(pool));
}

}  // namespace workpool_test
