// Budget: several pools under one cap of workers (scaling/budget_share.h says who gets how many).
// Each pool is a member. It says how many workers it wants and how many are up, and is told how many may be. What one
// does not want the others have meanwhile, and give back on demand: at task boundaries, because a worker that runs a
// task is not taken from it.
//
// Threads:   any, but Update of one member from one thread at a time, and between the reading of up and the storing of
//            what Update returned no worker of it starts. changed is called without a lock of the budget, by the thread
//            whose call changed things, before that call returns. It must call nothing of the budget, and take no lock
//            that a caller of the budget may hold: it sets a flag, and wakes the one who looks.
// Invariant: a member holds its allowance, or what it has up if that is more. What all hold together is at most the
//            cap; a lower cap, or a member that says that more are up than its allowance was, only lets it fall. That
//            is why a smaller allowance counts as given back only when its member has been told by Update.
// A forked child has no use for its parent's budgets: their lock may be held by a thread that is not there.
#pragma once

#include <cstdint>
#include <span>

#include "base/api.h"
#include "base/atomic.h"
#include "base/mutex.h"
#include "scaling/budget_share.h"
#include "scaling/jobserver.h"

namespace workpool {

inline constexpr uint32_t kBudgetMembersMax = 256;

class Budget;

// One pool's part in a budget. Lies in the pool.
class BudgetMember {
 public:
  // changed(user) says that the allowance would now be another one: call Update soon.
  using ChangedFn = void (*)(void* user);

  BudgetMember(ChangedFn changed, void* user) : changed_(changed), user_(user) {}
  BudgetMember(const BudgetMember&) = delete;
  BudgetMember& operator=(const BudgetMember&) = delete;

  // Null before Join and after Leave; the member's own threads.
  [[nodiscard]] Budget* budget() const { return budget_; }

 private:
  friend class Budget;

  const ChangedFn changed_;
  void* const user_;
  Budget* budget_ = nullptr;
  // ---- under the budget's lock
  uint32_t index_ = 0;
  uint32_t allowance_ = 0;  // as Update returned it last
  uint32_t announced_ = 0;  // what it would be, when changed was last called or became due
  bool due_ = false;        // changed is to be called
  bool leaving_ = false;
  // Calls of changed that are going on.
  Atomic<uint32_t> calls_{0};
};

class Budget {
 public:
  // cap: workers of all members together that may be up; 0: no cap. Made by New with one reference, ends with the last.
  explicit Budget(uint32_t cap) : by_tokens_(false), cap_(cap) {}
  // Its cap is what make's jobserver gives: tokens are taken for what is wanted, and given back when it is not. At least 1,
  // the job that this process is.
  explicit Budget(Jobserver& jobserver);
  ~Budget();
  Budget(const Budget&) = delete;
  Budget& operator=(const Budget&) = delete;

  void Ref() { refs_.fetch_add(1, kRelaxed); }
  void Unref();

  [[nodiscard]] bool follows_tokens() const { return by_tokens_; }

  // Live. It may be less than the floors need; then they are scaled down.
  void SetCap(uint32_t cap);

  // With nothing wanted and an allowance of 0. Each member keeps a reference.
  // OK; INVALID: a weight not in 1 ... 1000, floors that do not fit under the cap, a member already, too many members.
  [[nodiscard]] Status Join(BudgetMember& member, uint32_t floor, uint32_t weight);

  // Everything it held is free at once, so none of its workers may be up any more. No call of changed is going on on
  // return, and none comes.
  void Leave(BudgetMember& member);

  // Called whenever one of the two has changed, and after changed. Returns how many of the member's workers may be up
  // from now on, at most wanted. If these are fewer than up it lets workers go as they end their tasks; one that has
  // just been started runs a task first, or two members could pass a worker to each other for ever.
  [[nodiscard]] uint32_t Update(BudgetMember& member, uint32_t wanted, uint32_t up);

  struct Reading {
    uint32_t cap = 0;
    uint32_t members = 0;
    uint64_t held = 0;
    uint64_t up = 0;
    uint64_t wanted = 0;
  };
  [[nodiscard]] Reading Read();

 private:
  std::span<BudgetShare> Shares() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) { return {shares_, count_}; }
  // What the member wants, has up and holds is now this.
  void Note(uint32_t index, uint32_t wanted, uint32_t up, uint32_t held) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // Shares out anew, and finds who is to be told of it.
  void ShareAnew() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // As many tokens as are wanted or held, as far as there are.
  void FollowTokens() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // Calls changed of all who are to be told.
  void Tell() ABSL_LOCKS_EXCLUDED(mu_);

  const bool by_tokens_;
  Atomic<uint32_t> refs_{1};
  Mutex mu_;
  uint32_t cap_ ABSL_GUARDED_BY(mu_);
  JobserverTokens* tokens_ ABSL_GUARDED_BY(mu_) = nullptr;  // or nullptr: the cap is given
  uint32_t count_ ABSL_GUARDED_BY(mu_) = 0;
  uint64_t moments_ ABSL_GUARDED_BY(mu_) = 0;  // for BudgetShare::since
  // In the order of joining, side by side.
  BudgetShare shares_[kBudgetMembersMax] ABSL_GUARDED_BY(mu_) = {};
  BudgetMember* members_[kBudgetMembersMax] ABSL_GUARDED_BY(mu_) = {};
};

}  // namespace workpool
