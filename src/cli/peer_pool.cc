#include "peer_pool.h"

#include <pthread.h>

#include <chrono>
#include <memory>

#include "load_clock.h"

namespace workpool_cli {
namespace {

constexpr size_t kStackBytes = 256 * 1024;

struct ThreadStart {
  PeerPool* pool;
  LoadTask* first;
};

}  // namespace

bool PeerPool::Submit(LoadTask& task) {
  const Lock lock(mu_);
  return !closing_ && SubmitLocked(task);
}

LoadSubject::State PeerPool::Now() {
  const Lock lock(mu_);
  return {live_, busy_, QueuedLocked(), std::nullopt};
}

void PeerPool::Close() {
  Lock lock(mu_);
  closing_ = true;
  queue_.clear();
  WakeAllLocked();
  end_tick_.notify_all();
  none_left_.wait(lock, [&] { return live_ == 0; });
  lock.unlock();
  if (ticker_.joinable()) ticker_.join();
}

bool PeerPool::StartLocked(LoadTask* first) {
  if (live_ >= kThreadsMax) return false;
  auto start = std::make_unique<ThreadStart>(ThreadStart{this, first});
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  pthread_attr_setstacksize(&attributes, kStackBytes);
  pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
  pthread_t thread;
  const int error = pthread_create(&thread, &attributes, ThreadMain, start.get());
  pthread_attr_destroy(&attributes);
  if (error != 0) return false;
  start.release();
  ++live_;
  threads().Start(NowNs());
  return true;
}

void* PeerPool::ThreadMain(void* arg) {
  const std::unique_ptr<ThreadStart> start(static_cast<ThreadStart*>(arg));
  PeerPool& pool = *start->pool;
  Lock lock(pool.mu_);
  pool.WorkLocked(lock, start->first);
  pool.threads().Stop(NowNs());
  // With the lock, as the last use of the pool: who waits may free it.
  if (--pool.live_ == 0) pool.none_left_.notify_all();
  return nullptr;
}

void PeerPool::RunLocked(Lock& lock, LoadTask& task) {
  ++busy_;
  lock.unlock();
  const bool over = task.world->Run(task, nullptr);
  lock.lock();
  --busy_;
  if (!over && (closing_ || !SubmitLocked(task))) task.world->GiveUp(task, true);
}

void PeerPool::TickEvery(double period_s, std::function<void()> tick_locked) {
  ticker_ = std::thread([this, period_s, tick = std::move(tick_locked)] {
    const auto period = std::chrono::duration<double>(period_s);
    Lock lock(mu_);
    while (!end_tick_.wait_for(lock, period, [&] { return closing_; })) tick();
  });
}

}  // namespace workpool_cli
