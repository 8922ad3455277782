// What a task may change of its thread, so that it can be put back before the next one runs.
// Threads: the owner.
#pragma once

#include <cfenv>
#include <clocale>
#include <csignal>
#include <cstdint>

#include <locale.h>

namespace workpool {

class ThreadSettings {
 public:
  // Of the calling thread, as it is to stay.
  void Save();
  // Floating-point control (rounding, exceptions that trap, flush to zero) and errno: some nanoseconds. Returns what was
  // put back, or nullptr.
  const char* RestoreFloat();
  // That, and signal mask, thread name, nice value, CPUs, locale and cancel state: some microseconds. Returns as above,
  // the last of several.
  const char* RestoreAll();

 private:
  uint64_t float_control_ = 0;
  int errno_ = 0;
  sigset_t signals_{};
  char name_[16] = {};
  int nice_ = 0;
  uint64_t cpus_[16] = {};
  bool has_cpus_ = false;
  locale_t locale_ = nullptr;
};

}  // namespace workpool
