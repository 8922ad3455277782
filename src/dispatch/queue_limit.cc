#include "dispatch/queue_limit.h"

#include <algorithm>

namespace workpool {

uint32_t QueueLimit::Acquire(uint32_t count) {
  uint64_t waiting = waiting_.load(kRelaxed);
  for (;;) {
    if (waiting >= limit_) return 0;
    const uint32_t granted = static_cast<uint32_t>(std::min<uint64_t>(count, limit_ - waiting));
    // relaxed: a pure count; what the tasks carry is published by the queue.
    if (waiting_.compare_exchange_weak(waiting, waiting + granted, kRelaxed, kRelaxed)) return granted;
  }
}

uint32_t QueueLimit::Draw(InjectionQueue& queue, uint32_t count) {
  const int64_t credits = queue.Credits();
  if (credits >= static_cast<int64_t>(count)) return count;
  const int64_t wanted = static_cast<int64_t>(count) - credits + static_cast<int64_t>(chunk_);
  int64_t stock = stock_.load(kRelaxed);
  while (stock > 0) {
    const int64_t taken = std::min(stock, wanted);
    if (stock_.compare_exchange_weak(stock, stock - taken, kRelaxed, kRelaxed)) {
      queue.AddCredits(taken);
      break;
    }
  }
  return static_cast<uint32_t>(std::clamp<int64_t>(queue.Credits(), 0, count));
}

bool QueueLimit::TryEnterHeld() {
  int64_t stock = stock_.load(kRelaxed);
  while (stock > 0) {
    if (stock_.compare_exchange_weak(stock, stock - 1, kRelaxed, kRelaxed)) return true;
  }
  return false;
}

void QueueLimit::Recall(InjectionQueue* queues, uint32_t queues_count) {
  for (uint32_t i = 0; i < queues_count; ++i) {
    InjectionQueue& queue = queues[i];
    queue.Lock();
    const int64_t credits = queue.Credits();
    if (credits > 0) {
      queue.AddCredits(-credits);
      stock_.fetch_add(credits, kRelaxed);
    }
    queue.Unlock();
  }
}

void QueueLimit::Left(InjectionQueue& queue, uint32_t count) {
  if (exact()) return;
  queue.AddCredits(count);
  const int64_t excess = queue.Credits() - static_cast<int64_t>(chunk_);
  if (excess > static_cast<int64_t>(chunk_)) {
    queue.AddCredits(-excess);
    stock_.fetch_add(excess, kRelaxed);
  }
}

}  // namespace workpool
