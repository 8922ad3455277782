// What the unit tests share: tasks that are only numbers, threads that are joined with their scope,
// and the text of a refusal.
#pragma once

#include <cstdint>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "base/error.h"
#include "queue/slot.h"
#include "test_support.h"

namespace workpool {

// A task that carries a number, so that what comes out of a queue can be told apart.
inline Slot Item(uint64_t id) {
  return {workpool_test::DoNothing, reinterpret_cast<void*>(static_cast<uintptr_t>(id))};
}
inline uint64_t IdOf(const Slot& slot) { return reinterpret_cast<uintptr_t>(slot.arg); }

inline std::vector<Slot> Items(uint64_t first_id, uint32_t count) {
  std::vector<Slot> slots(count);
  for (uint32_t i = 0; i < count; ++i) slots[i] = Item(first_id + i);
  return slots;
}

// A thread that is joined with its scope.
class ScopedThread {
 public:
  template <typename Body>
  explicit ScopedThread(Body body) : thread_(std::move(body)) {}
  ~ScopedThread() { Join(); }
  ScopedThread(const ScopedThread&) = delete;
  ScopedThread& operator=(const ScopedThread&) = delete;

  void Join() {
    if (thread_.joinable()) thread_.join();
  }

 private:
  std::thread thread_;
};

// Ends a failed call of "f", as the edge of the library does; the text that its caller would see.
inline std::string TextOf(Status status) {
  char text[512] = "";
  int32_t code = 0;
  (void)FinishFailure("f", status);
  (void)FormatLastError(text, sizeof(text), &code);
  return text;
}

}  // namespace workpool
