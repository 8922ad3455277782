#include "scaling/scaler.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "base/clock.h"
#include "base/error.h"
#include "base/finally.h"
#include "base/memory.h"
#include "base/thread.h"
#include "base/thread_usage.h"

namespace workpool {
namespace {

// How long this thread has waited for a CPU; 0: not known.
uint64_t OwnDelayNs() {
  Usage usage;
  return ReadUsage(UsageSourceOfProcess(), CurrentTid(), &usage) ? usage.delay_ns : 0;
}

}  // namespace

Scaler::Scaler(Engine& engine)
    : engine_(engine),
      member_([](void* scaler) { (void)static_cast<Scaler*>(scaler)->LookAgain(); }, this),
      reader_(engine) {}

Scaler::~Scaler() {
  if (Budget* budget = member_.budget()) budget->Leave(member_);
}

Status Scaler::JoinBudget(Budget& budget, uint32_t floor, uint32_t weight) {
  const Status status = budget.Join(member_, floor, weight);
  if (status != POOL_OK) return status;
  engine_.workers.SetBase(0);
  engine_.workers.Aim(0, engine_.workers.min(), false);
  return POOL_OK;
}

Status Scaler::Join() {
  MutexLock lock(mu_);
  if (joined_) return POOL_OK;
  service_ = Service::OfProcess();
  if (service_ == nullptr) return POOL_E_NOMEM;
  client_.call = &Turn;
  client_.owner = this;
  client_.may_lapse = true;
  const Status status = service_->Add(client_);
  joined_ = status == POOL_OK;
  return status;
}

bool Scaler::Call() {
  if (Join() == POOL_OK && service_->CallAt(client_, NowNs())) return true;
  engine_.idle.SetFlags(Census::kUnwatched);
  return false;
}

Status Scaler::LookAgain() {
  const Status status = Join();
  if (status == POOL_OK && service_->CallAt(client_, NowNs())) return status;
  // As in Call.
  engine_.idle.SetFlags(Census::kUnwatched);
  if (status != POOL_OK) return status;
  return FailConst(POOL_E_THREAD, "the service thread could not be started");
}

Status Scaler::SetPolicy(Policy* policy, bool shadow) {
  Status status = Join();
  if (status == POOL_OK) status = service_->NeedThread();
  if (status != POOL_OK) {
    Delete(policy);
    return status;
  }
  (shadow ? shadow_ : seat_).Replace(policy);
  if (!shadow) adopt_.store(true, kRelaxed);
  (void)Call();
  return POOL_OK;
}

Status Scaler::SaveHistory(char* out, size_t room, size_t* needed) {
  *needed = 0;
  const bool outside = seat_.Look([&](const Policy* policy) {
    const size_t length = policy != nullptr ? policy->SaveHistory(out, room) : 0;
    if (length > 0) *needed = length + 1;
  });
  if (!outside) return FailConst(POOL_E_INVALID, "the call comes from inside a policy of the pool; ask elsewhere");
  return *needed > 0 ? POOL_OK : FailConst(POOL_E_INVALID, "the pool's policy learns nothing; seasonal does");
}

void Scaler::Stop(bool wait) {
  {
    MutexLock lock(mu_);
    if (!joined_) return;
  }
  service_->Remove(client_, wait);
}

uint64_t Scaler::Turn(void* memory) {
  auto& scaler = *static_cast<Scaler*>(memory);
  Engine& engine = scaler.engine_;
  // User code that runs here may give the pool up.
  if (!engine.try_ref(engine)) return kNever;
  const Finally unref([&] { engine.unref(engine); });
  {
    MutexLock lock(scaler.mu_);
    if (scaler.turning_) {
      scaler.missed_ = true;  // who turns looks again for this one
      return kNever;
    }
    scaler.turning_ = true;
  }
  bool ended = true;  // the thread, by user code
  const Finally over([&] {
    // It is called again on another thread, if one can be started; else the next submit is to call.
    if (ended) engine.idle.SetFlags(Census::kUnwatched);
    bool missed;
    {
      MutexLock lock(scaler.mu_);
      scaler.turning_ = false;
      missed = std::exchange(scaler.missed_, false);
    }
    if (missed) (void)scaler.service_->CallAt(scaler.client_, NowNs());
  });
  const uint64_t again_ns = scaler.Look();
  ended = false;
  return again_ns;
}

uint64_t Scaler::Look() {
  // Who has nothing left to run needs nobody; nor does a pool whose number is set by hand, until it is handed back.
  const Census census = engine_.idle.Load();
  if (census.has(Census::kStop)) return member_.budget() != nullptr ? LeaveBudgetIdle() : kNever;
  if (engine_.workers.tuned()) {
    adopt_.store(true, kRelaxed);
    asleep_ = true;
    engine_.idle.ClearFlags(Census::kUnwatched);  // nobody is to call
    return kNever;
  }
  if (census.has(Census::kPaused)) return Sleep(kNever);
  const uint64_t now_ns = NowNs();
  if (!asleep_ && now_ns - look_ns_ < kTickMinNs) return look_ns_ + kTickMinNs;
  engine_.idle.ClearFlags(Census::kUnwatched);
  Policy* policy = seat_.Take();
  if (policy == nullptr) return kNever;
  const Finally left([this] { seat_.GiveBack(); });
  return LookWith(*policy);
}

LoadSample Scaler::See(bool fresh) {
  const uint64_t begin_ns = NowNs();
  const uint64_t since_ns = std::min(begin_ns - look_ns_, kCostShare * uint64_t{2 * kCostAtOnceNs});
  look_ns_ = begin_ns;
  const uint64_t cpu_ns = OwnCpuNs();
  const LoadSample sample = meter_.Measure(reader_.Read(fresh, service_s_), fresh);
  const auto cost_ns = static_cast<int64_t>(OwnCpuNs() - cpu_ns);
  credit_ns_ = std::min(credit_ns_ + static_cast<int64_t>(since_ns) / kCostShare, kCostAtOnceNs) - cost_ns;
  // A pause is not longer for looks that were dear before the last one.
  credit_ns_ = std::max(credit_ns_, -static_cast<int64_t>(kCostPauseMaxNs) / kCostShare);
  service_s_ = sample.service_s;
  return sample;
}

uint64_t Scaler::CostPauseNs() const {
  return credit_ns_ >= 0 ? 0 : static_cast<uint64_t>(-credit_ns_ * kCostShare);
}

uint64_t Scaler::LookWith(Policy& policy) {
  const uint64_t begin_ns = NowNs();
  uint64_t tick_ns = std::clamp(policy.tick_ns(), kTickMinNs, kNever / kGapTicks / 2);
  const bool fresh = std::exchange(asleep_, false) || begin_ns - look_ns_ > kGapTicks * std::max(tick_ns, pause_ns_);
  const LoadSample sample = See(fresh);
  if (policy.keeps()) {
    engine_.workers.SetBase(0);
  } else if (member_.budget() == nullptr) {
    engine_.workers.SetBase(std::clamp(static_cast<uint32_t>(std::ceil(sample.cores)), std::max(sample.workers_min, 1u),
                                     std::max(sample.workers_max, 1u)));
  }
  if (adopt_.exchange(false, kRelaxed)) policy.Adopt(sample);
  Decision decision = Ask(seat_, policy, sample);
  if (decision.reason == Reason::kHold && !policy.keeps()) {
    // Up to the base nobody asks.
    decision.workers = std::max(decision.workers, std::min(sample.target, engine_.workers.base()));
  }
  const uint32_t before = engine_.workers.target();
  if (member_.budget() != nullptr) decision = WithinBudget(sample, decision);
  if (!Apply(sample, decision, before, policy.keeps() && member_.budget() == nullptr)) {
    decision.again_ns = std::min(decision.again_ns, TimeAfter(begin_ns, kStartAgainNs));
  }
  const uint64_t aside_tick_ns = LookAside(sample);
  quiet_ticks_ = sample.queued > 0 ? 0 : quiet_ticks_ + 1;
  if (policy.tick_ns() == kNever) {
    // What waits changes nothing: nobody is to call, but for the one in the shadow.
    if (aside_tick_ns == kNever) return decision.again_ns;
    tick_ns = aside_tick_ns;
  }
  if (quiet_ticks_ > kQuietTicks) return Sleep(decision.again_ns);
  const uint64_t at_least_ns = CostPauseNs();
  pause_ns_ = std::max(fresh ? std::min(policy.patience_ns(), tick_ns) : tick_ns, at_least_ns);
  return std::max(TimeAfter(begin_ns, at_least_ns), std::min(TimeAfter(begin_ns, pause_ns_), decision.again_ns));
}

Decision Scaler::Ask(PolicySeat& seat, Policy& policy, const LoadSample& sample) {
  if (!policy.own()) return policy.Decide(sample);
  // What it took, but for the time in which this thread had to wait for a CPU.
  const auto spent_ns = [before = OwnDelayNs(), began_ns = NowNs()] {
    const uint64_t took_ns = NowNs() - began_ns;
    return took_ns - std::min(took_ns, OwnDelayNs() - before);
  };
  const Decision decision = policy.Decide(sample);
  if (policy.MayGoOn(spent_ns())) return decision;
  const bool shadow = &seat == &shadow_;
  Policy* standard = nullptr;
  if (!shadow && Policy::Parse("auto", &standard) != POOL_OK) return {sample.target, Reason::kHold};
  const Decision hold{sample.target, Reason::kHold};
  if (!seat.ReplaceTaken(standard)) {
    Delete(standard);  // the user was faster
    return hold;
  }
  if (!shadow) {
    adopt_.store(true, kRelaxed);
    engine_.SetKeepAlive(engine_.option_keep_alive_ns.load(kRelaxed));
  }
  engine_.log.Write(POOL_LOG_WARN, "the pool's own policy took longer than %.3g ms, again and again; %s",
                    static_cast<double>(policy.own_max_ns()) / 1e6, shadow ? "it is gone" : "auto takes its place");
  return hold;
}

uint64_t Scaler::Sleep(uint64_t again_ns) {
  asleep_ = again_ns == kNever;
  quiet_ticks_ = 0;
  engine_.idle.SetFlags(Census::kUnwatched);
  // Not watched, before the look at the queues; partner: the fence after a task is queued. Either we see the task, or its
  // submitter calls.
  engine_.quiet.Alert();
  const Census census = engine_.idle.Load();
  // Below the ceiling a submitter helps himself, unless his start was refused: then he has left it to us.
  const bool helped = census.MayAdd() && !census.has(Census::kStartFailed);
  if (helped || !census.NeedsHelp() || !engine_.HasTasks()) return again_ns;
  asleep_ = false;
  engine_.idle.ClearFlags(Census::kUnwatched);
  return std::min(again_ns, NowNs() + kTickMinNs);
}

Decision Scaler::WithinBudget(const LoadSample& sample, Decision decision) {
  WorkerSet& workers = engine_.workers;
  // What is of use now; the rest others may have meanwhile.
  const uint64_t used = sample.busy() - std::min(sample.blocked, sample.busy()) + sample.queued;
  const uint32_t wanted = static_cast<uint32_t>(std::min<uint64_t>(decision.workers, used));
  // Nobody is started beyond what is wanted between the look at who is up and the answer.
  if (workers.target() > wanted) workers.Aim(wanted, sample.workers_min, false);
  const Census census = engine_.idle.Load();
  const uint32_t up = census.up() - std::min(workers.blocked(), census.up());
  allowance_ = member_.budget()->Update(member_, wanted, up);
  if (allowance_ < wanted || (allowance_ != decision.workers && decision.reason == Reason::kHold)) {
    decision.reason = Reason::kBudget;
  }
  decision.workers = allowance_;
  if (allowance_ > 0 || up > 0) decision.again_ns = std::min(decision.again_ns, TimeAfter(sample.now_ns, kBudgetTickNs));
  return decision;
}

uint64_t Scaler::LeaveBudgetIdle() {
  const uint32_t up = engine_.idle.Load().up();
  engine_.workers.Aim(0, 0, false);
  allowance_ = member_.budget()->Update(member_, 0, up);
  return up > 0 ? NowNs() + kBudgetTickNs : kNever;
}

uint64_t Scaler::LookAside(LoadSample sample) {
  Policy* policy = shadow_.Take();
  const Finally left([this] { shadow_.GiveBack(); });
  if (policy == nullptr) {
    shadow_target_ = sample.target;
    return kNever;
  }
  const uint64_t tick_ns = policy->tick_ns();
  if (shadow_target_ == 0) shadow_target_ = sample.target;
  sample.target = shadow_target_;
  const Decision decision = Ask(shadow_, *policy, sample);
  if (decision.workers == sample.target) return tick_ns;
  shadow_target_ = decision.workers;
  Note(sample, decision, sample.target, POOL_DECISION_SHADOW);
  return tick_ns;
}

bool Scaler::Apply(const LoadSample& sample, const Decision& decision, uint32_t before, bool keeps) {
  WorkerSet& workers = engine_.workers;
  // A worker that has expired since may have taken it down: then this is growth, and somebody may have left a task to us.
  const uint32_t holds = workers.target();
  const uint32_t keep = keeps ? decision.workers : sample.workers_min;
  if (decision.workers != holds || workers.keep().load(kRelaxed) != keep || workers.exact() != keeps) {
    workers.Aim(decision.workers, keep, keeps);
  }
  if (decision.workers != before) Note(sample, decision, before, 0);
  if (keeps) {
    while (engine_.idle.Load().live() < decision.workers && workers.StartOne(true) == WorkerSet::StartResult::kStarted) {
    }
  }
  if (decision.workers > holds) workers.HelpMany(decision.workers - holds);
  // Where all workers block inside tasks there is nobody else.
  if (engine_.idle.Load().has(Census::kStartFailed)) workers.StartAgain();
  return !keeps || engine_.idle.Load().live() >= decision.workers;
}

void Scaler::Note(const LoadSample& sample, const Decision& decision, uint32_t before, uint32_t flags) {
  pool_decision_t note{};
  note.reason = static_cast<int32_t>(decision.reason);
  note.flags = flags;
  note.workers_before = before;
  note.workers = decision.workers;
  note.workers_live = sample.live;
  note.workers_idle = sample.idle;
  note.workers_hung = sample.hung;
  note.at_ns = sample.now_ns;
  note.queued = sample.queued;
  note.head_age_ns = sample.head_age_ns;
  note.runnable = sample.runnable;
  note.cores = sample.cores;
  note.goodput = sample.dt_ns > 0 ? static_cast<double>(sample.ended - std::min(sample.failed, sample.ended)) / sample.dt_s() : 0;
  note.signal = decision.signal;
  decisions_.Add(note);
  engine_.log.Write(POOL_LOG_DEBUG, "%s%u to %u workers, %s: %llu wait, the first for %.1f ms; %.1f of %.1f CPUs",
                    (flags & POOL_DECISION_SHADOW) != 0 ? "would go from " : "", before, decision.workers,
                    ReasonName(decision.reason), static_cast<unsigned long long>(sample.queued),
                    sample.head_age_s() * 1e3, sample.runnable, sample.cores);
}

void Scaler::NoteChange(uint32_t before, uint32_t workers, Reason reason) {
  if (workers == before) return;
  LoadSample sample;
  sample.now_ns = NowNs();
  const Census census = engine_.idle.Load();
  sample.live = census.live();
  sample.idle = std::min(census.parked() + census.searching(), census.live());
  Note(sample, {workers, reason}, before, 0);
}

}  // namespace workpool
