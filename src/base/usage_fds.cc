#include "base/usage_fds.h"

#include <algorithm>
#include <sys/stat.h>

#include "base/file_text.h"
#include "base/proc_limits.h"
#include "base/process.h"

namespace workpool {
namespace {

constinit PerProcess<UsageFds> g_fds;

}  // namespace

UsageFds* UsageFds::OfProcess() { return g_fds.Ensure(); }

uint32_t UsageFds::Limit() { return static_cast<uint32_t>(std::min<uint64_t>(kMax, OpenFilesMax() / kShare)); }

uint32_t UsageFds::Count() const {
  uint32_t count = 0;
  for (const Slot& slot : slots_) count += slot.fd.load(kRelaxed) != kFree ? 1 : 0;
  return count;
}

uint32_t UsageFds::Take() {
  const uint32_t limit = Limit();
  for (uint32_t i = 0; i < limit; ++i) {
    int free = kFree;
    // acquire: pairs with the release of kFree; weaker, and what the last owner wrote beside it could come later.
    if (slots_[i].fd.compare_exchange_strong(free, kTaken, kAcquire, kRelaxed)) return i;
  }
  return kNoSlot;
}

void UsageFds::Put(uint32_t slot, int fd) {
  Slot& mine = slots_[slot];
  struct stat info {};
  if (fd >= 0 && fstat(fd, &info) == 0) {
    mine.device = info.st_dev;
    mine.file = info.st_ino;
  } else {
    mine.device = mine.file = 0;
  }
  // release: after what it is, for the next owner and for a child that finds it.
  mine.fd.store(fd >= 0 ? fd : kFree, kRelease);
}

void UsageFds::Remove(uint32_t slot) {
  // Not to be found before it is closed: a child that is forked in between leaves it open.
  const int fd = slots_[slot].fd.exchange(kTaken, kRelaxed);
  CloseFile(fd);
  slots_[slot].fd.store(kFree, kRelease);
}

void UsageFds::Succeed(UsageFds* parents) {
  for (Slot& slot : parents->slots_) {
    // exchange: two threads of the child may be about to do this.
    const int fd = slot.fd.exchange(kFree, kAcquire);
    struct stat info {};
    // fork copies descriptors before memory: a descriptor that was opened in between is known here, but not ours, and
    // its number may be that of a file which the child has opened since.
    if (fd < 0 || fstat(fd, &info) != 0 || info.st_dev != slot.device || info.st_ino != slot.file) continue;
    CloseFile(fd);
  }
}

}  // namespace workpool
