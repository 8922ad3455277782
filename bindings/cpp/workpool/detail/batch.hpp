// SPDX-License-Identifier: Apache-2.0
//
// Many tasks in one call.
#ifndef WORKPOOL_DETAIL_BATCH_HPP_
#define WORKPOOL_DETAIL_BATCH_HPP_

#include <workpool/workpool.h>

#include <cstddef>
#include <cstdint>
#include <vector>
#include <workpool/detail/box.hpp>
#include <workpool/detail/ruled_task.hpp>
#include <workpool/task_options.hpp>

namespace workpool {
namespace detail {

// Boxes for one batch call. What was not accepted is ended by the destructor.
class box_list {
 public:
  box_list() = default;
  box_list(const box_list&) = delete;
  box_list& operator=(const box_list&) = delete;
  ~box_list() {
    for (; begin_ < boxes_.size(); ++begin_) drop_box(boxes_[begin_], kNotAccepted);
  }

  void push(box_owner owner) {
    boxes_.push_back(owner.get());
    static_cast<void>(owner.release());
  }
  box* at(std::size_t i) const { return static_cast<box*>(boxes_[i]); }
  std::size_t size() const { return boxes_.size(); }
  std::size_t accepted() const { return begin_; }

  // Submits all of them; what stopped it is returned. Without options by the cheapest call that
  // knows how to drop them.
  pool_status_t submit(target where, const task_options* o, pool_run_fn run, pool_done_fn done) {
    while (begin_ < boxes_.size()) {
      const std::size_t left = boxes_.size() - begin_;
      const std::uint32_t n = left < UINT32_MAX ? static_cast<std::uint32_t>(left) : UINT32_MAX;
      std::uint32_t accepted = 0;
      const pool_status_t status =
          o == nullptr && where.calls_drop
              ? pool_submit_many(where.handle, run, &boxes_[begin_], n, &accepted)
              : submit_tasks(where, task_of(o != nullptr ? *o : task_options{}), run, done, n,
                             &accepted);
      begin_ += accepted;
      if (status != POOL_OK) return status;
    }
    return POOL_OK;
  }

 private:
  pool_status_t submit_tasks(target where, pool_task_t task, pool_run_fn run, pool_done_fn done,
                             std::uint32_t n, std::uint32_t* accepted) {
    task.run = run;
    task.done = done;
    std::vector<pool_task_t> tasks(n, task);
    for (std::uint32_t i = 0; i < n; ++i) tasks[i].arg = boxes_[begin_ + i];
    return pool_submit_batch(where.handle, tasks.data(), sizeof task, n, nullptr, accepted);
  }

  std::vector<void*> boxes_;
  std::size_t begin_ = 0;  // accepted so far
};

}  // namespace detail
}  // namespace workpool
#endif  // WORKPOOL_DETAIL_BATCH_HPP_
