// What a running task may ask and do through its context.
#include "capi/guard.h"

namespace workpool {
namespace {

// OK if ctx can be used: given, and begun in this process.
Status CheckContext(const pool_ctx_t* ctx) {
  if (ctx == nullptr) [[unlikely]] {
    (void)FailConst(POOL_E_INVALID, "ctx is NULL");
    return POOL_E_INVALID;
  }
  if (ctx->epoch != ForkEpoch()) [[unlikely]] {
    return FailConst(POOL_E_FORKED, "the task runs in a forked child, which has no pool");
  }
  return POOL_OK;
}

[[gnu::noinline]] Status SubmitGuarded(pool_ctx_t* ctx, RunFn run, void* arg) {
  return Guard("pool_ctx_submit", [&]() -> Status {
    const Status status = CheckContext(ctx);
    if (status != POOL_OK) return status;
    if (run == nullptr) return FailConst(POOL_E_INVALID, "run is NULL; give a function");
    Pool& pool = *static_cast<Pool*>(ctx->engine->owner);
    if (ctx->worker != nullptr) {
      return pool.SubmitPlainLocal(ctx->worker->tls(), *ctx->worker, {run, arg}, Admission::kExempt);
    }
    const Slot slot{run, arg};
    uint32_t accepted = 0;
    return pool.Submit(&slot, 1, Admission::kExempt, pool.policy(), 0, &accepted);
  });
}

// Of the task that ctx is a part of, or nullptr.
const TaskDetails* DetailsOf(const pool_ctx_t& ctx) {
  const Frame* owner = &ctx;
  while (owner->parent != nullptr) owner = owner->parent;
  return owner->record != nullptr ? owner->record->details() : nullptr;
}

}  // namespace
}  // namespace workpool

using namespace workpool;

extern "C" {

pool_status_t pool_ctx_fork(pool_ctx_t* ctx, pool_fork_t* mem, pool_run_fn run, void* arg) {
  return Guard(__func__, [&]() -> Status {
    const Status status = CheckContext(ctx);
    if (status != POOL_OK) [[unlikely]] return status;
    if (mem == nullptr || run == nullptr) [[unlikely]] {
      return FailConst(POOL_E_INVALID, "mem or run is NULL");
    }
    ForkChild(*ctx, mem, run, arg);
    return POOL_OK;
  });
}

pool_status_t pool_ctx_join(pool_ctx_t* ctx, pool_fork_t* mem, int32_t* code_out) {
  return GuardRunningTasks(__func__, [&]() -> Status {
    const Status status = CheckContext(ctx);
    if (status != POOL_OK) [[unlikely]] return status;
    if (mem == nullptr) [[unlikely]] return FailConst(POOL_E_INVALID, "mem is NULL");
    return JoinChild(*ctx, mem, code_out);
  });
}

__attribute__((no_stack_protector)) pool_status_t pool_ctx_submit(pool_ctx_t* ctx, pool_run_fn run,
                                                                  void* arg) {
  if (ctx != nullptr && ctx->worker != nullptr && run != nullptr && ctx->epoch == ForkEpoch()) [[likely]] {
    Tls& tls = ctx->worker->tls();
    if (tls.until_sample != 1 && ctx->worker->TrySubmit({run, arg})) [[likely]] {
      --tls.until_sample;
      return POOL_OK;
    }
  }
  return SubmitGuarded(ctx, run, arg);
}

int32_t pool_ctx_should_stop(pool_ctx_t* ctx) {
  if (ctx == nullptr || ctx->epoch != ForkEpoch()) return 0;
  return ShouldStop(*ctx) ? 1 : 0;
}

uint32_t pool_ctx_attempt(pool_ctx_t* ctx) {
  if (ctx == nullptr) return 0;
  const TaskDetails* details = DetailsOf(*ctx);
  return details != nullptr ? details->attempts : 1;
}

uint64_t pool_ctx_deadline_ns(pool_ctx_t* ctx) {
  const TaskDetails* details = ctx == nullptr ? nullptr : DetailsOf(*ctx);
  return details != nullptr ? details->deadline_ns : UINT64_MAX;
}

pool_token_t pool_ctx_token(pool_ctx_t* ctx) {
  const TaskDetails* details = ctx == nullptr ? nullptr : DetailsOf(*ctx);
  return details != nullptr && details->token != nullptr ? details->token->handle : 0;
}

pool_status_t pool_ctx_block_begin(pool_ctx_t* ctx) {
  return Guard(__func__, [&]() -> Status {
    const Status status = CheckContext(ctx);
    if (status != POOL_OK) return status;
    ++ctx->blocks;
    if (ctx->worker != nullptr) ctx->worker->BeginAnnouncedBlock();
    return POOL_OK;
  });
}

pool_status_t pool_ctx_block_end(pool_ctx_t* ctx) {
  return Guard(__func__, [&]() -> Status {
    const Status status = CheckContext(ctx);
    if (status != POOL_OK) return status;
    if (ctx->blocks == 0) {
      return FailConst(POOL_E_INVALID, "the task has not begun to block; call pool_ctx_block_begin first");
    }
    --ctx->blocks;
    if (ctx->worker != nullptr) (void)ctx->worker->EndAnnouncedBlock();
    return POOL_OK;
  });
}

pool_status_t pool_ctx_set_value(pool_ctx_t* ctx, uint64_t value) {
  return Guard(__func__, [&]() -> Status {
    if (ctx == nullptr) return FailConst(POOL_E_INVALID, "ctx is NULL");
    ctx->value = value;
    return POOL_OK;
  });
}

}  // extern "C"
