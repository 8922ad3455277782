#include "dispatch/dispatcher.h"

#include <algorithm>
#include <new>

namespace workpool {

Dispatcher::Dispatcher(uint64_t queue_limit, uint32_t queues)
    : count_(queues), mask_(queues - 1), limit_(queue_limit, queues) {}

Dispatcher::~Dispatcher() {
  if (queues_ == nullptr) return;
  for (uint32_t i = 0; i < count_; ++i) queues_[i].~InjectionQueue();
  FreeBytes(queues_, count_ * sizeof(InjectionQueue));
}

bool Dispatcher::Allocate() {
  auto* memory = static_cast<InjectionQueue*>(
      AllocateBytes(count_ * sizeof(InjectionQueue), alignof(InjectionQueue)));
  if (memory == nullptr) return false;
  for (uint32_t i = 0; i < count_; ++i) new (&memory[i]) InjectionQueue();
  queues_ = memory;
  return true;
}

InjectionQueue& Dispatcher::LockOne(uint32_t hint) ABSL_NO_THREAD_SAFETY_ANALYSIS {
  for (uint32_t i = 0; i < count_; ++i) {
    InjectionQueue& queue = queues_[(hint + i) & mask_];
    if (queue.TryLock()) return queue;
  }
  InjectionQueue& home = queues_[hint & mask_];
  home.Lock();
  return home;
}

Dispatcher::PushResult Dispatcher::Push(const Slot* slots, uint32_t count, uint32_t hint,
                                        Admission admission,
                                        bool counted) ABSL_NO_THREAD_SAFETY_ANALYSIS {
  uint32_t admitted = count;
  if (limit_.exact() && counted) {
    if (admission == Admission::kExempt) {
      limit_.AcquireExempt(count);
    } else {
      admitted = limit_.Acquire(count);
      if (admitted == 0) return {0, POOL_E_FULL};
    }
  }
  // A large array goes to the shorter of two queues, so that its takers do not all want the same lock.
  if (count >= kBatchMax && queues_[(hint + 1) & mask_].Size() < queues_[hint & mask_].Size()) ++hint;
  InjectionQueue* queue = &LockOne(hint);
  if (!limit_.exact() && admission == Admission::kLimited) {
    admitted = limit_.Draw(*queue, count);
    if (admitted < count) {
      queue->Unlock();
      limit_.Recall(queues_, count_);
      queue = &LockOne(hint);
      admitted = limit_.Draw(*queue, count);
    }
  }
  const uint32_t pushed = admitted == 0 ? 0 : queue->Push(slots, admitted, counted);
  queue->Unlock();
  if (limit_.exact() && counted && pushed < admitted) limit_.Release(admitted - pushed);
  if (pushed == count) return {pushed, POOL_OK};
  return {pushed, pushed < admitted ? POOL_E_NOMEM : POOL_E_FULL};
}

uint32_t Dispatcher::Take(Slot* out, uint32_t max, uint32_t hint,
                          uint32_t sharers) ABSL_NO_THREAD_SAFETY_ANALYSIS {
  for (uint32_t i = 0; i < count_; ++i) {
    InjectionQueue& queue = queues_[(hint + i) & mask_];
    if (queue.Size() == 0) continue;
    // A locked queue is being fed or emptied; who holds it looks after what is in it.
    if (!queue.TryLock()) continue;
    const uint64_t share = (queue.Size() + sharers - 1) / sharers;
    const uint32_t taken =
        queue.Take(out, static_cast<uint32_t>(std::min<uint64_t>(std::max<uint64_t>(share, 1), max)));
    if (taken > 0) limit_.Left(queue, taken);
    InjectionQueue::Block* surplus = queue.DetachSurplus();
    queue.Unlock();
    if (surplus != nullptr) [[unlikely]] InjectionQueue::FreeBlocks(surplus);
    if (taken > 0) return taken;
  }
  return 0;
}

void Dispatcher::GiveBackMemory() ABSL_NO_THREAD_SAFETY_ANALYSIS {
  const size_t keep_bytes = std::max(kIdleBytes / count_, kIdleBytesOfOne);
  for (uint32_t i = 0; i < count_; ++i) {
    InjectionQueue& queue = queues_[i];
    if (queue.SpareBytes() <= keep_bytes || !queue.TryLock()) continue;
    InjectionQueue::Block* surplus = queue.DetachBacklog(keep_bytes);
    queue.Unlock();
    InjectionQueue::FreeBlocks(surplus);
  }
}

uint32_t Dispatcher::Purge(bool (*drop)(Slot slot)) ABSL_NO_THREAD_SAFETY_ANALYSIS {
  uint32_t purged = 0;
  for (uint32_t i = 0; i < count_; ++i) {
    InjectionQueue& queue = queues_[i];
    queue.Lock();
    const uint32_t here = queue.Purge(drop);
    limit_.Left(queue, here);
    InjectionQueue::Block* surplus = queue.DetachSurplus();
    queue.Unlock();
    InjectionQueue::FreeBlocks(surplus);
    purged += here;
  }
  return purged;
}

uint64_t Dispatcher::Size() const {
  uint64_t size = 0;
  for (uint32_t i = 0; i < count_; ++i) size += queues_[i].Size();
  return size;
}

bool Dispatcher::HasTasks() const {
  if (queues_ == nullptr) return false;  // a pool that could not be made
  for (uint32_t i = 0; i < count_; ++i) {
    if (queues_[i].Size() != 0) return true;
  }
  return false;
}

uint64_t Dispatcher::SubmittedCount() const {
  uint64_t sum = 0;
  for (uint32_t i = 0; i < count_; ++i) sum += queues_[i].SubmittedCount();
  return sum;
}

bool Dispatcher::HasRoom() const {
  if (limit_.unlimited()) return true;
  if (limit_.exact()) return limit_.HasRoomExact();
  if (limit_.StockApprox()) return true;
  return Size() < limit_.limit();
}

}  // namespace workpool
