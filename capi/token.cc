// Tokens: one request to stop for many tasks.
#include "base/finally.h"
#include "capi/guard.h"

namespace workpool {
namespace {

// A task under the token that waits has a pool, which lives on from here, also if its handle has ended.
bool TakeMember(TaskRecord& record) { return record.engine->try_ref(*record.engine); }

void EndMember(TaskRecord& record, int32_t reason) {
  Engine& engine = *record.engine;
  // A destroy of the pool returns when this is over.
  const Held<Pool> pool(CurrentHandles()->pools, record.details()->pool);
  const Finally over([&] { engine.unref(engine); });
  bool was_held = false;
  if (!record.Claim(&was_held)) return;
  engine.ClaimedElsewhere(was_held);
  EndUnfinished(record, nullptr, POOL_CANCELLED, reason);
}

}  // namespace
}  // namespace workpool

using namespace workpool;

extern "C" {

pool_status_t pool_token_create(pool_token_t parent_or_0, pool_token_t* out) {
  return Guard(__func__, [&]() -> Status {
    if (out == nullptr) return FailConst(POOL_E_INVALID, "out is NULL");
    *out = 0;
    Handles* handles = EnsureHandles();
    if (handles == nullptr) return POOL_E_NOMEM;
    const OptionalHeld<Token> parent(handles->tokens, parent_or_0);
    if (parent.status() != POOL_OK) return parent.status();
    Token* token = Token::Make(parent.get());
    if (token == nullptr) return POOL_E_NOMEM;
    const pool_token_t handle = handles->tokens.Insert(token);
    if (handle == 0) {
      token->Unref();
      return POOL_E_NOMEM;
    }
    token->handle = *out = handle;
    return POOL_OK;
  });
}

pool_status_t pool_token_cancel(pool_token_t token, int32_t reason) {
  return Guard(__func__, [&]() -> Status {
    if (reason > -1000 && reason != 0 && reason != POOL_E_CANCELLED) {
      return Fail(POOL_E_INVALID, "reason = %d is none of yours; use 0, or a code <= -1000", reason);
    }
    return WithToken(token, [&](Token& t) -> Status {
      t.Cancel(reason == 0 ? POOL_E_CANCELLED : reason, {&TakeMember, &EndMember});
      return POOL_OK;
    });
  });
}

int32_t pool_token_reason(pool_token_t token) {
  return Guard(__func__, [&] { return WithToken(token, [](Token& t) -> Status { return t.reason(); }); });
}

pool_status_t pool_token_release(pool_token_t token) {
  return Guard(__func__, [&] { return GiveBackHandle(&Handles::tokens, token); });
}

}  // extern "C"
