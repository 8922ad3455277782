// B9: destroying a pool whose tasks keep splitting runs all of them and ends: no wake-up is spent
// on a worker that has gone.
//
// usage: split DEPTH TREES
#include <cinttypes>
#include <cstdio>

#include "test_support.h"

using namespace workpool_test;

namespace {

std::atomic<uint64_t> g_leaves{0};

// The argument is the number of levels below.
int32_t Split(void* arg, pool_ctx_t* ctx) {
  const auto depth = reinterpret_cast<uintptr_t>(arg);
  if (depth == 0) {
    g_leaves.fetch_add(1, std::memory_order_relaxed);
    return 0;
  }
  for (int child = 0; child < 2; ++child) {
    Must(pool_ctx_submit(ctx, Split, reinterpret_cast<void*>(depth - 1)), "pool_ctx_submit");
  }
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) {
    std::fprintf(stderr, "usage: split DEPTH TREES\n");
    return 2;
  }
  const uint64_t depth = std::strtoull(argv[1], nullptr, 10);
  const uint64_t trees = std::strtoull(argv[2], nullptr, 10);
  const Stopwatch watch;
  for (uint64_t tree = 0; tree < trees; ++tree) {
    g_leaves = 0;
    ScopedPool pool(static_cast<uint32_t>(1 + tree % 4));
    Must(pool_submit(pool, Split, reinterpret_cast<void*>(static_cast<uintptr_t>(depth))),
         "pool_submit");
    Must(pool_destroy(pool.GiveUp()), "pool_destroy");
    if (g_leaves != uint64_t{1} << depth) {
      std::fprintf(stderr, "tree %" PRIu64 ": %" PRIu64 " leaves\n", tree, g_leaves.load());
      return 1;
    }
  }
  std::printf("%" PRIu64 " trees of depth %" PRIu64 " in %.2f s\n", trees, depth, watch.Seconds());
  return 0;
}
