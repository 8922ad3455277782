#include "scaling/jobserver.h"

#include <algorithm>
#include <cerrno>
#include <cstdlib>

#include "base/process.h"
#include "base/thread.h"

namespace workpool {
namespace {

constinit PerProcess<Jobserver> g_jobserver;

// Of another thread a section is a system call or two long, so this is ample. The thread that ends the process may be
// in one itself, if a signal handler called exit: then it would wait for ever.
constexpr int kExitTries = 1000;
constexpr uint64_t kExitNapNs = 1'000'000;

[[gnu::destructor]] void ReleaseTokensAtExit() {
  Jobserver* jobserver = g_jobserver.Get();
  if (jobserver != nullptr) jobserver->ReleaseAtExit();
}

}  // namespace

const char* JobserverStateText(JobserverState state) {
  switch (state) {
    case JobserverState::kUnopened:
      return "the jobserver has not been asked for";
    case JobserverState::kNone:
      return "MAKEFLAGS names no jobserver";
    case JobserverState::kOff:
      return "make has a jobserver, and not for this command: mark its recipe line with a +";
    case JobserverState::kMalformed:
      return "MAKEFLAGS names a jobserver in an unknown way";
    case JobserverState::kNotOpen:
      return "the jobserver named in MAKEFLAGS is not open: mark the command's recipe line with a +";
    case JobserverState::kNotPipe:
      return "what MAKEFLAGS names as the jobserver is no pipe: mark the command's recipe line with a +";
    case JobserverState::kRefused:
      return "the jobserver's pipe cannot be used";
    case JobserverState::kReady:
      return "the jobserver is in use";
  }
  return "";
}

Jobserver* Jobserver::OfProcess() {
  Jobserver* jobserver = g_jobserver.Ensure();
  if (jobserver != nullptr) (void)jobserver->Open(std::getenv("MAKEFLAGS"));
  return jobserver;
}

// A fork is to be seen from here on.
Jobserver::Jobserver() : epoch_((WatchFork(), ForkEpoch())) {}

Jobserver::~Jobserver() {
  if (!Ours()) return;
  MutexLock lock(mu_);
  GiveBack(0);
}

bool Jobserver::Ours() const { return epoch_ == ForkEpoch(); }

JobserverState Jobserver::Open(const char* makeflags) {
  if (!Ours()) return JobserverState::kUnopened;
  MutexLock lock(mu_);
  if (state_ != JobserverState::kUnopened) return state_;
  JobserverText text;
  ReadMakeflags(makeflags, &text);
  state_ = OpenPipe(text);
  return state_;
}

JobserverState Jobserver::OpenPipe(const JobserverText& text) {
  TokenPipe::Opened opened = TokenPipe::Opened::kRefused;
  switch (text.named) {
    case JobserverNamed::kNone:
      return JobserverState::kNone;
    case JobserverNamed::kOff:
      return JobserverState::kOff;
    case JobserverNamed::kMalformed:
      return JobserverState::kMalformed;
    case JobserverNamed::kEnds:
      opened = pipe_.OpenEnds(text.read_fd, text.write_fd);
      break;
    case JobserverNamed::kPath:
      opened = pipe_.OpenNamed(text.path);
      break;
  }
  switch (opened) {
    case TokenPipe::Opened::kYes:
      return JobserverState::kReady;
    case TokenPipe::Opened::kNotOpen:
      return JobserverState::kNotOpen;
    case TokenPipe::Opened::kNotPipe:
      return JobserverState::kNotPipe;
    case TokenPipe::Opened::kRefused:
      break;
  }
  error_ = errno;
  return JobserverState::kRefused;
}

JobserverState Jobserver::state() {
  if (!Ours()) return JobserverState::kUnopened;
  MutexLock lock(mu_);
  return state_;
}

int Jobserver::error() {
  if (!Ours()) return 0;
  MutexLock lock(mu_);
  return error_;
}

bool Jobserver::TryAcquire() {
  if (!Ours()) return false;
  MutexLock lock(mu_);
  // The implicit one, or one that the pipe has not taken back.
  if (in_use_ <= held_) {
    ++in_use_;
    return true;
  }
  if (state_ != JobserverState::kReady || ended_ || held_ == kJobserverTokensMax) return false;
  switch (pipe_.TryRead(&bytes_[held_])) {
    case TokenPipe::Got::kByte:
      ++held_;
      ++in_use_;
      return true;
    case TokenPipe::Got::kNone:
      return false;
    case TokenPipe::Got::kBroken:
      break;
  }
  error_ = errno;
  state_ = JobserverState::kRefused;
  return false;
}

void Jobserver::Release(uint32_t count) {
  if (!Ours()) return;
  MutexLock lock(mu_);
  in_use_ -= std::min(count, in_use_);
  GiveBack(in_use_ - std::min(in_use_, 1u));
}

void Jobserver::GiveBack(uint32_t keep) {
  while (held_ > keep && pipe_.Write(bytes_[held_ - 1])) --held_;
}

int Jobserver::fd() {
  if (!Ours()) return -1;
  MutexLock lock(mu_);
  return state_ == JobserverState::kReady ? pipe_.fd() : -1;
}

uint32_t Jobserver::in_use() {
  if (!Ours()) return 0;
  MutexLock lock(mu_);
  return in_use_;
}

uint32_t Jobserver::held() {
  if (!Ours()) return 0;
  MutexLock lock(mu_);
  return held_;
}

void Jobserver::ReleaseAtExit() {
  if (!Ours()) return;
  for (int tries = 0; !mu_.TryLock(); ++tries) {
    if (tries == kExitTries) return;
    SleepNs(kExitNapNs);
  }
  ended_ = true;
  GiveBack(0);
  mu_.Unlock();
}

uint32_t JobserverTokens::Adjust(uint32_t count) {
  while (count_ < count && jobserver_.TryAcquire()) ++count_;
  if (count_ > count) {
    jobserver_.Release(count_ - count);
    count_ = count;
  }
  return count_;
}

}  // namespace workpool
