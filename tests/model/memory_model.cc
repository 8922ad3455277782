#include "model/memory_model.h"

#include <sys/mman.h>

#include <algorithm>
#include <cstring>

#include "model/heap.h"
#include "model/mutation.h"
#include "model/scheduler.h"
#include "model/trace.h"

namespace workpool::model {

MemoryModel g_memory;

namespace {

constexpr uint32_t kEntries = 1u << 17;
constexpr size_t kSnapshotBytes = size_t{1} << 30;  // of address space; used pages only cost

template <typename T>
T* Map(size_t bytes) {
  void* memory = mmap(nullptr, bytes, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  return memory == MAP_FAILED ? nullptr : static_cast<T*>(memory);
}

constexpr bool IsAcquire(Order order) {
  return order == std::memory_order_acquire || order == std::memory_order_acq_rel ||
         order == std::memory_order_seq_cst;
}
constexpr bool IsRelease(Order order) {
  return order == std::memory_order_release || order == std::memory_order_acq_rel ||
         order == std::memory_order_seq_cst;
}

const char* ShortName(Order order) {
  static constexpr const char* kNames[] = {"rlx", "acq", "acq", "rel", "a/r", "sc"};
  return kNames[static_cast<int>(order)];
}

const char* FileName(const Site& site) {
  const char* slash = std::strrchr(site.file_name(), '/');
  return slash == nullptr ? site.file_name() : slash + 1;
}

}  // namespace

MemoryModel::MemoryModel()
    : view_memory_((3 * kThreadsMax + 1) * size_t{kViewMax}),
      locations_(Map<Location>(kLocationsMax * sizeof(Location))),
      entries_(Map<Entry>(kEntries * sizeof(Entry))),
      snapshots_(Map<char>(kSnapshotBytes)) {
  Time* next = view_memory_.data();
  const auto take = [&next] { return next += kViewMax, next - kViewMax; };
  for (ThreadMemory& thread : threads_) thread = {take(), take(), take(), nullptr};
  sc_view_ = take();
}

// ---- schedules and threads -------------------------------------------------------------------

void MemoryModel::BeginSchedule() {
  ++schedule_;
  width_ = kThreadsMax;
  location_count_ = 0;
  snapshots_used_ = 0;
  g_heap.BeginSchedule();
}

void MemoryModel::EndSchedule() {
  for (uint32_t i = 0; i < location_count_; ++i) {
    const Location& location = locations_[i];
    if (location.maker != kThreadsMax || location.slot == 0) continue;
    std::memcpy(const_cast<void*>(location.address), &location.first_value, location.size);
  }
}

void MemoryModel::AppendStaticValues(std::vector<uint64_t>* values) const {
  for (uint32_t i = 0; i < location_count_; ++i) {
    if (locations_[i].maker == kThreadsMax) values->push_back(NewestValue(locations_[i]));
  }
}

void MemoryModel::StartThread(uint32_t creator, uint32_t thread, bool reused) {
  ThreadMemory& fresh = threads_[thread];
  fresh.fenced = nullptr;
  if (creator == thread) {  // the first
    std::fill_n(fresh.view, width_, 0);
  } else {
    // The starts and ends of threads are ordered: what the creator has done, and what the last
    // thread with this number did, comes before.
    ++threads_[creator].view[creator];
    if (reused) {
      JoinViews(fresh.view, threads_[creator].view, 0);
    } else {
      std::copy_n(threads_[creator].view, width_, fresh.view);
    }
  }
  std::fill_n(fresh.pending, width_, 0);
  std::copy_n(fresh.view, width_, fresh.ordered);
}

void MemoryModel::JoinThread(uint32_t joiner, uint32_t ended) {
  JoinViews(threads_[joiner].view, threads_[ended].view, 0);
}

// ---- views -----------------------------------------------------------------------------------

MemoryModel::ThreadMemory& MemoryModel::Self() { return threads_[g_scheduler.current()]; }

void MemoryModel::JoinViews(Time* view, const Time* other, uint32_t begin) {
  for (uint32_t i = begin; i < width_; ++i) view[i] = std::max(view[i], other[i]);
}

void MemoryModel::Join(Time* view, const Snapshot* snapshot) {
  const Time* other = snapshot->at();
  for (uint32_t i = 0; i < snapshot->width; ++i) view[i] = std::max(view[i], other[i]);
}

bool MemoryModel::Covers(const Time* view, const Snapshot* snapshot) {
  return snapshot->writer != kThreadsMax && view[snapshot->writer] >= snapshot->written;
}

const Snapshot* MemoryModel::TakeSnapshot(const Time* view, const Snapshot* more) {
  auto* snapshot = reinterpret_cast<Snapshot*>(snapshots_ + snapshots_used_);
  snapshots_used_ += sizeof(Snapshot) + width_ * sizeof(Time);
  if (snapshots_used_ > kSnapshotBytes) Fail("too many release stores in one schedule");
  snapshot->width = width_;
  snapshot->writer = g_scheduler.current();
  snapshot->written = view[snapshot->writer];
  std::copy_n(view, width_, snapshot->at());
  if (more != nullptr && !Covers(view, more)) {
    Join(snapshot->at(), more);
    snapshot->writer = kThreadsMax;
  }
  return snapshot;
}

void MemoryModel::MakeSlot(Location& location) {
  if (width_ == kViewMax) Fail("more than %u locations are written", kViewMax);
  location.slot = width_++;
  for (uint32_t i = 0; i < g_scheduler.thread_count(); ++i) {
    threads_[i].view[location.slot] = 0;
    threads_[i].pending[location.slot] = 0;
    threads_[i].ordered[location.slot] = 0;
  }
  sc_view_[location.slot] = 0;
  location.newest = 0;
  location.messages[0] = {location.first_value, nullptr};
}

// ---- locations -------------------------------------------------------------------------------

MemoryModel::Entry& MemoryModel::FindEntry(const void* cell) {
  const uint64_t hash = reinterpret_cast<uintptr_t>(cell) * 0x9E3779B97F4A7C15u;
  for (uint32_t i = static_cast<uint32_t>(hash >> 40);; ++i) {
    Entry& entry = entries_[i & (kEntries - 1)];
    if (entry.schedule != schedule_ || entry.address == cell) return entry;
  }
}

MemoryModel::Location& MemoryModel::Add(Entry& entry, const void* cell, size_t size) {
  if (location_count_ == kLocationsMax) Fail("more than %u atomics", kLocationsMax);
  entry = {cell, schedule_, location_count_};
  Location& location = locations_[location_count_++];
  location.address = cell;
  location.first_value = 0;
  std::memcpy(&location.first_value, cell, size);
  location.slot = 0;
  location.maker = kThreadsMax;
  location.size = static_cast<uint8_t>(size);
  location.alive = true;
  std::fill_n(location.stale_reads, kThreadsMax, uint8_t{0});
  std::fill_n(location.accessed, kThreadsMax, 0);
  return location;
}

Time MemoryModel::CountAccess() { return ++Self().view[g_scheduler.current()]; }

void MemoryModel::Construct(const void* cell, size_t size) {
  Entry& entry = FindEntry(cell);
  // Memory may be used again without a destructor having run.
  if (entry.schedule == schedule_ && locations_[entry.location].alive) {
    CheckUnused(locations_[entry.location]);
  }
  Location& location = Add(entry, cell, size);
  location.maker = g_scheduler.current();
  location.made = CountAccess();
}

void MemoryModel::CheckUnused(const Location& location) {
  const Time* view = Self().view;
  for (uint32_t i = 0; i < kThreadsMax; ++i) {
    if (view[i] >= location.accessed[i]) continue;
    Fail("atomic %u is destroyed by thread %u, and nothing orders that after its use by thread %u",
         static_cast<uint32_t>(&location - locations_), g_scheduler.current(), i);
  }
}

void MemoryModel::Destroy(const void* cell) {
  const Entry& entry = FindEntry(cell);
  if (entry.schedule != schedule_) return;
  Location& location = locations_[entry.location];
  if (!location.alive) return;
  MODEL_TRACE("destroys x%u", entry.location);
  CheckUnused(location);
  location.alive = false;
}

void MemoryModel::DestroyRange(const void* begin, size_t bytes) {
  const char* first = static_cast<const char*>(begin);
  for (uint32_t i = 0; i < location_count_; ++i) {
    const char* address = static_cast<const char*>(locations_[i].address);
    if (address >= first && address < first + bytes && locations_[i].alive) Destroy(address);
  }
}

MemoryModel::Location& MemoryModel::Access(const void* cell, size_t size, const Site& site) {
  Entry& entry = FindEntry(cell);
  const uint32_t self = g_scheduler.current();
  if (entry.schedule != schedule_) {
    uint32_t maker = kThreadsMax;
    Time made = 0;
    if (g_scheduler.IsOnStack(cell)) {
      Fail("%s:%u: thread %u uses an atomic that was never constructed", FileName(site),
           site.line(), self);
    }
    if (g_heap.Contains(cell) && !g_heap.FindMaker(cell, &maker, &made)) {
      Fail("%s:%u: thread %u uses an atomic in memory that was given back", FileName(site),
           site.line(), self);
    }
    Location& fresh = Add(entry, cell, size);
    fresh.maker = maker;
    fresh.made = made;
    g_heap.MarkUsed(cell);
  }
  Location& location = locations_[entry.location];
  Time* view = Self().view;
  if (!location.alive) {
    Fail("%s:%u: thread %u uses atomic x%u after it was destroyed", FileName(site), site.line(),
         self, entry.location);
  }
  if (location.maker != kThreadsMax && view[location.maker] < location.made) {
    Fail(
        "%s:%u: thread %u uses atomic x%u, and nothing orders that after its construction by "
        "thread %u",
        FileName(site), site.line(), self, entry.location, location.maker);
  }
  location.accessed[self] = CountAccess();
  return location;
}

// ---- operations ------------------------------------------------------------------------------

void MemoryModel::TraceAccess(const char* what, const Location& location, uint64_t value, Time time,
                              Order order, const Site& site) {
  if (!g_tracing) return;
  const Time newest = location.slot == 0 ? 0 : location.newest;
  AppendTrace("%-9s x%-4u = 0x%llx  (message %u of %u, %s)  %s:%u", what,
              static_cast<uint32_t>(&location - locations_), static_cast<unsigned long long>(value),
              time, newest, ShortName(order), FileName(site), site.line());
}

uint64_t MemoryModel::NewestValue(const Location& location) const {
  return location.slot == 0 ? location.first_value
                            : location.messages[location.newest % kHistory].value;
}

Time MemoryModel::OldestReadable(const Location& location, Order order) {
  const uint32_t self = g_scheduler.current();
  const Options& options = g_scheduler.options();
  const bool may_be_stale =
      location.stale_reads[self] < options.stale_reads && g_scheduler.stale_reads_left() > 0;
  if (!may_be_stale) return location.newest;
  Time oldest = Self().view[location.slot];
  if (order == std::memory_order_seq_cst) oldest = std::max(oldest, sc_view_[location.slot]);
  if (location.newest >= kHistory) oldest = std::max(oldest, location.newest - kHistory + 1);
  return oldest;
}

// The effects of reading one message.
uint64_t MemoryModel::Read(Location& location, Time time, Order order) {
  if (location.slot == 0) return location.first_value;
  const uint32_t self = g_scheduler.current();
  ThreadMemory& thread = threads_[self];
  if (time < location.newest) {
    ++location.stale_reads[self];
    g_scheduler.CountStaleRead();
  } else {
    location.stale_reads[self] = 0;
  }
  const Message& message = location.messages[time % kHistory];
  thread.view[location.slot] = time;
  if (message.view != nullptr && !Covers(thread.view, message.view)) {
    Join(IsAcquire(order) ? thread.view : thread.pending, message.view);
  }
  if (order == std::memory_order_seq_cst) {
    sc_view_[location.slot] = std::max(sc_view_[location.slot], time);
  }
  return message.value;
}

uint64_t MemoryModel::Load(const void* cell, size_t size, Order order, const Site& site) {
  Location& location = Access(cell, size, site);
  Time time = 0;
  if (location.slot != 0) {
    time =
        location.newest - g_strategy.Choose(location.newest - OldestReadable(location, order) + 1);
  }
  const uint64_t value = Read(location, time, order);
  TraceAccess("reads", location, value, time, order, site);
  return value;
}

void MemoryModel::Append(Location& location, uint64_t value, Order order, bool modify) {
  if (location.slot == 0) MakeSlot(location);
  ThreadMemory& thread = Self();
  // A read-modify-write carries on the release sequence of what it read.
  const Snapshot* carried = modify ? location.messages[location.newest % kHistory].view : nullptr;
  const Time time = ++location.newest;
  thread.view[location.slot] = time;
  if (order == std::memory_order_seq_cst) sc_view_[location.slot] = time;
  if (IsRelease(order)) {
    carried = TakeSnapshot(thread.view, carried);
  } else if (thread.fenced != nullptr) {
    const Time* fenced = thread.fenced->at();
    if (carried == nullptr) {
      carried = thread.fenced;
    } else {
      Time joined[kViewMax];
      std::fill_n(std::copy_n(fenced, thread.fenced->width, joined), width_ - thread.fenced->width,
                  0);
      carried = TakeSnapshot(joined, carried);
    }
  }
  location.messages[time % kHistory] = {value, carried};
  location.stale_reads[g_scheduler.current()] = 0;
  g_scheduler.MarkProgress();
}

void MemoryModel::Store(const void* cell, size_t size, uint64_t value, Order order,
                        const Site& site) {
  Location& location = Access(cell, size, site);
  Append(location, value, order, false);
  TraceAccess("writes", location, value, location.newest, order, site);
}

void MemoryModel::BeginModify(const void* cell, size_t size, const Site& site) {
  modified_ = &Access(cell, size, site);
  TraceAccess("modifies", *modified_, NewestValue(*modified_), modified_->newest,
              std::memory_order_relaxed, site);
}

void MemoryModel::EndModify(uint64_t value, Order order) {
  Location& location = *modified_;
  Read(location, location.newest, order);
  Append(location, value, order, true);
  if (g_tracing)
    MODEL_TRACE("          x%-4u : 0x%llx  (%s)", static_cast<uint32_t>(&location - locations_),
                static_cast<unsigned long long>(value), ShortName(order));
}

bool MemoryModel::CompareExchange(const void* cell, size_t size, uint64_t* expected,
                                  uint64_t desired, bool weak, Order success, Order failure,
                                  const Site& site) {
  Location& location = Access(cell, size, site);
  const Time newest = location.slot == 0 ? 0 : location.newest;
  const bool equal = NewestValue(location) == *expected;
  // It succeeds on the newest message only; it may fail on any readable one that differs.
  Time readable[kHistory];
  uint32_t n = 0;
  readable[n++] = newest;
  if (location.slot != 0) {
    for (Time time = newest, oldest = OldestReadable(location, failure); time > oldest; --time) {
      if (location.messages[(time - 1) % kHistory].value != *expected) readable[n++] = time - 1;
    }
  }
  const uint32_t pick = g_strategy.Choose(n);
  const Time time = readable[pick];
  if (pick == 0 && equal && !(weak && g_scheduler.InjectSpurious())) {
    Read(location, newest, success);
    Append(location, desired, success, true);
    TraceAccess("exchanges", location, desired, location.newest, success, site);
    return true;
  }
  *expected = Read(location, time, failure);
  TraceAccess("cas fails", location, *expected, time, failure, site);
  return false;
}

uint64_t MemoryModel::Newest(const void* cell, size_t size, const Site& site) {
  Location& location = Access(cell, size, site);
  const uint64_t value = NewestValue(location);
  TraceAccess("futex", location, value, location.slot == 0 ? 0 : location.newest,
              std::memory_order_relaxed, site);
  return value;
}

// ---- fences ----------------------------------------------------------------------------------

void MemoryModel::FenceFor(ThreadMemory& thread) {
  JoinViews(thread.view, thread.pending, 0);
  // Order, but not happens-before: the entries of threads stay out of it.
  JoinViews(thread.view, sc_view_, kThreadsMax);
  std::copy(thread.view + kThreadsMax, thread.view + width_, sc_view_ + kThreadsMax);
  std::copy_n(thread.view, width_, thread.ordered);
  thread.fenced = TakeSnapshot(thread.view, nullptr);
}

void MemoryModel::FullFence() {
  FenceFor(Self());
  MODEL_TRACE("full fence");
}

void MemoryModel::LightFence() {
  ThreadMemory& self = Self();
  std::copy_n(self.view, width_, self.ordered);
  MODEL_TRACE("light fence");
}

void MemoryModel::HeavyFence() {
  ThreadMemory& self = Self();
  FenceFor(self);
  const uint32_t count = g_scheduler.thread_count();
  // What a thread did after its last light fence the compiler may not have written yet.
  for (uint32_t i = 0; i < count; ++i) JoinViews(sc_view_, threads_[i].ordered, kThreadsMax);
  for (uint32_t i = 0; i < count; ++i) JoinViews(threads_[i].view, sc_view_, kThreadsMax);
  FenceFor(self);
  MODEL_TRACE("heavy fence");
}

void MemoryModel::SeeAll() {
  Time* view = Self().view;
  for (uint32_t i = 0; i < location_count_; ++i) {
    const Location& location = locations_[i];
    if (location.slot != 0) view[location.slot] = location.newest;
  }
}

// ---- plain variables -------------------------------------------------------------------------

void MemoryModel::ReadPlain(RaceDetector& variable) {
  const uint32_t self = g_scheduler.current();
  Time* view = Self().view;
  if (variable.writer != kThreadsMax && view[variable.writer] < variable.written) {
    Fail("data race: thread %u reads what thread %u wrote, and nothing orders the two", self,
         variable.writer);
  }
  variable.read[self] = ++view[self];
}

void MemoryModel::WritePlain(RaceDetector& variable) {
  const uint32_t self = g_scheduler.current();
  Time* view = Self().view;
  if (variable.writer != kThreadsMax && view[variable.writer] < variable.written) {
    Fail("data race: threads %u and %u write, and nothing orders the two", self, variable.writer);
  }
  for (uint32_t i = 0; i < kThreadsMax; ++i) {
    if (view[i] < variable.read[i]) {
      Fail("data race: thread %u writes what thread %u reads, and nothing orders the two", self, i);
    }
  }
  variable.writer = self;
  variable.written = ++view[self];
}

// ---- what atomic.h declares ------------------------------------------------------------------

void Construct(const void* cell, size_t size) {
  // Objects with thousands of atomics, most of which are never used, are found by their block
  // (Access).
  if (g_running && !g_heap.IsFresh(cell)) g_memory.Construct(cell, size);
}

void Destroy(const void* cell) {
  if (g_running) g_memory.Destroy(cell);
}

uint64_t Load(const void* cell, size_t size, Order order, const Site& site) {
  if (!g_running) {
    uint64_t value = 0;
    std::memcpy(&value, cell, size);
    return value;
  }
  order = Mutate(Operation::kLoad, Role::kOnly, order, site);
  g_scheduler.Point();
  return g_memory.Load(cell, size, order, site);
}

void Store(const void* cell, size_t size, uint64_t value, Order order, const Site& site) {
  if (!g_running) return;
  order = Mutate(Operation::kStore, Role::kOnly, order, site);
  g_scheduler.Point();
  g_memory.Store(cell, size, value, order, site);
}

Order BeginModify(const void* cell, size_t size, Order order, const Site& site) {
  if (!g_running) return order;
  order = Mutate(Operation::kReadModifyWrite, Role::kOnly, order, site);
  g_scheduler.Point();
  g_memory.BeginModify(cell, size, site);
  return order;
}

void EndModify(const void*, uint64_t value, Order order) {
  if (g_running) g_memory.EndModify(value, order);
}

bool CompareExchange(const void* cell, size_t size, uint64_t* expected, uint64_t desired, bool weak,
                     Order success, Order failure, const Site& site) {
  if (!g_running) {
    uint64_t value = 0;
    std::memcpy(&value, cell, size);
    if (value == *expected) return true;
    *expected = value;
    return false;
  }
  success = Mutate(Operation::kCompareExchange, Role::kSuccess, success, site);
  failure = Mutate(Operation::kCompareExchange, Role::kFailure, failure, site);
  g_scheduler.Point();
  return g_memory.CompareExchange(cell, size, expected, desired, weak, success, failure, site);
}

void FullFence(Site site) {
  if (!g_running) return;
  if (Mutate(Operation::kFullFence, Role::kOnly, std::memory_order_seq_cst, site) ==
      std::memory_order_relaxed)
    return;
  g_scheduler.Point();
  g_memory.FullFence();
}

void LightFence(Site site) {
  if (!g_running) return;
  if (Mutate(Operation::kLightFence, Role::kOnly, std::memory_order_seq_cst, site) ==
      std::memory_order_relaxed)
    return;
  g_memory.LightFence();
}

void HeavyFence(Site site) {
  if (!g_running) return;
  if (Mutate(Operation::kHeavyFence, Role::kOnly, std::memory_order_seq_cst, site) ==
      std::memory_order_relaxed)
    return;
  g_scheduler.Point();
  g_memory.HeavyFence();
}

void SpinPause() {
  if (g_running) g_scheduler.Spin();
}

int SpinRounds(int usual) {
  return g_running ? std::min(usual, g_scheduler.options().spins_max) : usual;
}

}  // namespace workpool::model
