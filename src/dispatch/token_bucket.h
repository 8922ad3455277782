// TokenBucket: at most count starts in each period, and burst at once. The bucket starts full.
// Arithmetic is exact: what is earned between two calls is whole tokens and a remainder, which is kept. Over any time t
// at most count * t / period + burst tokens go out, and unless it stands full meanwhile all of them but one.
// Threads:   the caller holds a lock. There is no clock in here: now_ns comes in.
// Order:     a now_ns before the last one seen counts as that one. Threads that read the clock before they have the
//            lock come out of order, and what was earned once must not be earned again.
#pragma once

#include <cstdint>

namespace workpool {

struct Rate {
  uint64_t count = 0;  // 0: no limit
  uint64_t period_ns = 1'000'000'000;
  uint64_t burst = 1;
};

class TokenBucket {
 public:
  // A period or a burst of 0 counts as 1.
  TokenBucket(Rate rate, uint64_t now_ns);

  [[nodiscard]] bool TryTake(uint64_t now_ns);

  // Takes a token that may be used at the time returned: now_ns, if there is one. Debt is allowed, and gives each later
  // reservation a later time, up to kNever - 1; until it is paid TryTake refuses.
  [[nodiscard]] uint64_t Reserve(uint64_t now_ns);

  // A token that was taken or reserved, and will not be used. Times that Reserve has returned stay as they are.
  void GiveBack();

  // When TryTake could next succeed: now_ns, if it would now.
  [[nodiscard]] uint64_t NextNs(uint64_t now_ns);

  // Tokens, debt and the part of a token that is already earned stay, up to the new burst; times that Reserve has
  // returned stay as they are. One that was unlimited starts full.
  void SetRate(Rate rate, uint64_t now_ns);

  bool unlimited() const { return rate_.count == 0; }

 private:
  void Earn(uint64_t now_ns);
  // When so many tokens more will have been earned; tokens is not 0.
  [[nodiscard]] uint64_t EarnedNs(uint64_t tokens) const;

  Rate rate_;
  uint64_t last_ns_;
  // Tokens missing from a full bucket; more than burst is debt.
  uint64_t missing_ = 0;
  // What is earned of the next token, in units of 1 / period_ns tokens. 0 when the bucket is full.
  uint64_t part_ = 0;
};

}  // namespace workpool
