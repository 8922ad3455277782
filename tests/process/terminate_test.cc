// F2: with on_exception = POOL_EXC_TERMINATE an exception escapes the task unwrapped:
// std::terminate runs with the throwing frames still on the stack, so that a core file or a handler
// shows where it was thrown.
#include <pthread.h>
#include <dlfcn.h>
#include <execinfo.h>

#include <catch2/catch.hpp>
#include <cstring>
#include <exception>
#include <stdexcept>

#include "child.h"

namespace {

bool g_unwound = false;

struct Frame {
  ~Frame() { g_unwound = true; }
};

// Codes of the terminate handler.
constexpr int kFrameOnStack = 60, kUnwound = 61, kFrameMissing = 62, kOtherException = 63;

}  // namespace

// Exported, so that the handler finds its name.
extern "C" __attribute__((noinline, visibility("default"))) int32_t ThrowFromHere(void*,
                                                                                  pool_ctx_t*) {
  const Frame frame;
  throw std::runtime_error("thrown from here");
}

namespace workpool_test {
namespace {

[[noreturn]] void LookAtTheStack() {
  if (g_unwound) _exit(kUnwound);
  // It may not count as caught yet; if it does, it is the one.
  if (std::current_exception() != nullptr) {
    try {
      std::rethrow_exception(std::current_exception());
    } catch (const std::runtime_error& error) {
      if (std::strcmp(error.what(), "thrown from here") != 0) _exit(kOtherException);
    } catch (...) {
      _exit(kOtherException);
    }
  }
  void* frames[64];
  const int count = backtrace(frames, 64);
  for (int i = 0; i < count; ++i) {
    Dl_info info;
    if (dladdr(frames[i], &info) != 0 && info.dli_sname != nullptr &&
        std::strcmp(info.dli_sname, "ThrowFromHere") == 0) {
      _exit(kFrameOnStack);
    }
  }
  _exit(kFrameMissing);
}

TEST_CASE("F2: with TERMINATE an exception escapes with the throwing frame on the stack",
          "[terminate]") {
  enum Way { kPlain, kTicket, kForked, kHelped, kWays };
  for (int way = 0; way < kWays; ++way) {
    const ChildEnd end = RunChild([way] {
      std::set_terminate(LookAtTheStack);
      pool_options_t options = Options(1);
      options.on_exception = POOL_EXC_TERMINATE;
      ScopedPool pool(options);
      Body forks([](pool_ctx_t* ctx) {
        pool_fork_t fork_room;
        pool_ctx_fork(ctx, &fork_room, ThrowFromHere, nullptr);
        return pool_ctx_join(ctx, &fork_room, nullptr);
      });
      pool_ticket_t ticket = 0;
      switch (way) {
        case kPlain:
          pool_submit(pool, ThrowFromHere, nullptr);
          break;
        case kTicket:
          ticket = Submit(pool, Task(ThrowFromHere, nullptr));
          break;
        case kForked:
          pool_submit(pool, Body::Run, &forks);
          break;
        default:
          pool_pause(pool);
          ticket = Submit(pool, Task(ThrowFromHere, nullptr));
          // On a thread without a handler of its own; under one (as here, the test runner's) the task is unwound up to
          // the wait first, which the header says.
          {
            pthread_t thread;
            pthread_create(
                &thread, nullptr,
                [](void* t) -> void* {
                  pool_wait(*static_cast<pool_ticket_t*>(t), POOL_WAIT_HELP, POOL_FOREVER, nullptr, 0);
                  return nullptr;
                },
                &ticket);
            pthread_join(thread, nullptr);
          }
          break;
      }
      pool_wait_idle(pool, kBoundNs);
    });
    INFO("way " << way << ": " << end);
    CHECK(end.ExitedWith(kFrameOnStack));
  }
}

TEST_CASE("F2: without a handler the process aborts", "[terminate]") {
  const ChildEnd end = RunChild([] {
    std::set_terminate(std::abort);
    pool_options_t options = Options(1);
    options.on_exception = POOL_EXC_TERMINATE;
    ScopedPool pool(options);
    pool_submit(pool, ThrowFromHere, nullptr);
    pool_wait_idle(pool, kBoundNs);
  });
  INFO(end);
  CHECK(end.KilledBy(SIGABRT));
}

}  // namespace
}  // namespace workpool_test
