#include "model/fiber.h"

#include <cxxabi.h>
#include <sys/mman.h>

#include <cstdint>
#include <cstdlib>
#include <utility>

#if defined(__x86_64__)
// Saves what a call must preserve on the old stack, and takes it from the new one.
extern "C" void workpool_model_switch(void** save_top, void* top);
asm(R"(
.text
.p2align 4
.globl workpool_model_switch
.hidden workpool_model_switch
.type workpool_model_switch, @function
workpool_model_switch:
  pushq %rbp
  pushq %rbx
  pushq %r12
  pushq %r13
  pushq %r14
  pushq %r15
  movq %rsp, (%rdi)
  movq %rsi, %rsp
  popq %r15
  popq %r14
  popq %r13
  popq %r12
  popq %rbx
  popq %rbp
  ret
.size workpool_model_switch, .-workpool_model_switch
)");
#endif

namespace workpool::model {
namespace {

char* MapStack() {
  constexpr size_t kGuardBytes = 4096;
  void* memory = mmap(nullptr, kFiberStackBytes + kGuardBytes, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED || mprotect(memory, kGuardBytes, PROT_NONE) != 0) std::abort();
  return static_cast<char*>(memory) + kGuardBytes;
}

}  // namespace

void Fiber::Prepare(void (*entry)()) {
  if (stack_ == nullptr) stack_ = MapStack();
  exceptions_ = ExceptionGlobals();
#if defined(__x86_64__)
  // Six registers, the address that `ret` takes (16-byte aligned, so that entry finds the stack as
  // after a call), and a null return address, at which back-traces end.
  auto* frame = reinterpret_cast<uintptr_t*>(stack_ + kFiberStackBytes - 16 - 64);
  for (int i = 0; i < 10; ++i) frame[i] = 0;
  frame[6] = reinterpret_cast<uintptr_t>(entry);
  top_ = frame;
#else
  getcontext(&context_);
  context_.uc_stack.ss_sp = stack_;
  context_.uc_stack.ss_size = kFiberStackBytes;
  context_.uc_link = nullptr;
  makecontext(&context_, entry, 0);
#endif
}

void Fiber::Switch(Fiber& from, Fiber& to) {
  static auto* const globals = reinterpret_cast<ExceptionGlobals*>(abi::__cxa_get_globals());
  from.exceptions_ = std::exchange(*globals, to.exceptions_);
#if defined(__x86_64__)
  workpool_model_switch(&from.top_, to.top_);
#else
  swapcontext(&from.context_, &to.context_);
#endif
}

}  // namespace workpool::model
