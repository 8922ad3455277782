#include "pooled_run.h"

#include <algorithm>
#include <exception>

#include "pool_check.h"

namespace workpool_cli {
namespace {

// Goes through [begin, end) by halves: the right one is offered to other workers while this one
// goes left.
struct Half {
  pool_ctx_t* ctx;
  const std::function<void(size_t)>* body;
  size_t begin;
  size_t end;

  int32_t Run() const {
    if (end - begin == 1) {
      (*body)(begin);
      return POOL_OK;
    }
    const size_t middle = begin + (end - begin) / 2;
    Half right{nullptr, body, middle, end};
    pool_fork_t fork;
    Check(pool_ctx_fork(ctx, &fork, RunFork, &right));
    int32_t left_code = POOL_E_EXCEPTION;
    std::exception_ptr thrown;
    try {
      left_code = Half{ctx, body, begin, middle}.Run();
    } catch (const std::exception&) {
      thrown = std::current_exception();  // the fork uses this frame: it is joined first
    }
    int32_t right_code = POOL_OK;
    Check(pool_ctx_join(ctx, &fork, &right_code));
    if (thrown) std::rethrow_exception(thrown);
    return left_code != POOL_OK ? left_code : right_code;
  }

  static int32_t RunFork(void* arg, pool_ctx_t* own_ctx) {
    Half* const half = static_cast<Half*>(arg);
    half->ctx = own_ctx;
    return half->Run();  // the pool turns an exception into a failed fork
  }
};

}  // namespace

PooledRun::PooledRun(const DemoOptions& options, const FileList& list)
    : list_(list), results_(list.files.size()), workers_most_(options.workers_min) {
  jobs_.reserve(list.files.size());
  for (size_t i = 0; i < list.files.size(); ++i) jobs_.push_back({this, i});

  pool_options_t o;
  Check(pool_options_init(&o, sizeof o));
  o.workers_min = options.workers_min;
  o.workers_max = options.workers_max;
  o.keep_alive_ns = int64_t{options.keep_alive_ms} * 1'000'000;
  o.prestart = options.workers_min;
  o.name = "demo";
  Check(pool_create(&o, &pool_));
  try {
    uint64_t hook = 0;
    Check(pool_hook_add(pool_, CountStart, CountStop, this, &hook));
    Check(pool_group_create(pool_, nullptr, &group_));
  } catch (...) {
    pool_destroy(pool_);
    throw;
  }
}

PooledRun::~PooledRun() {
  pool_group_release(group_);
  pool_destroy(pool_);
}

bool PooledRun::SubmitNext(size_t count) {
  if (submitted_ == 0) first_submit_ns_ = pool_now_ns();
  const size_t end = std::min(jobs_.size(), submitted_ + count);
  for (; submitted_ < end; ++submitted_) {
    Check(pool_group_submit(group_, RunFile, &jobs_[submitted_]));
  }
  return submitted_ < jobs_.size();
}

double PooledRun::grown_after_seconds() const {
  const uint64_t at_ns = most_at_ns_;
  return at_ns > first_submit_ns_ ? static_cast<double>(at_ns - first_submit_ns_) / 1e9 : 0;
}

bool PooledRun::WaitFor(std::chrono::nanoseconds timeout) {
  const pool_status_t status = pool_group_wait(group_, timeout.count(), nullptr);
  if (status == POOL_E_TIMEOUT) return false;
  Check(status);
  return true;
}

pool_stats_t PooledRun::Stats() const {
  pool_stats_t stats;
  Check(pool_stats(pool_, &stats, sizeof stats));
  return stats;
}

int32_t PooledRun::RunFile(void* arg, pool_ctx_t* ctx) {
  const Job& job = *static_cast<Job*>(arg);
  PooledRun& run = *job.run;
  int32_t code = POOL_OK;
  const ForEachChunk by_halves = [&](size_t count, const std::function<void(size_t)>& body) {
    code = Half{ctx, &body, 0, count}.Run();
  };
  FileResult& result = run.results_[job.index];
  result = WorkOnFile(run.list_.files[job.index], by_halves);
  run.bytes_done_ += result.bytes;
  ++run.files_done_;
  return code;
}

void PooledRun::CountStart(void* user, pool_t, int32_t) {
  PooledRun& run = *static_cast<PooledRun*>(user);
  const uint32_t now = ++run.workers_now_;
  uint32_t most = run.workers_most_;
  while (most < now) {
    if (!run.workers_most_.compare_exchange_weak(most, now)) continue;
    run.most_at_ns_ = pool_now_ns();
    return;
  }
}

void PooledRun::CountStop(void* user, pool_t, int32_t) {
  --static_cast<PooledRun*>(user)->workers_now_;
}

}  // namespace workpool_cli
