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
  if (queue.credits >= static_cast<int64_t>(count)) return count;
  const int64_t wanted = static_cast<int64_t>(count) - queue.credits + static_cast<int64_t>(chunk_);
  int64_t stock = stock_.load(kRelaxed);
  while (stock > 0) {
    const int64_t taken = std::min(stock, wanted);
    if (stock_.compare_exchange_weak(stock, stock - taken, kRelaxed, kRelaxed)) {
      queue.credits += taken;
      break;
    }
  }
  return static_cast<uint32_t>(std::clamp<int64_t>(queue.credits, 0, count));
}

void QueueLimit::Recall(InjectionQueue* queues, uint32_t queues_count) {
  for (uint32_t i = 0; i < queues_count; ++i) {
    InjectionQueue& queue = queues[i];
    queue.Lock();
    if (queue.credits > 0) {
      stock_.fetch_add(queue.credits, kRelaxed);
      queue.credits = 0;
    }
    queue.Unlock();
  }
}

void QueueLimit::Left(InjectionQueue& queue, uint32_t count) {
  if (exact() || unlimited()) return;
  queue.credits += count;
  if (queue.credits > static_cast<int64_t>(2 * chunk_)) {
    stock_.fetch_add(queue.credits - static_cast<int64_t>(chunk_), kRelaxed);
    queue.credits = static_cast<int64_t>(chunk_);
  }
}

}  // namespace workpool
