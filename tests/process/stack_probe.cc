// E6: a worker's stack does not depend on the limit that the shell has set. Run under various
// limits; exit code 0 if the default and an explicit size are what the header says.
#include <pthread.h>

#include <cstdio>

#include "test_support.h"

using namespace workpool_test;

namespace {

size_t StackOfWorker(uint64_t stack_bytes) {
  pool_options_t options = Options(1);
  options.stack_bytes = stack_bytes;
  ScopedPool pool(options);
  size_t seen = 0;
  const pool_run_fn look = [](void* arg, pool_ctx_t*) {
    pthread_attr_t attr;
    void* base = nullptr;
    if (pthread_getattr_np(pthread_self(), &attr) != 0) return int32_t{-1000};
    pthread_attr_getstack(&attr, &base, static_cast<size_t*>(arg));
    pthread_attr_destroy(&attr);
    return int32_t{0};
  };
  const pool_ticket_t ticket = Submit(pool, Task(look, &seen));
  Must(pool_wait(ticket, 0, kBoundNs, nullptr, 0), "pool_wait");
  Must(pool_ticket_release(ticket), "release");
  return seen;
}

}  // namespace

int main() {
  // Rising, because the C library may give a new thread the larger stack of one that has ended.
  const size_t explicit_size = StackOfWorker(256 * 1024);
  const size_t default_size = StackOfWorker(0);
  if (default_size == 1024 * 1024 && explicit_size == 256 * 1024) return 0;
  std::fprintf(stderr, "default %zu, explicit %zu\n", default_size, explicit_size);
  return 1;
}
