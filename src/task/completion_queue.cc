#include "task/completion_queue.h"

#include <algorithm>
#include <cerrno>

#include "base/error.h"
#include "base/event_fd.h"
#include "base/memory.h"

namespace workpool {

CompletionQueue* CompletionQueue::Make(uint32_t capacity) {
  auto* ring = static_cast<pool_completion_t*>(
      AllocateBytes(capacity * sizeof(pool_completion_t), alignof(pool_completion_t)));
  if (ring == nullptr) return nullptr;
  auto* queue = New<CompletionQueue>(ring, capacity);
  if (queue == nullptr) FreeBytes(ring, capacity * sizeof(pool_completion_t));
  return queue;
}

CompletionQueue::~CompletionQueue() {
  if (fd_ >= 0) CloseEventFd(fd_);
  FreeBytes(ring_, capacity_ * sizeof(pool_completion_t));
}

void CompletionQueue::Unref() {
  // acq_rel: all uses happen before the delete.
  if (refs_.fetch_sub(1, kAcqRel) == 1) Delete(this);
}

Status CompletionQueue::Reserve() {
  MutexLock lock(mu_);
  if (detached_.load(kRelaxed)) return FailConst(POOL_E_CLOSED, "the completion queue is detached");
  if (reserved_ == capacity_) {
    return FailAtLimit(POOL_E_FULL, "every place of the completion queue is taken; poll it, or make it larger",
                       "capacity", capacity_);
  }
  ++reserved_;
  return POOL_OK;
}

void CompletionQueue::GiveBack() {
  MutexLock lock(mu_);
  --reserved_;
}

void CompletionQueue::Push(const pool_completion_t& completion) {
  {
    MutexLock lock(mu_);
    if (detached_.load(kRelaxed)) return;
    const uint32_t size = size_.load(kRelaxed);
    ring_[(uint64_t{first_} + size) % capacity_] = completion;
    size_.store(size + 1, kRelaxed);
    if (size == 0 && fd_ >= 0) SignalEventFd(fd_);
  }
  ready_.Notify();
}

bool CompletionQueue::BeginCallback() {
  // Counted before the look; partner: Detach, which looks at the count after it has set the flag.
  callbacks_.fetch_add(1, kRelaxed);
  FullFence();
  if (!detached_.load(kRelaxed)) return true;
  EndCallback();
  return false;
}

void CompletionQueue::EndCallback() {
  // release: what the callback did happens before Detach returns.
  callbacks_.fetch_sub(1, kRelease);
  quiet_.Notify();
}

Status CompletionQueue::Poll(pool_completion_t* out, uint32_t cap, uint64_t deadline_ns, uint32_t* count) {
  *count = 0;
  for (;;) {
    {
      MutexLock lock(mu_);
      const uint32_t size = size_.load(kRelaxed);
      const uint32_t taken = std::min(size, cap);
      for (uint32_t i = 0; i < taken; ++i) {
        out[i] = ring_[first_];
        first_ = first_ + 1 == capacity_ ? 0 : first_ + 1;
      }
      size_.store(size - taken, kRelaxed);
      reserved_ -= taken;
      if (size > 0 && size == taken && fd_ >= 0) ClearEventFd(fd_);
      *count = taken;
      if (taken > 0 || cap == 0) return POOL_OK;
      if (detached_.load(kRelaxed)) return FailConst(POOL_E_CLOSED, "the completion queue is detached");
      if (handle_over_.load(kRelaxed)) return FailConst(POOL_E_BADHANDLE, "the completion queue was released meanwhile");
    }
    if (!ready_.Await(deadline_ns, [this] { return Ready(); })) {
      return FailConst(POOL_E_TIMEOUT, "the time is over, and no task of the queue has ended");
    }
  }
}

int32_t CompletionQueue::Descriptor() {
  MutexLock lock(mu_);
  if (detached_.load(kRelaxed)) return FailConst(POOL_E_CLOSED, "the completion queue is detached");
  if (fd_ < 0) {
    const int fd = OpenEventFd();
    if (fd < 0) return Fail(POOL_E_SYSTEM, "eventfd: errno %d", -fd);
    fd_ = fd;
    if (size_.load(kRelaxed) > 0) SignalEventFd(fd_);
  }
  return fd_;
}

void CompletionQueue::Detach(uint32_t own_callbacks) {
  {
    MutexLock lock(mu_);
    detached_.store(true, kRelaxed);
    size_.store(0, kRelaxed);
    if (fd_ >= 0) SignalEventFd(fd_);  // who waits looks, and finds it detached
  }
  // Begins with a fence, between the flag and the look at the count; partner: that in BeginCallback.
  ready_.Notify();
  // Callbacks that detach at once would wait for each other.
  detaching_.fetch_add(own_callbacks, kRelaxed);
  if (own_callbacks != 0) quiet_.Notify();
  (void)quiet_.Await(kNever, [&] {
    // acquire: what the callbacks did; partner: the release in EndCallback.
    return callbacks_.load(kAcquire) <= (own_callbacks == 0 ? 0 : detaching_.load(kRelaxed));
  });
  detaching_.fetch_sub(own_callbacks, kRelaxed);
}

void CompletionQueue::EndHandle() {
  handle_over_.store(true, kRelaxed);
  ready_.Notify();
}

}  // namespace workpool
