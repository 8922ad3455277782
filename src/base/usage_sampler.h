// UsageSampler: how long each of some threads ran or waited for a CPU, from one look to the next. It keeps the files of
// the threads it is asked for open, first come first served, as far as UsageFds lets it; the others' are opened and
// closed each time. A file that was not asked for during kStaleNs makes place for another.
// Cost: 0.5 to 1 us from a file that is kept open, 2 to 7 us else; a caller with many threads samples them in turn.
// Threads: one at a time. A forked child may go on with its copy: that forgets what it has open, and begins anew.
#pragma once

#include <cstdint>

#include "base/thread_usage.h"
#include "base/usage_fds.h"

namespace workpool {

// The last look at one thread. Its caller keeps it, one for each thread, new for a new one.
struct UsageMark {
  Usage usage;
  uint64_t at_ns = 0;
  bool known = false;
  bool kept = false;  // from a file that is kept open
};

class UsageSampler {
 public:
  explicit UsageSampler(UsageSource source);
  ~UsageSampler();
  UsageSampler(const UsageSampler&) = delete;
  UsageSampler& operator=(const UsageSampler&) = delete;

  // Seconds since the mark that this thread ran or waited for a CPU (as RunnableSecondsBetween has it), and a new mark
  // at now_ns. 0 if the mark was not known; it is not known afterwards if the thread is gone.
  [[nodiscard]] double RunnableSeconds(int32_t tid, uint64_t now_ns, UsageMark* mark);

  // It has ended, or will not be asked for any more.
  void Forget(int32_t tid);

  [[nodiscard]] UsageSource source() const { return source_; }
  // Files that it keeps open.
  [[nodiscard]] uint32_t open_files() const { return count_; }

  // Longer than it takes to sample kWorkersMax threads in turn, a dozen in each 10 ms.
  static constexpr uint64_t kStaleNs = 5'000'000'000;

 private:
  [[nodiscard]] bool Read(int32_t tid, uint64_t now_ns, Usage* out, bool* kept);
  // Where the thread's file is, or kNowhere.
  [[nodiscard]] uint32_t Find(int32_t tid) const;
  // Keeps the file of one more thread open, if it may.
  [[nodiscard]] uint32_t Keep(int32_t tid, uint64_t now_ns);
  void Drop(uint32_t at);
  void FollowFork();

  static constexpr uint32_t kNowhere = UINT32_MAX;

  const UsageSource source_;
  uint32_t epoch_;  // of the process that has opened the files
  uint32_t count_ = 0;
  int32_t tids_[UsageFds::kMax];
  uint32_t slots_[UsageFds::kMax];
  uint64_t used_ns_[UsageFds::kMax];
};

}  // namespace workpool
