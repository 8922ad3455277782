#include "task/dead_letters.h"

#include <utility>

#include "base/memory.h"

namespace workpool {

DeadLetters::~DeadLetters() {
  while (Kept* kept = oldest_) {
    oldest_ = kept->next;
    Delete(kept);
  }
}

DeadLetters::Kept* DeadLetters::Unlink() {
  Kept* kept = oldest_;
  if (kept == nullptr) return nullptr;
  oldest_ = kept->next;
  if (oldest_ == nullptr) newest_ = nullptr;
  --count_;
  return kept;
}

void DeadLetters::Keep(const pool_dead_letter_t& letter) {
  Kept* kept = New<Kept>(Kept{letter, nullptr});
  Kept* surplus = nullptr;
  {
    MutexLock lock(mu_);
    if (kept == nullptr) {
      ++lost_;
      return;
    }
    (newest_ != nullptr ? newest_->next : oldest_) = kept;
    newest_ = kept;
    if (++count_ > limit_) {
      ++lost_;
      surplus = Unlink();
    }
  }
  Delete(surplus);
}

bool DeadLetters::Take(pool_dead_letter_t* out) {
  Kept* kept = nullptr;
  {
    MutexLock lock(mu_);
    kept = Unlink();
  }
  if (kept == nullptr) return false;
  *out = kept->letter;
  Delete(kept);
  return true;
}

uint64_t DeadLetters::TakeLost() {
  MutexLock lock(mu_);
  return std::exchange(lost_, 0);
}

}  // namespace workpool
