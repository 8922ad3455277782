// LoadSubject: a pool under load: the library's, or one with the rules of another.
// Threads: Submit: one at a time; Now: another one; the rest: who owns it.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>

#include "load_task.h"
#include "thread_ledger.h"

namespace workpool_cli {

class LoadSubject {
 public:
  struct State {
    uint32_t live = 0;
    uint32_t busy = 0;
    uint64_t queued = 0;
    std::optional<uint32_t> target;  // as many may be up; nothing: the pool has no such figure
  };

  virtual ~LoadSubject() = default;

  // What it is, for people.
  virtual std::string Name() const = 0;
  // Never waits for room. False: refused; the task was not taken.
  [[nodiscard]] virtual bool Submit(LoadTask& task) = 0;
  // Called often while the load runs.
  virtual State Now() = 0;
  // What it counted of itself, before Close.
  virtual void Tell(nlohmann::json* /*out*/) {}
  // Takes no further task; what has not started is given up, what runs is waited for. On return no thread of it is
  // left.
  virtual void Close() = 0;

  ThreadLedger& threads() { return threads_; }

 private:
  ThreadLedger threads_;
};

}  // namespace workpool_cli
