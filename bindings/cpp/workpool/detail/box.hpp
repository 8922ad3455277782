// SPDX-License-Identifier: Apache-2.0
//
// Boxes: what the arg of every task points to. A box is owned by its creator until the pool has
// accepted it, then by the pool until drop.
#ifndef WORKPOOL_DETAIL_BOX_HPP_
#define WORKPOOL_DETAIL_BOX_HPP_

#include <workpool/workpool.h>

#include <cstdint>
#include <memory>
#include <workpool/error.hpp>

namespace workpool {
namespace detail {

struct pool_callbacks;

// A pool as tasks remember it. calls_drop: it was made here, so that its own drop is drop_box, and
// the calls that take no drop can be used. terminates: on_exception::terminate. letters: those of a
// pool made here with a dead_letter.
struct target {
  pool_t handle = 0;
  bool calls_drop = false;
  bool terminates = false;
  pool_callbacks* letters = nullptr;
};

struct box {
  void (*end)(box*, std::int32_t outcome) noexcept;  // deletes it; outcome < 0: never accepted
};

inline constexpr std::int32_t kNotAccepted = -1;

inline void drop_box(void* arg, std::int32_t outcome) {
  box* b = static_cast<box*>(arg);
  b->end(b, outcome);
}

struct end_not_accepted {
  void operator()(box* b) const noexcept { b->end(b, kNotAccepted); }
};
using box_owner = std::unique_ptr<box, end_not_accepted>;

// Submits one box by the cheapest call that knows how to drop it.
inline void submit_box(target where, pool_run_fn run, box_owner owner) {
  if (where.calls_drop) {
    check(pool_submit(where.handle, run, owner.get()));
  } else {
    pool_task_t task;
    check(pool_task_init(&task, sizeof task));
    task.run = run;
    task.drop = drop_box;
    task.arg = owner.get();
    check(pool_submit_task(where.handle, &task, nullptr));
  }
  static_cast<void>(owner.release());
}

}  // namespace detail
}  // namespace workpool
#endif  // WORKPOOL_DETAIL_BOX_HPP_
