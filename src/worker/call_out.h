// Every call into user code goes through here: no lock may be held, and no C++ exception comes back. A forced
// unwind (pthread_exit, pthread_cancel) passes: it must reach the end of the thread.
#pragma once

#include <cxxabi.h>

#include <cassert>
#include <cstdio>
#include <exception>

#include "base/api.h"
#include "base/thread_line.h"

namespace workpool {

inline void AssertNoLocks() {
#if !defined(NDEBUG)
  assert(CurrentTls().locks_held == 0 && "user code called with a lock held");
#endif
}

// Runs a callback that returns nothing. What it throws is swallowed: there is nobody to give it to.
template <typename Body>
void CallOut(Body&& body) {
  AssertNoLocks();
  try {
    body();
  } catch (abi::__forced_unwind&) {
    throw;
  } catch (...) {
  }
}

// A task returned what no task may.
[[gnu::cold, gnu::noinline]] inline int32_t RefuseCode(int32_t code, char* text, size_t text_size) {
  if (text != nullptr) std::snprintf(text, text_size, "the task returned %d; 0 is done, 1 asks for a retry, a failure is negative", code);
  return POOL_E_INVALID;
}

// Runs a task's function and returns its code; text (or nullptr) receives an exception's what().
template <typename Body>
[[gnu::always_inline]] inline int32_t CallTask(char* text, size_t text_size, Body&& body) {
  AssertNoLocks();
  try {
    const int32_t code = body();
    return code <= POOL_RETRY ? code : RefuseCode(code, text, text_size);
  } catch (abi::__forced_unwind&) {
    throw;
  } catch (const std::exception& error) {
    if (text != nullptr) std::snprintf(text, text_size, "%s", error.what());
  } catch (...) {
    if (text != nullptr) std::snprintf(text, text_size, "%s", "an exception that is no std::exception");
  }
  return POOL_E_EXCEPTION;
}

// The same under POOL_EXC_TERMINATE. Nothing here catches an exception, so on a worker it finds no handler and ends the
// process with the throwing frames still on the stack. If a caller further out would catch it (a task that was run inside
// a wait), the unwinding ends here: the pool could not go on.
template <typename Body>
int32_t CallTaskOrTerminate(char* text, size_t text_size, Body&& body) {
  struct Guard {
    bool unwound = true;
    ~Guard() {
      if (unwound) std::terminate();
    }
  } guard;
  AssertNoLocks();
  try {
    const int32_t code = body();
    guard.unwound = false;
    return code <= POOL_RETRY ? code : RefuseCode(code, text, text_size);
  } catch (abi::__forced_unwind&) {
    guard.unwound = false;
    throw;
  }
}

}  // namespace workpool
