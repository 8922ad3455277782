// What is left to do on a thread that user code has ended. It calls user code, which may end its thread, too, and a second
// time would end the process: so that it runs on a thread of its own, and the one that ends waits for it.
#pragma once

#include <cxxabi.h>

#include <type_traits>

#include "base/limits.h"
#include "base/thread.h"
#include "worker/frame.h"

namespace workpool {

// Runs body there, inside the frame of the same task. On this thread if no other can be started.
template <typename Body>
void OnOtherThread(Engine& engine, Worker* worker, TaskRecord* record, Body&& body) {
  struct Job {
    Engine& engine;
    Worker* worker;
    TaskRecord* record;
    std::remove_reference_t<Body>& body;
    static void Run(void* memory) {
      const Job& job = *static_cast<Job*>(memory);
      Tls& tls = CurrentTls();
      (void)CurrentLine(tls);
      Frame frame = MakeFrame(job.engine, job.worker, job.record, tls);
      const FrameScope scope(tls, frame);
      job.body();
    }
  } job{engine, worker, record, body};
  ThreadHandle thread;
  const ThreadOptions options{.stack_bytes = kStackDefaultBytes, .own_cpus = false, .cpus = {}};
  if (StartThread(options, &Job::Run, &job, &thread) == 0) {
    JoinThread(thread);
  } else {
    body();
  }
}

// Runs body to its end: if user code in it ends the thread, called anew on others, where it goes on.
template <typename Body>
void ThoughThreadsEnd(Engine& engine, Body&& body) {
  struct Attempt {
    std::remove_reference_t<Body>& body;
    bool over = false;
    void operator()() {
      body();
      over = true;
    }
  } attempt{body};
  try {
    attempt();
  } catch (abi::__forced_unwind&) {
    while (!attempt.over) OnOtherThread(engine, nullptr, nullptr, attempt);
    throw;
  }
}

}  // namespace workpool
