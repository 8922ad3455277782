// The memory of the virtual machine, weaker than any real one that matters to us. What it allows
// and what it does not: README.md, "The memory".
//
// Every location keeps the newest messages (stored values) in their order. A view tells for each
// location the oldest message that may still be read, and for each thread how far it has been heard
// of; a thread has one, a release store carries one, and an acquire load joins it to the reader's.
// All SC fences share one.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "model/atomic.h"
#include "model/options.h"

namespace workpool::model {

// Message number in its location, or the count of accesses of a thread.
using Time = uint32_t;

// Messages of one location that can still be read.
inline constexpr uint32_t kHistory = 8;
// Locations written more than once in one schedule, and all.
inline constexpr uint32_t kViewMax = 8192;
inline constexpr uint32_t kLocationsMax = 1u << 16;

// A view that does not change any more.
class Snapshot {
 public:
  Time* at() { return reinterpret_cast<Time*>(this + 1); }
  const Time* at() const { return reinterpret_cast<const Time*>(this + 1); }
  uint32_t width;
  // Whoever has heard of this thread up to here has all of the view. kThreadsMax: no such short
  // cut.
  uint32_t writer;
  Time written;
};

// A variable without atomicity, watched for races (explorer.h: Plain).
struct RaceDetector {
  uint32_t writer = kThreadsMax;  // kThreadsMax: nobody
  Time written = 0;
  Time read[kThreadsMax] = {};
};

class MemoryModel {
 public:
  MemoryModel();
  MemoryModel(const MemoryModel&) = delete;
  MemoryModel& operator=(const MemoryModel&) = delete;

  void BeginSchedule();
  // Gives static atomics their first values back.
  void EndSchedule();

  void StartThread(uint32_t creator, uint32_t thread, bool reused);
  void JoinThread(uint32_t joiner, uint32_t ended);

  void Construct(const void* cell, size_t size);
  void Destroy(const void* cell);
  // Memory given back: atomics in it that were not destroyed are now.
  void DestroyRange(const void* begin, size_t bytes);

  uint64_t Load(const void* cell, size_t size, Order order, const Site& site);
  void Store(const void* cell, size_t size, uint64_t value, Order order, const Site& site);
  void BeginModify(const void* cell, size_t size, const Site& site);
  void EndModify(uint64_t value, Order order);
  bool CompareExchange(const void* cell, size_t size, uint64_t* expected, uint64_t desired,
                       bool weak, Order success, Order failure, const Site& site);
  // One more access of the current thread to anything; its number.
  Time CountAccess();
  // What a futex compares: the newest value, whoever wrote it.
  uint64_t Newest(const void* cell, size_t size, const Site& site);

  void FullFence();
  void LightFence();
  void HeavyFence();

  // The current thread has slept: whatever was written before is visible by now, though still not
  // ordered.
  void SeeAll();

  void ReadPlain(RaceDetector& variable);
  void WritePlain(RaceDetector& variable);

  // The newest values of the static atomics that this schedule used: the roots of all that is
  // reachable.
  void AppendStaticValues(std::vector<uint64_t>* values) const;

 private:
  struct Message {
    uint64_t value;
    const Snapshot* view;  // nullptr: a relaxed store
  };

  struct Location {
    const void* address;
    uint64_t first_value;
    uint32_t slot;  // index in views; 0: never written since it was made
    Time newest;
    uint32_t maker;  // thread that constructed it; kThreadsMax: static
    Time made;
    uint8_t size;
    bool alive;
    uint8_t stale_reads[kThreadsMax];  // in a row
    Time accessed[kThreadsMax];
    Message messages[kHistory];
  };

  struct ThreadMemory {
    Time* view;              // what it may not read below
    Time* pending;           // what it has read relaxed: joined by its next fence
    Time* ordered;           // its view at its last fence, light ones included
    const Snapshot* fenced;  // its view at its last full fence: what its relaxed stores carry
  };

  // Address to location, open addressing; entries of other schedules are free.
  struct Entry {
    const void* address;
    uint32_t schedule;
    uint32_t location;
  };

  ThreadMemory& Self();
  Entry& FindEntry(const void* cell);
  Location& Add(Entry& entry, const void* cell, size_t size);
  Location& Access(const void* cell, size_t size, const Site& site);
  void CheckUnused(const Location& location);
  void MakeSlot(Location& location);
  void Append(Location& location, uint64_t value, Order order, bool modify);
  Time OldestReadable(const Location& location, Order order);
  uint64_t Read(Location& location, Time time, Order order);
  uint64_t NewestValue(const Location& location) const;
  const Snapshot* TakeSnapshot(const Time* view, const Snapshot* more);
  void Join(Time* view, const Snapshot* snapshot);
  static bool Covers(const Time* view, const Snapshot* snapshot);
  void JoinViews(Time* view, const Time* other, uint32_t begin);
  void FenceFor(ThreadMemory& thread);
  void TraceAccess(const char* what, const Location& location, uint64_t value, Time time,
                   Order order, const Site& site);

  uint32_t schedule_ = 0;
  uint32_t width_ = kThreadsMax;  // of all views: entries of threads, then of locations
  uint32_t location_count_ = 0;
  Location* modified_ = nullptr;  // between BeginModify and EndModify
  ThreadMemory threads_[kThreadsMax] = {};
  Time* sc_view_;  // joined by all SC fences
  std::vector<Time> view_memory_;
  Location* locations_;
  Entry* entries_;
  char* snapshots_;  // all snapshots of the schedule, one behind the other
  size_t snapshots_used_ = 0;
};

extern MemoryModel g_memory;

}  // namespace workpool::model
