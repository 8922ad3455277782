// LoadCalls: the blocked time of tasks: a sleep, or a request to a LoadServer; and what a trace says of the downstream
// that is called: slower with the calls in flight, failing beyond, a limit of connections, a timeout. trace_file.h has
// the rules.
// Threads: any.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <vector>

#include "load_client.h"
#include "trace_file.h"

namespace workpool_cli {

enum class CallEnd : uint8_t { kOk, kFailed, kCut };

class LoadCalls {
 public:
  // client may be nullptr: tasks sleep. hurry, when set, cuts all calls short. All outlive this.
  LoadCalls(const Trace& trace, LoadClient* client, const std::atomic<bool>& hurry);
  ~LoadCalls();

  // When the trace begins. Before any call.
  void Start(uint64_t start_ns) { start_ns_ = start_ns; }

  // downstream: its index in the trace, -1: a mere wait.
  [[nodiscard]] CallEnd Call(int downstream, uint64_t blocked_ns);

 private:
  class Gate;
  struct Called;

  CallEnd Wait(uint64_t for_ns);

  LoadClient* const client_;
  const std::atomic<bool>& hurry_;
  uint64_t start_ns_ = 0;
  std::vector<std::unique_ptr<Called>> called_;
};

}  // namespace workpool_cli
