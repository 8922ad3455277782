#include "load_workpool.h"

#include <stdexcept>

#include "load_clock.h"
#include "pool_check.h"

namespace workpool_cli {
namespace {

using Json = nlohmann::json;

constexpr int32_t kTaskFailed = -1000;
// As many as a pool keeps.
constexpr uint32_t kDecisionsKept = 256;

void Set(pool_options_t* o, const std::string& setting) {
  const size_t equals = setting.find('=');
  if (equals == std::string::npos) throw std::runtime_error("--set " + setting + ": it is name=value");
  Check(pool_options_set(o, setting.substr(0, equals).c_str(), setting.substr(equals + 1).c_str()));
}

Json StatsJson(const pool_stats_t& s) {
  return {{"submitted", s.submitted}, {"started", s.started},
          {"done", s.done},           {"failed", s.failed},
          {"cancelled", s.cancelled}, {"expired", s.expired},
          {"shed", s.shed},           {"rejected", s.rejected},
          {"attempts", s.attempts},   {"steals", s.steals},
          {"parks", s.parks},         {"wakes", s.wakes},
          {"retired", s.retired},     {"start_failures", s.start_failures}};
}

Json DecisionJson(const pool_decision_t& d, uint64_t start_ns) {
  return {{"t_s", (static_cast<double>(d.at_ns) - static_cast<double>(start_ns)) / 1e9},
          {"reason", pool_reason_name(d.reason)},
          {"shadow", (d.flags & POOL_DECISION_SHADOW) != 0},
          {"before", d.workers_before},
          {"workers", d.workers},
          {"live", d.workers_live},
          {"idle", d.workers_idle},
          {"hung", d.workers_hung},
          {"queued", d.queued},
          {"head_age_ms", static_cast<double>(d.head_age_ns) / 1e6},
          {"runnable", d.runnable},
          {"cores", d.cores},
          {"goodput", d.goodput}};
}

}  // namespace

WorkpoolSubject::WorkpoolSubject(const WorkpoolOptions& options) {
  pool_options_t o;
  Check(pool_options_init(&o, sizeof o));
  for (const std::string& setting : options.settings) Set(&o, setting);
  if (!options.policy.empty()) o.policy = options.policy.c_str();
  if (options.workers_min != 0) o.workers_min = options.workers_min;
  if (options.workers_max != 0) o.workers_max = options.workers_max;
  if (options.keep_alive_s > 0) o.keep_alive_ns = static_cast<int64_t>(options.keep_alive_s * 1e9);
  o.name = "load";
  // An option may shed tasks or let them expire; without any they all run, on the library's shortest way.
  if (!options.settings.empty()) o.drop = DropTask;
  if (o.on_full == POOL_ON_FULL_BLOCK || o.on_full == POOL_ON_FULL_CALLER_RUNS) {
    throw std::runtime_error(
        "--set on_full: arrivals do not wait for the pool; use reject, drop-oldest or drop-lowest");
  }
  if (o.rate_count != 0 && o.on_rate == POOL_ON_RATE_BLOCK) {
    throw std::runtime_error("--set on_rate: arrivals do not wait for the pool; use reject or delay");
  }
  name_ = std::string("workpool ") + pool_version() + ", policy " + (o.policy != nullptr ? o.policy : "auto");
  Check(pool_create(&o, &pool_));
  uint64_t hook = 0;
  const pool_status_t hooked = pool_hook_add(pool_, CountStart, CountStop, this, &hook);
  if (hooked != POOL_OK) {
    pool_destroy(pool_);
    Check(hooked);
  }
}

WorkpoolSubject::~WorkpoolSubject() { Close(); }

bool WorkpoolSubject::Submit(LoadTask& task) {
  pool_status_t status = POOL_OK;
  if (task.plan->retries == 0) {
    status = pool_submit(pool_, RunTask, &task);
  } else {
    pool_task_t t;
    Check(pool_task_init(&t, sizeof t));
    t.run = RunTask;
    t.drop = DropTask;
    t.arg = &task;
    t.retries_max = task.plan->retries;
    t.retry_on = POOL_RETRY_ON_FAILURE;
    t.backoff_first_ns = 1;  // at once: a trace tells of no delay
    t.backoff_max_ns = 1;
    t.backoff_jitter = POOL_JITTER_NONE;
    status = pool_submit_task(pool_, &t, nullptr);
  }
  if (status == POOL_OK) return true;
  if (status == POOL_E_INVALID || status == POOL_E_BADHANDLE) Check(status);
  ++refused_[status];
  return false;
}

LoadSubject::State WorkpoolSubject::Now() {
  pool_stats_t s;
  Check(pool_stats(pool_, &s, sizeof s));
  ReadDecisions();
  return {s.workers_live, s.workers_busy, s.queued, s.workers_wanted};
}

void WorkpoolSubject::ReadDecisions() {
  pool_decision_t some[kDecisionsKept];
  uint32_t count = 0;
  Check(pool_decisions(pool_, decisions_seen_, some, sizeof some[0], kDecisionsKept, &count));
  for (uint32_t i = 0; i < count; ++i) {
    decisions_lost_ += some[i].number - decisions_seen_ - 1;
    decisions_seen_ = some[i].number;
    decisions_.push_back(some[i]);
  }
}

void WorkpoolSubject::Tell(Json* out) {
  ReadDecisions();
  pool_stats_t s;
  Check(pool_stats(pool_, &s, sizeof s));
  Json& told = *out;
  told["stats"] = StatsJson(s);
  told["refusals"] = Json::object();
  for (const auto& [status, count] : refused_) told["refusals"][pool_strerror(status)] = count;
  const uint64_t start_ns = told.value("start_ns", uint64_t{0});
  Json reasons = Json::object(), list = Json::array();
  for (const pool_decision_t& d : decisions_) {
    const char* reason = pool_reason_name(d.reason);
    reasons[reason] = reasons.value(reason, 0) + 1;
    list.push_back(DecisionJson(d, start_ns));
  }
  told["decisions"] = list;
  told["decision_reasons"] = reasons;
  told["decisions_lost"] = decisions_lost_;
}

void WorkpoolSubject::Close() {
  if (pool_ == 0) return;
  pool_close(pool_, POOL_CANCEL_QUEUED, POOL_FOREVER);
  pool_destroy(pool_);
  pool_ = 0;
}

int32_t WorkpoolSubject::RunTask(void* arg, pool_ctx_t* ctx) {
  LoadTask& task = *static_cast<LoadTask*>(arg);
  if (!task.world->Run(task, ctx)) return kTaskFailed;
  return task.end == LoadTask::End::kFailed ? kTaskFailed : 0;
}

void WorkpoolSubject::DropTask(void* arg, int32_t outcome) {
  LoadTask& task = *static_cast<LoadTask*>(arg);
  if (task.end == LoadTask::End::kNone) task.world->GiveUp(task, outcome == POOL_FAILED);
}

void WorkpoolSubject::CountStart(void* user, pool_t, int32_t) {
  static_cast<WorkpoolSubject*>(user)->threads().Start(NowNs());
}

void WorkpoolSubject::CountStop(void* user, pool_t, int32_t) {
  static_cast<WorkpoolSubject*>(user)->threads().Stop(NowNs());
}

}  // namespace workpool_cli
