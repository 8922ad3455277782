#include "scaling/budget.h"

#include <algorithm>

#include "base/error.h"
#include "base/futex.h"
#include "base/memory.h"

namespace workpool {

void Budget::Unref() {
  // acq_rel: all uses happen before the delete.
  if (refs_.fetch_sub(1, kAcqRel) == 1) Delete(this);
}

Budget::Budget(Jobserver& jobserver) : by_tokens_(true), cap_(1), tokens_(New<JobserverTokens>(jobserver)) {}

Budget::~Budget() { Delete(tokens_); }

void Budget::FollowTokens() {
  if (tokens_ == nullptr) return;
  uint64_t count = 0;
  uint64_t held = 0;
  for (const BudgetShare& share : Shares()) {
    count += share.wanted;
    held += share.held;
  }
  count = std::min<uint64_t>(std::max(count, held), kJobserverTokensMax);
  cap_ = std::max(1u, tokens_->Adjust(static_cast<uint32_t>(count)));
}

void Budget::SetCap(uint32_t cap) {
  {
    MutexLock lock(mu_);
    cap_ = cap;
    ShareAnew();
  }
  Tell();
}

Status Budget::Join(BudgetMember& member, uint32_t floor, uint32_t weight) {
  if (weight == 0 || weight > kBudgetWeightMax) {
    return Fail(POOL_E_INVALID, "options.budget_weight = %u is not 1 to %u", weight, kBudgetWeightMax);
  }
  if (member.budget_ != nullptr) return Fail(POOL_E_INVALID, "the pool is in a budget already");
  MutexLock lock(mu_);
  uint64_t floors = floor;
  for (const BudgetShare& share : Shares()) floors += share.floor;
  if (cap_ != 0 && floors > cap_) {
    return Fail(POOL_E_INVALID, "a floor of %u workers makes %llu with those of the other pools, and the budget has %u",
                floor, static_cast<unsigned long long>(floors), cap_);
  }
  if (count_ == kBudgetMembersMax) return Fail(POOL_E_INVALID, "%u pools are in the budget already", count_);
  const uint32_t index = count_++;
  shares_[index] = {};
  shares_[index].floor = floor;
  shares_[index].weight = weight;
  members_[index] = &member;
  member.index_ = index;
  member.allowance_ = 0;
  member.announced_ = 0;
  member.due_ = false;
  member.leaving_ = false;
  member.budget_ = this;
  Ref();
  return POOL_OK;
}

void Budget::Leave(BudgetMember& member) {
  {
    MutexLock lock(mu_);
    for (uint32_t i = member.index_ + 1; i < count_; ++i) {
      shares_[i - 1] = shares_[i];
      members_[i - 1] = members_[i];
      members_[i - 1]->index_ = i - 1;
    }
    --count_;
    member.leaving_ = true;
    FollowTokens();
    ShareAnew();
  }
  Tell();
  // acquire: what a call did happens before the member goes.
  while (const uint32_t calls = member.calls_.load(kAcquire)) (void)FutexWait(member.calls_, calls, kNever);
  // The one who called last is out of its lock.
  { MutexLock lock(mu_); }
  member.budget_ = nullptr;
  Unref();
}

uint32_t Budget::Update(BudgetMember& member, uint32_t wanted, uint32_t up) {
  uint32_t allowance;
  {
    MutexLock lock(mu_);
    const uint32_t index = member.index_;
    const BudgetShare& share = shares_[index];
    // There may be more tokens than a moment ago.
    const bool same = wanted == share.wanted && up == share.up && member.announced_ == member.allowance_;
    if (same && (tokens_ == nullptr || wanted <= member.allowance_)) return member.allowance_;
    Note(index, wanted, up, std::max(up, member.allowance_));
    FollowTokens();
    ShareOut(cap_, Shares());
    allowance = MayHold(cap_, Shares(), index);
    member.allowance_ = allowance;
    member.announced_ = allowance;
    member.due_ = false;
    Note(index, wanted, up, std::max(up, allowance));
    FollowTokens();
    ShareAnew();
  }
  Tell();
  return allowance;
}

Budget::Reading Budget::Read() {
  MutexLock lock(mu_);
  Reading reading;
  reading.cap = cap_;
  reading.members = count_;
  for (const BudgetShare& share : Shares()) {
    reading.held += share.held;
    reading.up += share.up;
    reading.wanted += share.wanted;
  }
  return reading;
}

void Budget::Note(uint32_t index, uint32_t wanted, uint32_t up, uint32_t held) {
  BudgetShare& share = shares_[index];
  const bool held_before = share.held != 0;
  const bool wanted_before = share.wanted != 0;
  share.wanted = wanted;
  share.up = up;
  share.held = held;
  if (held_before != (held != 0) || (held == 0 && wanted_before != (wanted != 0))) share.since = ++moments_;
}

void Budget::ShareAnew() {
  ShareOut(cap_, Shares());
  for (uint32_t i = 0; i < count_; ++i) {
    BudgetMember& member = *members_[i];
    const uint32_t next = MayHold(cap_, Shares(), i);
    if (next == member.announced_) continue;
    member.announced_ = next;
    // Back at what it has: there is nothing to tell, unless it was told of something else, and then it looks by itself.
    member.due_ = next != member.allowance_;
  }
}

void Budget::Tell() {
  for (;;) {
    BudgetMember* member = nullptr;
    {
      MutexLock lock(mu_);
      for (uint32_t i = 0; i < count_ && member == nullptr; ++i) {
        if (members_[i]->due_) member = members_[i];
      }
      if (member == nullptr) return;
      member->due_ = false;
      member->calls_.fetch_add(1, kRelaxed);
    }
    member->changed_(member->user_);
    MutexLock lock(mu_);
    // release: Leave returns after the call. Under the lock, because the member may go as soon as this is seen.
    member->calls_.fetch_sub(1, kRelease);
    if (member->leaving_) FutexWakeAll(member->calls_);
  }
}

}  // namespace workpool
