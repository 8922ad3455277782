// A running task's view of itself: what pool_ctx_t points to. It lies on the stack of the thread that runs the
// task; nested runs (a wait that runs what it waits for) form a chain.
// Threads: the running one only; children that were stolen read constant fields of their parent's.
#pragma once

#include <cstdint>
#include <cstdlib>

#include "base/process.h"
#include "base/thread_line.h"
#include "task/task_record.h"

namespace workpool {
class Worker;
struct Engine;
}  // namespace workpool

// The public, opaque type.
struct pool_ctx {
  workpool::Engine* engine;
  workpool::Worker* worker;        // nullptr: a thread that is not a worker of the pool
  workpool::TaskRecord* record;    // nullptr: a plain task, a fork, a part of a loop
  pool_ctx* outer;                 // what this thread runs around it
  pool_ctx* parent;                // whose stop request and value it shares: a fork's parent; or nullptr
  uint64_t value;
  uint32_t epoch;                  // of fork, in which it began
  uint32_t blocks = 0;             // announced, and not ended
};

namespace workpool {

using Frame = pool_ctx;

// What it has announced to block, and not ended, ends with it.
void EndBlocksOf(Frame& frame);

// Makes frame the innermost one of this thread.
class FrameScope {
 public:
  FrameScope(Tls& tls, Frame& frame) : tls_(tls), frame_(frame), outer_(frame.outer) { tls.frame = &frame; }
  ~FrameScope() {
    tls_.frame = outer_;
    if (frame_.blocks != 0) [[unlikely]] EndBlocksOf(frame_);
  }
  FrameScope(const FrameScope&) = delete;
  FrameScope& operator=(const FrameScope&) = delete;

 private:
  Tls& tls_;
  Frame& frame_;
  Frame* outer_;
};

inline Frame* InnermostFrame(const Tls& tls) { return static_cast<Frame*>(tls.frame); }

// Of what begins now on this thread.
inline Frame MakeFrame(Engine& engine, Worker* worker, TaskRecord* record, const Tls& tls) {
  return Frame{.engine = &engine,
               .worker = worker,
               .record = record,
               .outer = InnermostFrame(tls),
               .parent = nullptr,
               .value = 0,
               .epoch = ForkEpoch()};
}

// True if this thread runs a task of engine, perhaps around other ones.
inline bool RunsTaskOf(const Tls& tls, const Engine& engine) {
  for (const Frame* frame = InnermostFrame(tls); frame != nullptr; frame = frame->outer) {
    if (frame->engine == &engine) return true;
  }
  return false;
}

// True if this thread runs, or calls back for, a task that counts as not ended: the pool is not idle before it is.
inline bool RunsRecordOf(const Tls& tls, const Engine& engine) {
  for (const Frame* frame = InnermostFrame(tls); frame != nullptr; frame = frame->outer) {
    if (frame->engine == &engine && frame->record != nullptr) return true;
  }
  return false;
}

// A task that forked has come back in the child, whose only thread this is: there is no pool to return to. The
// child ends as if its main function had returned.
inline void LeaveForkedChild(const Frame& frame) {
  if (frame.epoch != ForkEpoch()) [[unlikely]] std::exit(0);
}

// Asked to stop: the task itself, the one whose child it is, or the whole pool.
[[nodiscard]] bool ShouldStop(const Frame& frame);

}  // namespace workpool
