#include "task/gate.h"

#include <algorithm>
#include <cassert>
#include <utility>

#include "base/memory.h"
#include "task/task_details.h"

namespace workpool {
namespace {

// The top bits choose the shard, the low ones the bucket (the finaliser of splitmix64, Steele et al., OOPSLA 2014).
uint64_t HashOf(uint64_t key) {
  key = (key ^ key >> 30) * 0xBF58476D1CE4E5B9u;
  key = (key ^ key >> 27) * 0x94D049BB133111EBu;
  return key ^ key >> 31;
}

// Of one bucket.
constexpr size_t kPlaceBytes = sizeof(void*);

}  // namespace

void GateLine::Push(TaskRecord& record) {
  if (count_ >= sweep_at_) Sweep();
  ++count_;
  DetailsOf(record).behind = nullptr;
  (last_ != nullptr ? DetailsOf(*last_).behind : first_) = &record;
  last_ = &record;
}

TaskRecord* GateLine::Pop() {
  while (first_ != nullptr) {
    TaskRecord* record = first_;
    first_ = DetailsOf(*record).behind;
    if (first_ == nullptr) last_ = nullptr;
    --count_;
    if (record->IsWaiting()) return record;
    record->Unref();
  }
  return nullptr;
}

void GateLine::Sweep() {
  TaskRecord** link = &first_;
  last_ = nullptr;
  count_ = 0;
  while (TaskRecord* record = *link) {
    TaskRecord*& behind = DetailsOf(*record).behind;
    if (record->IsWaiting()) {
      last_ = record;
      link = &behind;
      ++count_;
    } else {
      *link = behind;
      record->Unref();
    }
  }
  sweep_at_ = std::max(2 * count_, kSweepMin);
}

bool Gate::Enter(TaskRecord& record) {
  MutexLock lock(mu_);
  if (HasRoom()) {
    ++inside_;
    DetailsOf(record).inside_class.store(true, kRelaxed);
    return true;
  }
  line_.Push(record);
  return false;
}

TaskRecord* Gate::Leave(TaskRecord& record) {
  MutexLock lock(mu_);
  // Under the lock: another thread may just have let it in.
  if (!DetailsOf(record).inside_class.load(kRelaxed)) return nullptr;
  DetailsOf(record).inside_class.store(false, kRelaxed);
  --inside_;
  return LetIn();
}

void Gate::SetLimit(uint32_t limit) {
  MutexLock lock(mu_);
  limit_ = limit;
}

TaskRecord* Gate::Admit() {
  MutexLock lock(mu_);
  return LetIn();
}

TaskRecord* Gate::LetIn() {
  if (!HasRoom()) return nullptr;
  TaskRecord* next = line_.Pop();
  if (next == nullptr) return nullptr;
  ++inside_;
  DetailsOf(*next).inside_class.store(true, kRelaxed);
  return next;
}

KeyGates::~KeyGates() {
  for (Shard& shard : shards_) shard.Free();
}

bool KeyGates::Enter(TaskRecord& record) {
  const uint64_t hash = HashOf(record.details()->key);
  return shards_[hash >> 60].Enter(record, hash);
}

TaskRecord* KeyGates::Leave(TaskRecord& record) {
  const uint64_t hash = HashOf(record.details()->key);
  return shards_[hash >> 60].Leave(record, hash);
}

bool KeyGates::Shard::Enter(TaskRecord& record, uint64_t hash) {
  TaskDetails& details = DetailsOf(record);
  assert(details.line.empty() && "it gave its line to the next one");
  MutexLock lock(mu_);
  for (TaskRecord* inside = *BucketOf(hash); inside != nullptr; inside = inside->details()->same_bucket) {
    if (inside->details()->key != details.key) continue;
    inside->details()->line.Push(record);
    return false;
  }
  if (count_ >= capacity_) Resize(capacity_ == 0 ? kBucketsMin : 2 * capacity_);
  TaskRecord** bucket = BucketOf(hash);
  details.same_bucket = *bucket;
  *bucket = &record;
  ++count_;
  details.inside_key.store(true, kRelaxed);
  return true;
}

TaskRecord* KeyGates::Shard::Leave(TaskRecord& record, uint64_t hash) {
  TaskDetails& details = DetailsOf(record);
  MutexLock lock(mu_);
  if (!details.inside_key.load(kRelaxed)) return nullptr;
  details.inside_key.store(false, kRelaxed);
  TaskRecord** link = BucketOf(hash);
  while (*link != &record) link = &(*link)->details()->same_bucket;
  TaskRecord* next = details.line.Pop();
  if (next == nullptr) {
    *link = details.same_bucket;
    --count_;
    if (capacity_ > kBucketsMin && count_ < capacity_ / 8) Resize(capacity_ / 4);
    return nullptr;
  }
  TaskDetails& more = DetailsOf(*next);
  more.inside_key.store(true, kRelaxed);
  // One with a period comes back, and finds another line, or none.
  more.line = std::exchange(details.line, {});
  more.same_bucket = details.same_bucket;
  *link = next;
  return next;
}

void KeyGates::Shard::Resize(uint32_t capacity) {
  auto** buckets = static_cast<TaskRecord**>(AllocateBytes(capacity * kPlaceBytes, alignof(TaskRecord*)));
  if (buckets == nullptr) return;
  for (uint32_t i = 0; i < capacity; ++i) buckets[i] = nullptr;
  const auto move = [&](TaskRecord* record) {
    while (record != nullptr) {
      TaskDetails& details = *record->details();
      TaskRecord* after = details.same_bucket;
      TaskRecord** bucket = &buckets[HashOf(details.key) & (capacity - 1)];
      details.same_bucket = *bucket;
      *bucket = record;
      record = after;
    }
  };
  move(lone_);
  lone_ = nullptr;
  for (uint32_t i = 0; i < capacity_; ++i) move(buckets_[i]);
  if (buckets_ != nullptr) FreeBytes(buckets_, capacity_ * kPlaceBytes);
  buckets_ = buckets;
  capacity_ = capacity;
}

void KeyGates::Shard::Free() {
  MutexLock lock(mu_);
  if (buckets_ != nullptr) FreeBytes(buckets_, capacity_ * kPlaceBytes);
  buckets_ = nullptr;
}

}  // namespace workpool
