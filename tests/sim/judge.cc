#include "judge.h"

#include <algorithm>
#include <memory>
#include <stdexcept>

#include "base/error.h"
#include "base/memory.h"

namespace workpool::sim {
namespace {

// A policy whose every decision is written down.
class LoggedSteering final : public Steering {
 public:
  LoggedSteering(Policy& policy, std::FILE* log) : policy_(policy), log_(log) {
    std::fprintf(log_,
                 "t_s,target,next_target,reason,queued,head_age_ms,live,busy,hung,runnable,service_ms,ended,failed\n");
  }
  Decision Decide(const LoadSample& s) override {
    const Decision decision = policy_.Decide(s);
    const double t_s = static_cast<double>(s.now_ns - kStartNs) * 1e-9;
    std::fprintf(log_, "%.4f,%u,%u,%s,%llu,%.2f,%u,%u,%u,%.2f,%.3f,%llu,%llu\n", t_s, s.target, decision.workers,
                 ReasonName(decision.reason), static_cast<unsigned long long>(s.queued), s.head_age_s() * 1e3, s.live,
                 s.busy(), s.hung, s.runnable, s.service_s * 1e3, static_cast<unsigned long long>(s.ended),
                 static_cast<unsigned long long>(s.failed));
    return decision;
  }
  bool keeps() const override { return policy_.keeps(); }
  uint64_t tick_ns() const override { return policy_.tick_ns(); }
  uint64_t patience_ns() const override { return policy_.patience_ns(); }
  uint64_t keep_alive_ns() const override { return policy_.keep_alive_ns(); }

 private:
  PolicySteering policy_;
  std::FILE* const log_;
};

}  // namespace

bool Case::shared_bottleneck() const {
  return std::any_of(trace.downstreams.begin(), trace.downstreams.end(),
                     [](const workpool_cli::Downstream& d) { return d.knee > 0 || d.connections > 0; }) ||
         !trace.mutexes.empty();
}

Result RunPolicy(const Case& c, const std::string& spec, const Options& options, std::FILE* log) {
  Policy* parsed = nullptr;
  const Status status = Policy::Parse(spec.c_str(), &parsed);
  if (status != POOL_OK) {
    (void)FinishFailure("policy", status);
    char text[1024];
    int32_t code = 0;
    (void)FormatLastError(text, sizeof text, &code);
    throw std::invalid_argument(text);
  }
  const std::unique_ptr<Policy, void (*)(Policy*)> policy(parsed, Delete<Policy>);
  if (log != nullptr) {
    LoggedSteering steering(*policy, log);
    return Simulation(c.trace, c.arrivals, steering, options).Run();
  }
  PolicySteering steering(*policy);
  return Simulation(c.trace, c.arrivals, steering, options).Run();
}

Result RunFixed(const Case& c, uint32_t n, const Options& options) {
  return RunTable(c, {n}, static_cast<uint64_t>(c.trace.duration_s * 1e9) + 1, options);
}

Result RunTable(const Case& c, const std::vector<uint32_t>& targets, uint64_t segment_ns, const Options& options) {
  TableSteering steering(targets, kStartNs, segment_ns);
  return Simulation(c.trace, c.arrivals, steering, options).Run();
}

}  // namespace workpool::sim
