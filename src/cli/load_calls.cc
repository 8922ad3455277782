#include "load_calls.h"

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <list>
#include <mutex>

#include "load_clock.h"

namespace workpool_cli {

// So many at once, the others in the order in which they came.
class LoadCalls::Gate {
 public:
  explicit Gate(uint32_t count) : free_(count) {}

  // False: neither before until_ns (0: no limit) nor before hurry.
  bool Enter(uint64_t until_ns, const std::atomic<bool>& hurry) {
    std::unique_lock<std::mutex> lock(mu_);
    if (free_ > 0) {
      --free_;
      return true;
    }
    Waiter self;
    const auto place = line_.insert(line_.end(), &self);
    while (!self.mine) {
      const uint64_t now_ns = NowNs();
      if (hurry || (until_ns != 0 && now_ns >= until_ns)) {
        line_.erase(place);
        return false;
      }
      constexpr uint64_t kSliceNs = 50'000'000;  // how soon hurry is seen
      const uint64_t for_ns = until_ns == 0 ? kSliceNs : std::min(kSliceNs, until_ns - now_ns);
      self.given.wait_for(lock, std::chrono::nanoseconds(for_ns));
    }
    return true;
  }

  void Leave() {
    const std::lock_guard<std::mutex> lock(mu_);
    if (line_.empty()) {
      ++free_;
      return;
    }
    Waiter* const next = line_.front();
    line_.pop_front();
    next->mine = true;
    next->given.notify_one();
  }

 private:
  struct Waiter {
    bool mine = false;
    std::condition_variable given;
  };

  std::mutex mu_;
  uint32_t free_;
  std::list<Waiter*> line_;
};

struct LoadCalls::Called {
  Called(const Downstream& d, uint32_t connections) : rules(d), gate(connections) {}

  const Downstream& rules;
  Gate gate;
  std::atomic<uint32_t> in_flight{0};
};

LoadCalls::LoadCalls(const Trace& trace, LoadClient* client, const std::atomic<bool>& hurry)
    : client_(client), hurry_(hurry) {
  for (const Downstream& d : trace.downstreams) called_.push_back(std::make_unique<Called>(d, d.connections));
}

LoadCalls::~LoadCalls() = default;

CallEnd LoadCalls::Call(int downstream, uint64_t blocked_ns) {
  if (downstream < 0) return Wait(blocked_ns);
  Called& called = *called_[static_cast<size_t>(downstream)];
  const Downstream& rules = called.rules;
  const uint64_t began_ns = NowNs();
  const uint64_t timeout_ns = static_cast<uint64_t>(rules.timeout_s * 1e9);
  if (rules.connections > 0 && !called.gate.Enter(timeout_ns == 0 ? 0 : began_ns + timeout_ns, hurry_)) {
    return hurry_ ? CallEnd::kCut : CallEnd::kFailed;
  }
  const uint32_t in_flight = ++called.in_flight;
  const uint64_t now_ns = NowNs();
  bool fails = false;
  const double t_s = static_cast<double>(now_ns - start_ns_) / 1e9;
  uint64_t for_ns =
      static_cast<uint64_t>(rules.CallS(static_cast<double>(blocked_ns) / 1e9, t_s, in_flight, &fails) * 1e9);
  // The wait for a connection counts, too.
  if (timeout_ns != 0 && for_ns + (now_ns - began_ns) > timeout_ns) {
    for_ns = timeout_ns - std::min(timeout_ns, now_ns - began_ns);
    fails = true;
  }
  const CallEnd end = Wait(for_ns);
  --called.in_flight;
  if (rules.connections > 0) called.gate.Leave();
  return end == CallEnd::kOk && fails ? CallEnd::kFailed : end;
}

CallEnd LoadCalls::Wait(uint64_t for_ns) {
  if (for_ns == 0) return CallEnd::kOk;
  if (client_ == nullptr) return SleepUntil(NowNs() + for_ns, hurry_) ? CallEnd::kOk : CallEnd::kCut;
  const bool ok = client_->Call(for_ns);
  if (hurry_) return CallEnd::kCut;
  return ok ? CallEnd::kOk : CallEnd::kFailed;
}

}  // namespace workpool_cli
