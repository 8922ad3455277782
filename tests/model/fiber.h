// A fiber: a stack and a place to go on. All virtual threads are fibers of one operating-system
// thread, so a schedule is a plain sequence of switches and can be repeated exactly.
#pragma once

#include <cstddef>

#if !defined(__x86_64__)
#include <ucontext.h>
#endif

namespace workpool::model {

class Fiber {
 public:
  // Makes the next switch to this fiber call entry, which must not return, on a fresh stack. The
  // stack's memory is mapped once and used again.
  void Prepare(void (*entry)());

  // Leaves from and goes on in to. from may be a fiber that was never prepared: the thread's own
  // stack.
  static void Switch(Fiber& from, Fiber& to);

  const char* stack_base() const { return stack_; }

 private:
  // What the C++ runtime keeps per thread about exceptions in flight; each fiber has its own.
  struct ExceptionGlobals {
    void* caught = nullptr;
    unsigned uncaught = 0;
  };

  char* stack_ = nullptr;
  ExceptionGlobals exceptions_;
#if defined(__x86_64__)
  void* top_ = nullptr;  // stack pointer while it is not running
#else
  ucontext_t context_;
#endif
};

inline constexpr size_t kFiberStackBytes = 512 * 1024;

}  // namespace workpool::model
