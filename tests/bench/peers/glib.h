// GLib's GThreadPool, exclusive threads. It binds one function when it is made, so that function
// calls the one that was last submitted; a null argument is not allowed, so arguments are stored
// plus one.
#pragma once

#include <glib.h>

#include <atomic>
#include <cstdint>
#include <cstdlib>
#include <string>

#include "bench/peers/subject.h"

namespace bench {

class GlibPool {
 public:
  static constexpr Can kCan{};
  static std::string Name() { return "GLib"; }
  static std::string Version() {
    return std::to_string(glib_major_version) + "." + std::to_string(glib_minor_version) + "." +
           std::to_string(glib_micro_version);
  }

  struct Context {
    GlibPool* pool;
    template <class Task>
    void Spawn(void* arg) {
      pool->Push<Task>(arg);
    }
  };

  class Producer {
   public:
    explicit Producer(GlibPool& pool) : pool_(pool) {}
    template <class Task>
    void Submit(void* arg) {
      pool_.Push<Task>(arg);
    }
    void Finish() {}

   private:
    GlibPool& pool_;
  };

  explicit GlibPool(Setup setup)
      : pool_(g_thread_pool_new(&Dispatch, this, static_cast<gint>(setup.workers), TRUE, nullptr)) {
    if (pool_ == nullptr) std::abort();
  }
  ~GlibPool() { g_thread_pool_free(pool_, FALSE, TRUE); }

 private:
  using RunFn = void (*)(Context, void*);

  template <class Task>
  static void Run(Context context, void* arg) {
    Task::Run(context, arg);
  }

  template <class Task>
  void Push(void* arg) {
    if (run_.load(std::memory_order_relaxed) != &Run<Task>)
      run_.store(&Run<Task>, std::memory_order_relaxed);
    g_thread_pool_push(pool_, reinterpret_cast<void*>(reinterpret_cast<uintptr_t>(arg) + 1),
                       nullptr);
  }

  static void Dispatch(void* data, void* user) {
    auto* pool = static_cast<GlibPool*>(user);
    pool->run_.load(std::memory_order_relaxed)(
        Context{pool}, reinterpret_cast<void*>(reinterpret_cast<uintptr_t>(data) - 1));
  }

  std::atomic<RunFn> run_{nullptr};
  GThreadPool* pool_;
};

}  // namespace bench
