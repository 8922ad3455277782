// Gates: tasks that may not all run at once wait here, in the order of their arrival, without holding a worker. A Gate lets
// a number of them in (those of a class); KeyGates let one of each key in, so that tasks of one key run one after
// another (a strand). A key that nobody uses takes no memory.
// Threads: all, any thread.
// A record that was claimed while it waits (cancelled, expired) is passed over when its turn comes.
#pragma once

#include <cstdint>

#include "base/api.h"
#include "base/mutex.h"

namespace workpool {

class TaskRecord;

// Records that wait at a gate, each with a reference, linked through their details. Those that were claimed meanwhile are
// let go when there are more of them than of the others.
class GateLine {
 public:
  void Push(TaskRecord& record);
  // The first that still waits, with its reference; nullptr: none does.
  [[nodiscard]] TaskRecord* Pop();
  // Nobody is in line, not even one that was claimed.
  [[nodiscard]] bool empty() const { return first_ == nullptr; }

 private:
  static constexpr uint32_t kSweepMin = 64;

  void Sweep();

  TaskRecord* first_ = nullptr;
  TaskRecord* last_ = nullptr;
  uint32_t count_ = 0;
  uint32_t sweep_at_ = kSweepMin;  // twice what waited after the last sweep
};

class Gate {
 public:
  // 0: without limit.
  explicit Gate(uint32_t limit) : limit_(limit) {}

  // True: it is inside. False: it waits, and the caller's reference with it.
  [[nodiscard]] bool Enter(TaskRecord& record);
  // The record, if it was inside, leaves. The next one is inside now and the caller's to move on; nullptr: none waits.
  [[nodiscard]] TaskRecord* Leave(TaskRecord& record);
  void SetLimit(uint32_t limit);
  // One that a higher limit lets in, or nullptr.
  [[nodiscard]] TaskRecord* Admit();

 private:
  // The first that waits, if there is room.
  [[nodiscard]] TaskRecord* LetIn() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  [[nodiscard]] bool HasRoom() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) { return limit_ == 0 || inside_ < limit_; }

  Mutex mu_;
  uint32_t limit_ ABSL_GUARDED_BY(mu_);
  uint32_t inside_ ABSL_GUARDED_BY(mu_) = 0;
  GateLine line_ ABSL_GUARDED_BY(mu_);
};

class KeyGates {
 public:
  KeyGates() = default;
  ~KeyGates();
  KeyGates(const KeyGates&) = delete;
  KeyGates& operator=(const KeyGates&) = delete;

  // As for Gate, by details.key.
  [[nodiscard]] bool Enter(TaskRecord& record);
  [[nodiscard]] TaskRecord* Leave(TaskRecord& record);

 private:
  // So that tasks of different keys seldom meet at one lock.
  static constexpr uint32_t kShards = 16;
  static constexpr uint32_t kBucketsMin = 64;

  // A hash table of the records inside, linked through their details; each has those behind it in its own. So it needs
  // memory for its buckets only, and without any a longer chain does.
  class Shard {
   public:
    [[nodiscard]] bool Enter(TaskRecord& record, uint64_t hash);
    [[nodiscard]] TaskRecord* Leave(TaskRecord& record, uint64_t hash);
    void Free();

   private:
    TaskRecord** BucketOf(uint64_t hash) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
      return buckets_ == nullptr ? &lone_ : &buckets_[hash & (capacity_ - 1)];
    }
    void Resize(uint32_t capacity) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

    Mutex mu_;
    TaskRecord* lone_ ABSL_GUARDED_BY(mu_) = nullptr;  // the only bucket while there are no others
    TaskRecord** buckets_ ABSL_GUARDED_BY(mu_) = nullptr;
    uint32_t capacity_ ABSL_GUARDED_BY(mu_) = 0;  // 0 or a power of two
    uint32_t count_ ABSL_GUARDED_BY(mu_) = 0;
  };

  Shard shards_[kShards];
};

}  // namespace workpool
