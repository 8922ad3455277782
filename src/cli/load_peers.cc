#include "load_peers.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <list>
#include <stdexcept>
#include <vector>

#include "load_clock.h"
#include "load_time.h"
#include "peer_pool.h"

namespace workpool_cli {
namespace {

class ThreadsPerTask : public PeerPool {
 public:
  explicit ThreadsPerTask(std::string name) : PeerPool(std::move(name)) {}
  ~ThreadsPerTask() override { Close(); }

 protected:
  bool SubmitLocked(LoadTask& task) override { return StartLocked(&task); }
  void WorkLocked(Lock& lock, LoadTask* first) override { RunLocked(lock, *first); }
  void WakeAllLocked() override {}
};

class FixedPool : public PeerPool {
 public:
  FixedPool(std::string name, uint32_t count) : PeerPool(std::move(name)) {
    Lock lock(mu_);
    while (live_ < count && StartLocked(nullptr)) {
    }
    if (live_ == count) return;
    lock.unlock();
    Close();
    throw std::runtime_error("the system refused to start " + std::to_string(count) + " threads");
  }
  ~FixedPool() override { Close(); }

 protected:
  bool SubmitLocked(LoadTask& task) override {
    if (queue_.size() >= kQueueMax) return false;
    queue_.push_back(&task);
    not_empty_.notify_one();
    return true;
  }
  void WorkLocked(Lock& lock, LoadTask*) override {
    for (;;) {
      not_empty_.wait(lock, [&] { return closing_ || !queue_.empty(); });
      if (queue_.empty()) return;
      LoadTask* const task = queue_.front();
      queue_.pop_front();
      RunLocked(lock, *task);
    }
  }
  void WakeAllLocked() override { not_empty_.notify_all(); }

 private:
  std::condition_variable not_empty_;
};

// queue_ is the line of submits that wait for a worker.
class Ants : public PeerPool {
 public:
  Ants(std::string name, uint32_t cap, double idle_s)
      : PeerPool(std::move(name)), cap_(cap), idle_ns_(static_cast<uint64_t>(idle_s * 1e9)) {
    TickEvery(idle_s, [this] { PurgeLocked(); });
  }
  ~Ants() override { Close(); }

 protected:
  bool SubmitLocked(LoadTask& task) override {
    if (!idle_.empty()) {
      Idle* const newest = idle_.back();
      idle_.pop_back();
      newest->Give(&task);
      return true;
    }
    if (live_ < cap_) return StartLocked(&task);
    if (queue_.size() >= kQueueMax) return false;
    queue_.push_back(&task);
    return true;
  }

  void WorkLocked(Lock& lock, LoadTask* first) override {
    for (LoadTask* task = first; task != nullptr && !closing_;) {
      RunLocked(lock, *task);
      if (closing_) return;
      if (!queue_.empty()) {
        task = queue_.front();
        queue_.pop_front();
        continue;
      }
      Idle self;
      self.since_ns = NowNs();
      idle_.push_back(&self);
      self.woken.wait(lock, [&] { return self.given; });
      task = self.task;
    }
  }

  void WakeAllLocked() override {
    for (Idle* one : idle_) one->Give(nullptr);
    idle_.clear();
  }

 private:
  struct Idle {
    // nullptr: its thread ends.
    void Give(LoadTask* next) {
      task = next;
      given = true;
      woken.notify_one();
    }
    LoadTask* task = nullptr;
    bool given = false;
    uint64_t since_ns = 0;
    std::condition_variable woken;
  };

  void PurgeLocked() {
    const uint64_t now_ns = NowNs();
    const auto fresh =
        std::find_if(idle_.begin(), idle_.end(), [&](const Idle* one) { return now_ns - one->since_ns < idle_ns_; });
    std::for_each(idle_.begin(), fresh, [](Idle* one) { one->Give(nullptr); });
    idle_.erase(idle_.begin(), fresh);
  }

  const uint32_t cap_;
  const uint64_t idle_ns_;
  std::vector<Idle*> idle_;  // oldest first
};

// queue_ is the channel; in it nullptr ends a worker.
class Pond : public PeerPool {
 public:
  Pond(std::string name, uint32_t max, uint64_t rate) : PeerPool(std::move(name)), max_(max), rate_(rate) {
    constexpr double kIdleTimeoutS = 5;
    TickEvery(kIdleTimeoutS, [this] {
      if (idle_ > 0 && live_ > 0) Push(nullptr);
    });
  }
  ~Pond() override { Close(); }

 protected:
  bool SubmitLocked(LoadTask& task) override {
    const bool room = queue_.size() < kQueueMax;
    if (live_ > 0 && idle_ > 0 && room) return Push(&task);
    if (live_ < max_ && Resize() && StartLocked(&task)) return true;
    return room && Push(&task);
  }

  // It counts as idle from the end of its first task on.
  void WorkLocked(Lock& lock, LoadTask* first) override {
    RunLocked(lock, *first);
    for (++idle_; !closing_; ++idle_) {
      not_empty_.wait(lock, [&] { return closing_ || !queue_.empty(); });
      if (closing_) break;
      LoadTask* const task = queue_.front();
      queue_.pop_front();
      if (task == nullptr) break;
      --idle_;
      RunLocked(lock, *task);
    }
    --idle_;
  }

  void WakeAllLocked() override { not_empty_.notify_all(); }

 private:
  bool Push(LoadTask* task) {
    queue_.push_back(task);
    not_empty_.notify_one();
    return true;
  }

  bool Resize() { return rate_ == 1 || live_ == 0 || ++hits_ % rate_ == 1; }

  const uint32_t max_;
  const uint64_t rate_;
  uint64_t hits_ = 0;
  int64_t idle_ = 0;
  std::condition_variable not_empty_;
};

constexpr char kAllowed[] =
    "allowed: workpool, threads-per-task, fixed:N, ants:CAP[,IDLE], pond:MAX; up to 4096 threads";

[[noreturn]] void Refuse(const std::string& spec) {
  throw std::invalid_argument("--pool is '" + spec + "', " + kAllowed);
}

uint32_t Threads(const std::string& spec, const std::string& text) {
  uint32_t count = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), count);
  if (error != std::errc() || end != text.data() + text.size() || count == 0 || count > 4096) Refuse(spec);
  return count;
}

}  // namespace

std::unique_ptr<LoadSubject> MakePeer(const std::string& spec, double cores) {
  const size_t colon = spec.find(':');
  const std::string kind = spec.substr(0, colon);
  if (spec == "threads-per-task") return std::make_unique<ThreadsPerTask>(spec);
  if (colon == std::string::npos) Refuse(spec);
  const std::string rest = spec.substr(colon + 1);
  if (kind == "fixed") return std::make_unique<FixedPool>(spec, Threads(spec, rest));
  if (kind == "pond") {
    return std::make_unique<Pond>(spec, Threads(spec, rest),
                                  static_cast<uint64_t>(std::max(1.0, std::floor(cores / 2))));
  }
  if (kind != "ants") Refuse(spec);
  const size_t comma = rest.find(',');
  const double idle_s = comma == std::string::npos ? 1 : ParseTimeS(rest.substr(comma + 1));
  if (idle_s < 0.001) Refuse(spec);
  return std::make_unique<Ants>(spec, Threads(spec, rest.substr(0, comma)), idle_s);
}

}  // namespace workpool_cli
