// Scaler: looks at one pool from time to time and moves the number of workers that may be up. It runs on the process's
// service thread, which all pools share: asleep while nothing waits, called by the first who queues a task that nobody
// can take (Census::kUnwatched says that nobody has), then looking once a tick until nothing has waited for some ticks.
// Threads:   all, any thread, unless said otherwise.
// Ownership: owns its policies.
// Proof:     README.md.
#pragma once

#include <cstdint>

#include "base/api.h"
#include "base/mutex.h"
#include "park/service.h"
#include "scaling/budget.h"
#include "scaling/decision_ring.h"
#include "scaling/load_meter.h"
#include "scaling/load_reader.h"
#include "scaling/policy.h"
#include "scaling/policy_seat.h"
#include "worker/engine.h"

namespace workpool {

class Scaler {
 public:
  explicit Scaler(Engine& engine);
  ~Scaler();
  Scaler(const Scaler&) = delete;
  Scaler& operator=(const Scaler&) = delete;

  // Before the pool's first task.
  void Begin(Policy* policy) { seat_.Replace(policy); }
  // The same: the pool's workers count against a budget, and none is up before it is asked. OK, INVALID.
  [[nodiscard]] Status JoinBudget(Budget& budget, uint32_t floor, uint32_t weight);
  // Takes the policy, and looks as it wants. No function of the one before runs on return. In the shadow nullptr: nobody is.
  // OK; THREAD, NOMEM: it was not taken, and is gone.
  [[nodiscard]] Status SetPolicy(Policy* policy, bool shadow);
  // What the policy's floor has learned, as snprintf writes; *needed bytes with its NUL. OK, INVALID (it learns nothing, or
  // the caller is inside it). It may wait for a decision that is being made.
  [[nodiscard]] Status SaveHistory(char* out, size_t room, size_t* needed);

  // Tasks wait, and all that may be up are up; the census is marked as watched. False: there is no thread that could look,
  // and it is marked no longer.
  [[nodiscard]] bool Call();
  // Something has changed that a policy looks at: bounds, a target handed back. OK, THREAD, NOMEM.
  Status LookAgain();
  // Another target holds at once: by hand, or because of a bound.
  void NoteChange(uint32_t before, uint32_t workers, Reason reason);

  const DecisionRing& decisions() const { return decisions_; }

  // The pool has ended. wait: no thread of it is left on return.
  void Stop(bool wait);

 private:
  // Looks in a row that find nothing waiting, before it sleeps.
  static constexpr uint32_t kQuietTicks = 4;
  // To see what there is may take one part in so many of a CPU, with the rest of a look and its wake-up a hundredth; and so
  // much at once, because growth cannot wait for one look that was dear.
  static constexpr int64_t kCostShare = 160;
  static constexpr int64_t kCostAtOnceNs = 5'000'000;
  static constexpr uint64_t kCostPauseMaxNs = 100'000'000;
  // A gap of so many ticks was not watched.
  static constexpr uint64_t kGapTicks = 10;
  // Two looks within this say nothing.
  static constexpr uint64_t kTickMinNs = 1'000'000;
  // When workers that are to be kept could not be started.
  static constexpr uint64_t kStartAgainNs = 100'000'000;
  // How often a pool of a budget looks whether it can give back, while it holds any of it.
  static constexpr uint64_t kBudgetTickNs = 10'000'000;

  static uint64_t Turn(void* scaler);
  [[nodiscard]] Status Join();
  // These return when to look again.
  [[nodiscard]] uint64_t Look();
  [[nodiscard]] uint64_t LookWith(Policy& policy);
  // What there is, measured against the look before if that is near.
  [[nodiscard]] LoadSample See(bool fresh);
  // How long looks have to wait to be worth what they cost.
  [[nodiscard]] uint64_t CostPauseNs() const;
  [[nodiscard]] uint64_t Sleep(uint64_t again_ns);
  [[nodiscard]] Decision Ask(PolicySeat& seat, Policy& policy, const LoadSample& sample);
  // What the one in the shadow would do; returns how often it would like to be asked, kNever where there is none.
  uint64_t LookAside(LoadSample sample);
  // False: workers that are to be kept could not be started.
  [[nodiscard]] bool Apply(const LoadSample& sample, const Decision& decision, uint32_t before, bool keeps);
  // What the budget allows of it.
  [[nodiscard]] Decision WithinBudget(const LoadSample& sample, Decision decision);
  // Gives back what nobody uses any more; returns when to look again.
  [[nodiscard]] uint64_t LeaveBudgetIdle();
  void Note(const LoadSample& sample, const Decision& decision, uint32_t before, uint32_t flags);

  Engine& engine_;
  ServiceClient client_;
  Service* service_ = nullptr;  // constant once joined
  DecisionRing decisions_;
  PolicySeat seat_;
  PolicySeat shadow_;
  BudgetMember member_;
  uint32_t allowance_ = 0;      // whoever turns: of the budget
  Atomic<bool> adopt_{false};   // the target was somebody else's
  Mutex mu_;
  bool joined_ ABSL_GUARDED_BY(mu_) = false;
  bool missed_ ABSL_GUARDED_BY(mu_) = false;   // somebody came meanwhile
  bool turning_ ABSL_GUARDED_BY(mu_) = false;  // a thread is inside Turn; user code there may wait, and another one come
  // ---- whoever turns
  LoadMeter meter_;
  LoadReader reader_;
  double service_s_ = 0;         // of the last sample
  uint64_t look_ns_ = 0;         // the last look
  uint64_t pause_ns_ = 0;        // the time that was to be between it and the next one
  int64_t credit_ns_ = kCostAtOnceNs;  // CPU time that looks may take now
  bool asleep_ = true;
  uint32_t quiet_ticks_ = 0;
  uint32_t shadow_target_ = 0;
};

}  // namespace workpool
