// SPDX-License-Identifier: Apache-2.0
//
// The box of a task that has a taker, or a dead letter if it fails.
#ifndef WORKPOOL_DETAIL_TASK_BOX_HPP_
#define WORKPOOL_DETAIL_TASK_BOX_HPP_

#include <workpool/workpool.h>

#include <cstdint>
#include <exception>
#include <string>
#include <utility>
#include <workpool/detail/attempt.hpp>
#include <workpool/detail/box.hpp>
#include <workpool/detail/callbacks.hpp>

namespace workpool {
namespace detail {

struct task_box : box {
  task_box(void (*e)(box*, std::int32_t) noexcept, target t) noexcept : box{e}, where(t) {}
  task_box(const task_box&) = delete;
  task_box& operator=(const task_box&) = delete;
  ~task_box() {
    if (noted) where.letters->forget(static_cast<box*>(this));
  }

  // One attempt. However it fails, its dead letter will tell.
  template <class F>
  attempt tried_by(const std::string& name, F&& f) {
    struct end_of_attempt {
      ~end_of_attempt() {
        if (failed) self.note(name, thrown);
      }
      task_box& self;
      const std::string& name;
      bool failed = true;  // stays so if the thread ends
      std::exception_ptr thrown = nullptr;
    };
    end_of_attempt over{*this, name};
    attempt made = tried(std::forward<F>(f));
    over.failed = made.thrown != nullptr;
    over.thrown = made.thrown;
    return made;
  }

  // Without memory the letter goes out without name and exception.
  void note(const std::string& name, const std::exception_ptr& thrown) noexcept {
    if (where.letters == nullptr) return;
    static_cast<void>(caught([&] {
      where.letters->note(static_cast<box*>(this), {name, thrown});
      noted = true;
    }));
  }

  target where;
  bool noted = false;
};

}  // namespace detail
}  // namespace workpool
#endif  // WORKPOOL_DETAIL_TASK_BOX_HPP_
