// DeadLetters: what has failed for good, kept for whoever asks: the last so many.
// Threads: all, any thread.
#pragma once

#include <cstdint>

#include "base/api.h"
#include "base/mutex.h"

namespace workpool {

class DeadLetters {
 public:
  // limit 0: none is kept.
  explicit DeadLetters(uint32_t limit) : limit_(limit) {}
  ~DeadLetters();
  DeadLetters(const DeadLetters&) = delete;
  DeadLetters& operator=(const DeadLetters&) = delete;

  bool on() const { return limit_ != 0; }
  uint32_t limit() const { return limit_; }

  // Beyond the limit the oldest one goes, and is lost; without memory, this one.
  void Keep(const pool_dead_letter_t& letter);
  // The oldest one, which is kept no longer. False: there is none.
  [[nodiscard]] bool Take(pool_dead_letter_t* out);
  // How many were lost since this was last asked.
  [[nodiscard]] uint64_t TakeLost();

 private:
  struct Kept {
    pool_dead_letter_t letter;
    Kept* next;
  };

  [[nodiscard]] Kept* Unlink() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  const uint32_t limit_;
  Mutex mu_;
  Kept* oldest_ ABSL_GUARDED_BY(mu_) = nullptr;
  Kept* newest_ ABSL_GUARDED_BY(mu_) = nullptr;
  uint32_t count_ ABSL_GUARDED_BY(mu_) = 0;
  uint64_t lost_ ABSL_GUARDED_BY(mu_) = 0;
};

}  // namespace workpool
