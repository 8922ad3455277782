// Simulation: one run of a trace through a model of the pool, in virtual time. README.md describes the model.
// Everything that happens is in one loop, in order of time; nothing is allocated for an event.
#pragma once

#include <cstdint>
#include <deque>
#include <vector>

#include "cli/arrivals.h"
#include "cli/trace_file.h"
#include "cost.h"
#include "machine.h"
#include "scaling/load_meter.h"
#include "steering.h"
#include "time_heap.h"

namespace workpool::sim {

using workpool_cli::Arrival;
using workpool_cli::Trace;

// What the clock shows at a trace's start; not 0, as in life.
constexpr uint64_t kStartNs = 1'000'000'000;
// What it takes to start a thread.
constexpr double kStartLatencyS = 50e-6;
constexpr double kStartCpuS = 100e-6;

struct Options {
  uint32_t workers_min = 0;
  uint32_t workers_max = 1024;
  uint64_t keep_alive_ns = 1'000'000'000;
  double series_s = 0;  // length of a piece of Result::series; 0: none
  bool waits = true;    // Result::wait_p99_s is wanted
};

// A piece of time.
struct Piece {
  double t_s = 0;  // its beginning
  uint64_t arrived = 0;
  double live_s = 0;  // thread-seconds
  double busy_s = 0;
  uint32_t target = 0;  // at its end
  uint64_t waits = 0;   // tasks that began, and how long they had waited
  double wait_sum_s = 0;
  double wait_max_s = 0;
};

struct Result {
  Cost cost;
  uint64_t tasks = 0;
  double end_s = 0;      // the trace's end, or that of its last task
  double sojourn_s = 0;  // Σ
  double in_pool_s = 0;  // ∫ tasks in the pool
  double cpu_s = 0;      // ∫ of threads that can run
  double wait_mean_s = 0;
  double wait_p99_s = 0;
  double workers_mean = 0;
  uint32_t workers_peak = 0;
  uint64_t decisions = 0;
  uint64_t events = 0;
  std::vector<Piece> series;
};

class Simulation {
 public:
  // All outlive this.
  Simulation(const Trace& trace, const std::vector<Arrival>& arrivals, Steering& steering, const Options& options);

  // A copy goes on by itself from here; the steering is the same object.
  Simulation(const Simulation&) = default;
  Simulation& operator=(const Simulation&) = delete;

  [[nodiscard]] Result Run();

  // Everything before to_s. False: the cost is above cost_max, and it has given up.
  bool RunTo(double to_s, double cost_max = kNeverS);
  // What it has cost so far, and what tasks that are here have yet to be charged for, as far as one can know.
  [[nodiscard]] double CostSoFar() const;
  // The rest, and what came of all.
  [[nodiscard]] Result Finish();
  [[nodiscard]] uint64_t events() const { return result_.events; }

 private:
  enum class At : uint8_t { kLatency, kStart, kCpu, kLockQueue, kLocked, kConnection, kCall, kCpu2, kParked };

  struct Worker {
    uint32_t task = 0;
    uint32_t tag = 0;  // of its timer; another one is stale
    At at = At::kParked;
    bool fails = false;
    double began_s = 0;
    double since_s = 0;  // waits for a connection since
  };
  struct Parked {
    uint32_t worker;
    double since_s;
  };
  // A mutex, or the state of a downstream.
  struct Shared {
    uint32_t in = 0;
    std::deque<uint32_t> queue;  // workers
  };

  // ---- the loop and the machine: simulation.cc
  void Advance(double to_s);
  void AddToSeries(double to_s);
  double ArrivalS(size_t task) const { return static_cast<double>(arrivals_[task].at_ns) * 1e-9; }
  double NextStepS() const;
  void TakeStep();
  void TaskEvent(uint32_t worker);

  // ---- a task's way: task_model.cc
  void Begin(uint32_t worker);
  void AfterCpu(uint32_t worker);
  void TakeLock(uint32_t worker);
  void AfterLock(uint32_t worker);
  void BeginCall(uint32_t worker);
  void Call(uint32_t worker);
  void AfterCall(uint32_t worker, bool connected);
  void EndRun(uint32_t worker);
  void Sleep(uint32_t worker, At at, double for_s);
  const Arrival& TaskOf(uint32_t worker) const { return arrivals_[workers_[worker].task]; }

  // ---- the pool: pool_model.cc
  void Submit(uint32_t task);
  uint32_t TakeTask();
  bool SupplyOne();
  void StartWorker();
  void Next(uint32_t worker);
  void EndWorker(uint32_t worker);
  void Expire();
  double ExpiryS() const;
  void SetTarget(uint32_t target);
  void Look();
  LoadSample Sample();
  uint32_t Base() const;
  uint64_t NowNs() const { return kStartNs + static_cast<uint64_t>(now_s_ * 1e9 + 0.5); }
  uint64_t waiting() const { return queue_.size() - queue_head_; }
  uint32_t up() const { return live_ - static_cast<uint32_t>(parked_.size() - parked_head_); }
  double seen_cores() const { return machine_.cores() < 1 ? 1 : machine_.cores(); }

  const Trace& trace_;
  const std::vector<Arrival>& arrivals_;
  Steering& steering_;
  const Options options_;
  const bool keeps_;
  const double keep_alive_s_;

  double now_s_ = 0;
  Machine machine_;
  TimeHeap timers_;
  size_t arrived_ = 0;
  size_t completed_ = 0;
  size_t next_quota_ = 0;
  size_t next_neighbour_ = 0;
  std::vector<Shared> downstreams_;
  std::vector<Shared> mutexes_;

  // The pool.
  std::vector<uint32_t> queue_;  // tasks, oldest at queue_head_
  size_t queue_head_ = 0;
  std::vector<uint8_t> runs_;  // runs begun of each task
  std::vector<Worker> workers_;
  std::vector<uint32_t> free_;  // of workers_
  std::vector<Parked> parked_;  // oldest at parked_head_
  size_t parked_head_ = 0;
  uint32_t live_ = 0;
  uint32_t starting_ = 0;
  uint32_t target_ = 1;

  // The monitor.
  double look_s_ = 0;
  bool awake_ = false;
  bool fresh_ = true;   // nobody watched since the last look
  bool again_ = false;  // the policy has said when
  uint32_t quiet_ = 0;
  LoadMeter meter_;
  LoadReading reading_;
  double service_s_ = 0;
  double runnable_s_ = 0;  // as of the last look

  Flips flips_;
  std::vector<float> all_waits_;
  Result result_;
  Piece piece_;
};

}  // namespace workpool::sim
