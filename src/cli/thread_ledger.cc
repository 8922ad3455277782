#include "thread_ledger.h"

#include <algorithm>

namespace workpool_cli {

void ThreadLedger::Start(uint64_t now_ns) {
  const std::lock_guard<std::mutex> lock(mu_);
  Advance(now_ns);
  ++figures_.starts;
  figures_.most = std::max(figures_.most, ++figures_.live);
  NoteFlip();
}

void ThreadLedger::Stop(uint64_t now_ns) {
  const std::lock_guard<std::mutex> lock(mu_);
  Advance(now_ns);
  --figures_.live;
  NoteFlip();
}

ThreadLedger::Figures ThreadLedger::Read(uint64_t now_ns) const {
  const std::lock_guard<std::mutex> lock(mu_);
  Figures now = figures_;
  if (now_ns > last_ns_) now.thread_s += static_cast<double>(now_ns - last_ns_) / 1e9 * now.live;
  return now;
}

void ThreadLedger::Advance(uint64_t now_ns) {
  if (now_ns <= last_ns_) return;
  figures_.thread_s += static_cast<double>(now_ns - last_ns_) / 1e9 * figures_.live;
  last_ns_ = now_ns;
}

// The simulator counts them in the same way.
void ThreadLedger::NoteFlip() {
  const double now = figures_.live;
  if (direction_ >= 0 ? now > extreme_ : now < extreme_) {
    if (direction_ == 0 && now > 1.1 * extreme_) direction_ = 1;
    if (direction_ != 0 || extreme_ == 0) extreme_ = now;
  } else if (direction_ >= 0 ? now < 0.9 * extreme_ : now > 1.1 * extreme_) {
    if (direction_ != 0) ++figures_.flips;
    direction_ = direction_ >= 0 ? -1 : 1;
    extreme_ = now;
  }
}

}  // namespace workpool_cli
