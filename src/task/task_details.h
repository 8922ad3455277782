// What only some tasks have: callbacks, a place among others, rules for its time and its failures, a result that somebody
// asks for. It lies behind the record, in one piece of memory with it.
#pragma once

#include <cstdint>

#include "task/attempts.h"
#include "task/backoff.h"
#include "task/gate.h"
#include "task/membership.h"
#include "task/task_record.h"

namespace workpool {

class CompletionQueue;
class Group;
class Token;
struct TaskClass;

// When a task that failed runs again.
struct RetryRules {
  uint32_t retries_max = 0;
  bool on_failure = false;       // also if it has not asked for it
  pool_retry_fn filter = nullptr;
  Backoff backoff{};
};

struct TaskDetails {
  // ---- constant once accepted
  DoneFn done = nullptr;
  uint64_t pool = 0;     // handle of the pool, for those who cannot be sure that it still lives
  uint64_t ticket = 0;
  Group* group = nullptr;  // owned references
  Token* token = nullptr;
  CompletionQueue* completions = nullptr;
  char* name = nullptr;    // owned, or nullptr
  uint64_t key = 0;
  TaskClass* task_class = nullptr;
  uint64_t cost_bytes = 0;
  uint64_t deadline_ns = kNever;  // no attempt begins after
  uint64_t run_timeout_ns = 0;
  uint64_t period_ns = 0;
  bool fixed_delay = false;
  RetryRules retry;

  // ---- the claimer's, or whoever moves it on
  uint64_t expire_ns = kNever;  // the next attempt does not begin after
  uint64_t start_ns = 0;        // when the next attempt is to begin
  uint64_t grid_ns = 0;         // when the last period began
  bool in_done = false;         // its done is running
  uint64_t begun_ns = 0;        // when the last attempt began
  Attempts* before = nullptr;   // owned: those that failed before the last one, where dead letters are wanted; or nullptr
  uint32_t retries = 0;         // since it last succeeded

  Atomic<uint64_t> ready_ns{0};  // when it was last queued after it was held, where that is asked for
  // Tokens of rates that it has for its next attempt: of its class and of its pool.
  Atomic<bool> class_token{false};
  Atomic<bool> pool_token{false};

  // ---- written under the lock of the gate
  Atomic<bool> inside_key{false};
  Atomic<bool> inside_class{false};
  TaskRecord* behind = nullptr;       // the next that waits at the same gate
  TaskRecord* same_bucket = nullptr;  // inside by its key: the next one in its bucket
  GateLine line;                      // and those of its key that wait

  // ---- the result: written by the claimer, read by anyone once it is over
  int32_t outcome = 0;
  int32_t code = 0;
  uint32_t attempts = 0;
  int32_t worker = -1;
  uint32_t flags = 0;
  uint64_t value = 0;
  uint64_t wait_ns = 0;
  uint64_t run_ns = 0;
  char* text = nullptr;    // owned, or nullptr

  // ---- under the lock of the members
  Membership in_group;
  Membership under_token;

  [[nodiscard]] const char* Name() const { return name != nullptr ? name : ""; }
  [[nodiscard]] pool_attempt_t LastAttempt() const {
    return {.struct_size = sizeof(pool_attempt_t), .code = code, .worker = worker, .reserved = 0, .start_ns = begun_ns,
            .run_ns = run_ns};
  }
  // The last attempt is to be followed by another one. Out of memory it is forgotten.
  void KeepAttempt();
  // Out of memory it stays without.
  void SetText(const char* source);
  void CopyResult(pool_result_t* out) const;
};

// Of a record that has some.
inline TaskDetails& DetailsOf(TaskRecord& record) {
  TaskDetails* details = record.details();
  if (details == nullptr) __builtin_unreachable();
  return *details;
}

// record waits in the line of its key until first, which runs on the calling thread or around it, has ended.
[[nodiscard]] bool StandsBehind(const TaskRecord& record, const TaskRecord& first);

// A copy of text in memory of its own; nullptr: out of memory.
[[nodiscard]] char* CopyText(const char* text);
void FreeText(char* text);

}  // namespace workpool
