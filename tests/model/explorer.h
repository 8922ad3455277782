// What a model test is written with:
//
//   MODEL_TEST("B6: a submit is never missed by a worker that goes to sleep", .preemptions = 2) {
//     Parker parker;
//     model::Thread worker([&] { ... });
//     ...
//     worker.Join();
//     MODEL_CHECK(...);
//   }
//
// The body is one schedule; it is run again and again, each time from the beginning. It must be
// deterministic but for what the explorer decides, and keep nothing from one run to the next.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/thread.h"
#include "model/memory_model.h"
#include "model/options.h"
#include "model/scheduler.h"

namespace workpool::model {

struct Test {
  const char* name;
  Options options;
  void (*body)();
};

std::vector<Test>& Tests();

class TestRegistration {
 public:
  TestRegistration(const char* name, const Options& options, void (*body)()) {
    Tests().push_back({name, options, body});
  }
};

// A thread of the test. Starting it never fails.
template <typename F>
class Thread {
 public:
  explicit Thread(F body) : body_(std::move(body)) {
    g_scheduler.Point();
    handle_ =
        g_scheduler.Start([](void* self) { static_cast<Thread*>(self)->body_(); }, this, false);
  }
  Thread(const Thread&) = delete;
  Thread& operator=(const Thread&) = delete;
  void Join() { g_scheduler.Join(handle_); }

 private:
  F body_;
  uint64_t handle_;
};

// A variable that threads must not use at the same time: that some happens-before orders every two
// uses, one of them a write, is checked at each.
template <typename T>
class Plain {
 public:
  Plain() = default;
  explicit Plain(T value) : value_(value) {}
  T Read() const {
    g_memory.ReadPlain(race_);
    return value_;
  }
  void Write(T value) {
    g_memory.WritePlain(race_);
    value_ = value;
  }

 private:
  T value_{};
  mutable RaceDetector race_;
};

// What this schedule came to, for tests with options.outcomes.
void Observe(const std::string& outcome);

#define MODEL_CHECK(condition)                                                                \
  do {                                                                                        \
    if (!(condition)) {                                                                       \
      ::workpool::model::Fail("%s:%d: MODEL_CHECK(%s)", __FILE_NAME__, __LINE__, #condition); \
    }                                                                                         \
  } while (false)

#define MODEL_CONCAT2(a, b) a##b
#define MODEL_CONCAT(a, b) MODEL_CONCAT2(a, b)
#define MODEL_TEST(name, ...)                                                              \
  static void MODEL_CONCAT(ModelTest, __LINE__)();                                         \
  static const ::workpool::model::TestRegistration MODEL_CONCAT(g_registration, __LINE__)( \
      name, ::workpool::model::Options{__VA_ARGS__}, MODEL_CONCAT(ModelTest, __LINE__));   \
  static void MODEL_CONCAT(ModelTest, __LINE__)()

}  // namespace workpool::model
