#include "dispatch/dispatcher.h"

#include <algorithm>
#include <new>

#include "base/clock.h"

namespace workpool {

Dispatcher::Dispatcher(const Options& options, const IdleSet& idle)
    : count_(options.queues),
      mask_(options.queues - 1),
      all_(options.queues + (options.lanes > 1 ? options.lanes : 0)),
      lane_limit_(options.lane_limit),
      limit_(options.queue_limit, all_, options.exact),
      lanes_(options.lanes, options.aging_ns),
      idle_(idle),
      by_order_(options.strategy == POOL_STRATEGY_LIFO || options.strategy == POOL_STRATEGY_PRIORITY),
      ordered_(options.strategy == POOL_STRATEGY_LIFO ? OrderedQueue::Order::kNewestFirst
                                                      : OrderedQueue::Order::kPriority) {}

Dispatcher::~Dispatcher() {
  if (queues_ == nullptr) return;
  for (uint32_t i = 0; i < all_; ++i) queues_[i].~InjectionQueue();
  FreeBytes(queues_, all_ * sizeof(InjectionQueue));
}

bool Dispatcher::Allocate() {
  auto* memory = static_cast<InjectionQueue*>(
      AllocateBytes(all_ * sizeof(InjectionQueue), alignof(InjectionQueue)));
  if (memory == nullptr) return false;
  for (uint32_t i = 0; i < all_; ++i) new (&memory[i]) InjectionQueue();
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

// With the limit's credits: how many of count may enter queue, which is locked, and is perhaps another one on return.
uint32_t Dispatcher::Admit(InjectionQueue*& queue, uint32_t count, uint32_t hint,
                           int32_t priority) ABSL_NO_THREAD_SAFETY_ANALYSIS {
  const uint32_t admitted = limit_.Draw(*queue, count);
  if (admitted == count) return admitted;
  queue->Unlock();
  limit_.Recall(queues_, all_);
  if (priority == 0) {
    queue = &LockOne(hint);
  } else {
    queue->Lock();
  }
  return limit_.Draw(*queue, count);
}

Dispatcher::PushResult Dispatcher::PushOrdered(const Slot* slots, uint32_t count, bool counted, int32_t priority) {
  ordered_.Lock();
  const uint32_t pushed = ordered_.Push(slots, count, priority, counted);
  ordered_.Unlock();
  return {pushed, pushed == count ? POOL_OK : POOL_E_NOMEM};
}

Dispatcher::PushResult Dispatcher::Push(const Slot* slots, uint32_t count, uint32_t hint,
                                        Admission admission, bool counted,
                                        int32_t priority) ABSL_NO_THREAD_SAFETY_ANALYSIS {
  uint32_t admitted = count;
  if (limit_.exact() && counted) {
    if (admission == Admission::kExempt) {
      limit_.AcquireExempt(count);
    } else {
      admitted = limit_.Acquire(count);
      if (admitted == 0) return {0, POOL_E_FULL};
    }
  }
  PushResult result{0, POOL_OK};
  if (by_order_) {
    result = PushOrdered(slots, admitted, counted, priority);
  } else {
    InjectionQueue* queue;
    if (priority == 0) {
      // A large array goes to the shorter of two queues, so that its takers do not all want the same lock.
      if (count >= kBatchMax && queues_[(hint + 1) & mask_].Size() < queues_[hint & mask_].Size()) ++hint;
      queue = &LockOne(hint);
    } else {
      queue = &LaneOf(priority);
      queue->Lock();
      lanes_used_.store(true, kRelaxed);
    }
    uint32_t wanted = admitted;
    if (!limit_.exact() && admission == Admission::kLimited) wanted = Admit(queue, admitted, hint, priority);
    if (priority != 0 && admission == Admission::kLimited) {
      const uint64_t limit = lane_limit_.load(kRelaxed);
      const uint64_t size = queue->Size();
      wanted = static_cast<uint32_t>(std::min<uint64_t>(wanted, limit > size ? limit - size : 0));
    }
    const bool first = priority != 0 && queue->Size() == 0;
    result.accepted = wanted == 0 ? 0 : queue->Push(slots, wanted, counted);
    if (first && result.accepted > 0) lanes_.BeginsToWait(lanes_.IndexOf(priority), NowNs());
    queue->Unlock();
    if (result.accepted < wanted) result.status = POOL_E_NOMEM;
  }
  if (limit_.exact() && counted && result.accepted < admitted) limit_.Release(admitted - result.accepted);
  if (result.status == POOL_OK && result.accepted < count) result.status = POOL_E_FULL;
  return result;
}

bool Dispatcher::PutBack(Slot slot, uint32_t hint, TaskPlace place) ABSL_NO_THREAD_SAFETY_ANALYSIS {
  const int32_t priority = place.priority;
  bool pushed;
  if (by_order_) {
    ordered_.Lock();
    pushed = ordered_.PutBack(slot, place);
    ordered_.Unlock();
    return pushed;
  }
  InjectionQueue& queue = priority == 0 ? LockOne(hint) : LaneOf(priority);
  if (priority != 0) {
    queue.Lock();
    if (queue.Size() == 0) lanes_.BeginsToWait(lanes_.IndexOf(priority), NowNs());
  }
  pushed = queue.PutBack(slot);
  queue.Unlock();
  return pushed;
}

Status Dispatcher::EnterHeld(Admission admission) {
  bool entered = true;
  if (limit_.exact()) {
    if (admission == Admission::kExempt) {
      limit_.AcquireExempt(1);
    } else {
      entered = limit_.Acquire(1) == 1;
    }
  } else if (admission == Admission::kExempt) {
    limit_.EnterHeldExempt();
  } else if (!limit_.TryEnterHeld()) {
    limit_.Recall(queues_, all_);
    entered = limit_.TryEnterHeld();
  }
  if (!entered) return POOL_E_FULL;
  held_.fetch_add(1, kRelaxed);
  return POOL_OK;
}

void Dispatcher::EnterHeldExempt() {
  limit_.EnterHeldExempt();
  held_.fetch_add(1, kRelaxed);
}

void Dispatcher::LeaveHeld() {
  limit_.LeaveHeld();
  held_.fetch_sub(1, kRelaxed);
}

uint32_t Dispatcher::WaitingLanes() const {
  uint32_t waits = 0;
  for (uint32_t lane = 0; lane < lanes_.count(); ++lane) {
    if (LaneAt(lane).Size() != 0) waits |= 1u << lane;
  }
  return waits;
}

bool Dispatcher::LanesPress() const {
  if (!lanes_used()) return false;
  const uint32_t waits = WaitingLanes();
  if (waits == 0) return false;
  return (waits & ((1u << lanes_.normal()) - 1)) != 0 || lanes_.LowIsDue(waits, NowNs());
}

uint64_t Dispatcher::LaneDueNs(int32_t priority) const {
  return by_order_ || priority == 0 ? kNever : lanes_.DueNs(lanes_.IndexOf(priority));
}

bool Dispatcher::TakeHead(InjectionQueue& queue, Slot* out, bool to_run) ABSL_NO_THREAD_SAFETY_ANALYSIS {
  if (queue.Size() == 0) return false;
  queue.Lock();
  const uint32_t taken = to_run && Paused() ? 0 : queue.Take(out, 1);
  const auto index = static_cast<uint32_t>(&queue - queues_);
  if (index >= count_ && queue.Size() == 0) lanes_.Emptied(index - count_);
  if (taken > 0) limit_.Left(queue, taken);
  InjectionQueue::Block* surplus = queue.DetachSurplus();
  queue.Unlock();
  InjectionQueue::FreeBlocks(surplus);
  return taken > 0;
}

bool Dispatcher::NormalWaits() const {
  for (uint32_t i = 0; i < count_; ++i) {
    if (queues_[i].Size() != 0) return true;
  }
  return false;
}

bool Dispatcher::TakeFromLanes(Slot* out, Ordinary ordinary, LaneTurn& turn, TaskPlace* place) {
  turn.normal_first = false;
  if (!lanes_used()) return false;
  for (;;) {
    const uint32_t waits = WaitingLanes();
    if (waits == 0 || Paused()) return false;
    const uint32_t normal = lanes_.normal();
    const bool normal_waits = ordinary == Ordinary::kHere || (ordinary == Ordinary::kPerhaps && NormalWaits());
    const uint64_t now_ns = NowNs();
    const uint32_t lane = lanes_.Choose(waits | (normal_waits ? 1u << normal : 0), now_ns, turn);
    if (lane == normal) {
      turn.normal_first = true;
      return false;
    }
    // What other workers have in their own queues goes before a lower lane, unless that is due.
    if (ordinary == Ordinary::kPerhaps && lane > normal && lanes_.DueNs(lane) > now_ns) return false;
    InjectionQueue& queue = queues_[count_ + lane];
    if (!TakeHead(queue, out, true)) continue;
    *place = {.priority = lanes_.PriorityOf(lane)};
    return true;
  }
}

bool Dispatcher::TakeOldest(Slot* out, uint32_t hint) {
  if (by_order_) {
    ordered_.Lock();
    const bool taken = ordered_.TakeOldest(out);
    ordered_.Unlock();
    return taken;
  }
  for (uint32_t i = 0; i < count_; ++i) {
    if (TakeHead(queues_[(hint + i) & mask_], out)) return true;
  }
  for (uint32_t lane = lanes_.count(); lane-- > 0;) {
    if (all_ > count_ && TakeHead(queues_[count_ + lane], out)) return true;
  }
  return false;
}

bool Dispatcher::TakeLowest(Slot* out, int32_t below) {
  if (by_order_) {
    ordered_.Lock();
    const bool taken = ordered_.TakeLowest(below, out);
    ordered_.Unlock();
    return taken;
  }
  for (int32_t priority = lanes_.lowest(); priority < below; ++priority) {
    if (priority == 0) {
      for (uint32_t i = 0; i < count_; ++i) {
        if (TakeHead(queues_[i], out)) return true;
      }
    } else if (TakeHead(LaneOf(priority), out)) {
      return true;
    }
  }
  return false;
}

uint32_t Dispatcher::Take(Slot* out, uint32_t max, uint32_t hint, uint32_t sharers,
                          TaskPlace* place) ABSL_NO_THREAD_SAFETY_ANALYSIS {
  if (by_order_) {
    if (ordered_.Size() == 0) return 0;
    ordered_.Lock();
    const bool taken = !Paused() && ordered_.Take(out, place);
    ordered_.Unlock();
    return taken ? 1 : 0;
  }
  for (uint32_t i = 0; i < count_; ++i) {
    InjectionQueue& queue = queues_[(hint + i) & mask_];
    if (queue.Size() == 0) continue;
    // A locked queue is being fed or emptied; who holds it looks after what is in it.
    if (!queue.TryLock()) continue;
    const uint64_t share = (queue.Size() + sharers - 1) / sharers;
    const uint32_t wanted = static_cast<uint32_t>(std::min<uint64_t>(std::max<uint64_t>(share, 1), max));
    const uint32_t taken = Paused() ? 0 : queue.Take(out, wanted);
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
  if (by_order_ && ordered_.HeldBytes() > keep_bytes) ordered_.GiveBackMemory(keep_bytes);
  for (uint32_t i = 0; i < all_; ++i) {
    InjectionQueue& queue = queues_[i];
    if (queue.SpareBytes() <= keep_bytes || !queue.TryLock()) continue;
    InjectionQueue::Block* surplus = queue.DetachBacklog(keep_bytes);
    queue.Unlock();
    InjectionQueue::FreeBlocks(surplus);
  }
}

uint32_t Dispatcher::Purge(bool (*drop)(Slot slot)) ABSL_NO_THREAD_SAFETY_ANALYSIS {
  uint32_t purged = 0;
  if (by_order_) {
    ordered_.Lock();
    purged = ordered_.Purge(drop);
    ordered_.Unlock();
    return purged;
  }
  for (uint32_t i = 0; i < all_; ++i) purged += PurgeQueue(queues_[i], drop);
  return purged;
}

uint32_t Dispatcher::PurgeQueue(InjectionQueue& queue, bool (*drop)(Slot slot)) ABSL_NO_THREAD_SAFETY_ANALYSIS {
  queue.Lock();
  const uint32_t purged = queue.Purge(drop);
  limit_.Left(queue, purged);
  InjectionQueue::Block* surplus = queue.DetachSurplus();
  queue.Unlock();
  InjectionQueue::FreeBlocks(surplus);
  return purged;
}

uint64_t Dispatcher::Size() const {
  uint64_t size = ordered_.Size();
  for (uint32_t i = 0; i < all_; ++i) size += queues_[i].Size();
  return size;
}

bool Dispatcher::HasTasks() const {
  if (queues_ == nullptr) return false;  // a pool that could not be made
  if (by_order_ && ordered_.Size() != 0) return true;
  for (uint32_t i = 0; i < all_; ++i) {
    if (queues_[i].Size() != 0) return true;
  }
  return false;
}

uint64_t Dispatcher::SubmittedCount() const {
  uint64_t sum = ordered_.SubmittedCount();
  for (uint32_t i = 0; i < all_; ++i) sum += queues_[i].SubmittedCount();
  return sum;
}

bool Dispatcher::HasRoom() const {
  if (limit_.unlimited()) return true;
  if (limit_.exact()) return limit_.HasRoomExact();
  if (limit_.StockApprox()) return true;
  return Size() + static_cast<uint64_t>(std::max<int64_t>(held_.load(kRelaxed), 0)) < limit_.limit();
}

}  // namespace workpool
