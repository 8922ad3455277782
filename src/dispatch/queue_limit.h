// QueueLimit: how many tasks may wait. Small limits are exact: one shared counter, taken by every submit and
// given back when the task starts. Larger ones are held as credits: each injection queue keeps some under its own
// lock and fetches more from a shared stock in chunks, so that submitters do not all write one line; a task gives
// its credit back when a worker claims it from the queue.
// Children of tasks are exempt: they are counted, and may drive the credits below zero.
// Threads:   all, any thread.
// Invariant: stock + credits of all queues + tasks in all queues + held tasks == limit (credit mode); an unlimited
//            stock is 2^62, which the arithmetic cannot exhaust.
#pragma once

#include <algorithm>
#include <cstdint>

#include "base/cache_line.h"
#include "base/limits.h"
#include "queue/injection_queue.h"

namespace workpool {

class QueueLimit {
 public:
  QueueLimit(uint64_t limit, uint32_t queues, bool exact)
      : limit_(limit),
        exact_(exact),
        chunk_(std::min(limit, kStockMax) / (4 * uint64_t{queues}) + 1),
        stock_(exact_ ? 0 : static_cast<int64_t>(std::min(limit, kStockMax))) {}

  QueueLimit(uint64_t limit, uint32_t queues) : QueueLimit(limit, queues, limit <= kQueueLimitExactMax) {}

  bool exact() const { return exact_; }
  bool unlimited() const { return limit_ == POOL_UNLIMITED; }
  uint64_t limit() const { return limit_; }

  // Exact mode: room for up to count tasks; returns for how many.
  [[nodiscard]] uint32_t Acquire(uint32_t count);
  // For exempt tasks: always.
  void AcquireExempt(uint32_t count) { waiting_.fetch_add(count, kRelaxed); }
  void Release(uint32_t count) { waiting_.fetch_sub(count, kRelaxed); }
  // Exact mode: how many wait.
  [[nodiscard]] uint64_t waiting() const { return waiting_.load(kRelaxed); }
  [[nodiscard]] bool HasRoomExact() const { return waiting_.load(kRelaxed) < limit_; }

  // Credit mode, with the queue's lock held: how many of count tasks may enter.
  [[nodiscard]] uint32_t Draw(InjectionQueue& queue, uint32_t count) ABSL_NO_THREAD_SAFETY_ANALYSIS;
  // Nearly full: brings unused credits back to the stock. Without any queue's lock held.
  void Recall(InjectionQueue* queues, uint32_t queues_count);
  // One task may enter on a credit that lies here. Always false in exact mode, where none do.
  [[nodiscard]] bool MayEnterOne(const InjectionQueue& queue) const ABSL_NO_THREAD_SAFETY_ANALYSIS {
    return queue.Credits() > 0;
  }
  // count tasks have left the queue.
  void Left(InjectionQueue& queue, uint32_t count) ABSL_NO_THREAD_SAFETY_ANALYSIS;
  // A task waits elsewhere, without a queue. False: no credit is in the stock.
  [[nodiscard]] bool TryEnterHeld();
  void EnterHeldExempt() {
    if (!exact_) stock_.fetch_sub(1, kRelaxed);
  }
  void LeaveHeld() {
    if (!exact_) stock_.fetch_add(1, kRelaxed);
  }
  [[nodiscard]] bool StockApprox() const { return stock_.load(kRelaxed) > 0; }

 private:
  static constexpr uint64_t kStockMax = uint64_t{1} << 62;

  const uint64_t limit_;
  const bool exact_;
  const uint64_t chunk_;
  alignas(kCacheLine) Atomic<uint64_t> waiting_{0};
  alignas(kCacheLine) Atomic<int64_t> stock_;
};

}  // namespace workpool
