// Jobserver: a client of GNU make's jobserver, so that a program that make -jN has started does not run more beside the
// other jobs than N. Each worker at work needs a token. One the process has from the start, the implicit one; each
// other one is a byte taken from the pipe of the jobserver, and the same byte is written back. (GNU make manual, "POSIX
// Jobserver Interaction"; scaling/jobserver_text.h for what make says, base/token_pipe.h for the pipe.)
//
// Threads:   any. No call waits, but for its lock.
// Invariant: bytes held >= tokens in use - 1. More only while the pipe took none back; each later release tries again.
//            The implicit token is the last one to be free. After ReleaseAtExit no bytes are held.
//
// No token is lost by the library: what is in use is given back when a pool closes (JobserverTokens), and what is held
// when the process ends by exit or a return from main (a destructor function; afterwards no more are taken). Nobody can
// do so after _exit, quick_exit, exec, a signal that kills, or an exit in a signal handler that interrupted a call in
// here: make then goes on with fewer jobs, and says so at its end.
// A pool must give back the tokens of workers that have nothing to do: make may wait for them.
// A forked child has no part in its parent's tokens: every call of it does nothing. With a client of its own it begins
// with an implicit token, as any process does.
#pragma once

#include <cstdint>

#include "base/mutex.h"
#include "base/token_pipe.h"
#include "scaling/jobserver_text.h"

namespace workpool {

// More jobs than make is ever told to run; a pool has no more workers.
inline constexpr uint32_t kJobserverTokensMax = 4096;

enum class JobserverState : uint8_t {
  kUnopened,
  kNone,       // none is named
  kOff,        // it is not for this process
  kMalformed,  // MAKEFLAGS is not understood
  kNotOpen,    // its descriptors are closed, or its path is not there
  kNotPipe,    // they are something else
  kRefused,    // the operating system does not let us: error()
  kReady,
};

// A sentence for a log. Below kMalformed nothing is wrong.
const char* JobserverStateText(JobserverState state);

class Jobserver {
 public:
  // The one of this process, opened with its MAKEFLAGS when first asked for; nullptr: out of memory. Never ends.
  [[nodiscard]] static Jobserver* OfProcess();

  Jobserver();
  // Gives back all that is held.
  ~Jobserver();
  Jobserver(const Jobserver&) = delete;
  Jobserver& operator=(const Jobserver&) = delete;

  // The first call counts. What is not kReady has the implicit token and no other.
  JobserverState Open(const char* makeflags);
  [[nodiscard]] JobserverState state();
  // The errno that goes with kRefused.
  [[nodiscard]] int error();

  // For one more worker: false: there is none now. When fd() is readable there may be.
  [[nodiscard]] bool TryAcquire();
  // What TryAcquire gave.
  void Release() { Release(1); }
  void Release(uint32_t count);

  // For poll; -1: not kReady.
  [[nodiscard]] int fd();
  // The implicit one included.
  [[nodiscard]] uint32_t in_use();
  // Bytes out of the pipe.
  [[nodiscard]] uint32_t held();

  // The process ends: gives back all and takes no more.
  void ReleaseAtExit();

 private:
  // Asked before the lock is taken, which in a forked child nobody may ever give back.
  [[nodiscard]] bool Ours() const;
  // Writes back what is held beyond keep, as far as the pipe takes it.
  void GiveBack(uint32_t keep) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  JobserverState OpenPipe(const JobserverText& text) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  const uint32_t epoch_;  // of the process that made it
  Mutex mu_;
  JobserverState state_ ABSL_GUARDED_BY(mu_) = JobserverState::kUnopened;
  int error_ ABSL_GUARDED_BY(mu_) = 0;
  bool ended_ ABSL_GUARDED_BY(mu_) = false;
  uint32_t in_use_ ABSL_GUARDED_BY(mu_) = 0;
  uint32_t held_ ABSL_GUARDED_BY(mu_) = 0;
  TokenPipe pipe_ ABSL_GUARDED_BY(mu_);
  uint8_t bytes_[kJobserverTokensMax] ABSL_GUARDED_BY(mu_) = {};
};

// The tokens of one pool.
// Threads: one at a time.
class JobserverTokens {
 public:
  explicit JobserverTokens(Jobserver& jobserver) : jobserver_(jobserver) {}
  ~JobserverTokens() { ReleaseAll(); }
  JobserverTokens(const JobserverTokens&) = delete;
  JobserverTokens& operator=(const JobserverTokens&) = delete;

  // Takes or gives back until it has count, or there are no more; returns how many it has.
  uint32_t Adjust(uint32_t count);
  void ReleaseAll() { (void)Adjust(0); }
  [[nodiscard]] uint32_t count() const { return count_; }

 private:
  Jobserver& jobserver_;
  uint32_t count_ = 0;
};

}  // namespace workpool
