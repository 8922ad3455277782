#include "worker/hooks.h"

#include <algorithm>
#include <cassert>

#include "base/finally.h"
#include "base/memory.h"
#include "worker/call_out.h"

namespace workpool {

Hooks::~Hooks() {
  for (Hook* hook : hooks_) Delete(hook);
}

Status Hooks::Add(HookFn start, HookFn stop, void* user, uint64_t* id) {
  Hook* hook = New<Hook>(Hook{0, start, stop, user, 0, false});
  if (hook == nullptr) return POOL_E_NOMEM;
  MutexLock lock(mu_);
  try {
    hooks_.push_back(hook);
  } catch (const std::bad_alloc&) {
    Delete(hook);
    return POOL_E_NOMEM;
  }
  *id = hook->id = next_id_++;
  epoch_.fetch_add(1, kRelease);
  return POOL_OK;
}

bool Hooks::BeginRemove(uint64_t id) {
  MutexLock lock(mu_);
  for (Hook* hook : hooks_) {
    if (hook->id != id || hook->removed) continue;
    hook->removed = true;
    epoch_.fetch_add(1, kRelease);
    return true;
  }
  return false;
}

void Hooks::FinishRemove(uint64_t id) {
  Hook* hook = nullptr;
  {
    MutexLock lock(mu_);
    for (Hook* candidate : hooks_) {
      if (candidate->id == id) hook = candidate;
    }
  }
  assert(hook != nullptr && "only BeginRemove's caller comes here, once");
  (void)unused_.Await(kNever, [&] {
    MutexLock lock(mu_);
    return hook->users == 0;
  });
  MutexLock lock(mu_);
  hooks_.erase(std::find(hooks_.begin(), hooks_.end(), hook));
  Delete(hook);
}

Hooks::Hook* Hooks::NextToStart(const Started& started) {
  MutexLock lock(mu_);
  for (Hook* hook : hooks_) {
    if (hook->removed || std::find(started.begin(), started.end(), hook) != started.end()) continue;
    ++hook->users;
    return hook;
  }
  return nullptr;
}

void Hooks::Stop(Hook& hook, pool_t pool, int32_t worker, bool unwound) {
  const Finally unused([&] {  // also if stop ends the thread
    {
      MutexLock lock(mu_);
      --hook.users;
    }
    unused_.Notify();
  });
  if (hook.stop != nullptr && !unwound) CallOut([&] { hook.stop(hook.user, pool, worker); });
}

void Hooks::CatchUp(Started& started, pool_t pool, int32_t worker) {
  for (size_t i = started.size(); i-- > 0;) {
    Hook* hook = started[i];
    bool removed;
    {
      MutexLock lock(mu_);
      removed = hook->removed;
    }
    if (!removed) continue;
    started.erase(started.begin() + static_cast<ptrdiff_t>(i));
    Stop(*hook, pool, worker, false);
  }
  for (;;) {
    try {
      started.reserve(started.size() + 1);
    } catch (const std::bad_alloc&) {
      return;  // without memory to remember it by, a hook is not run on this worker
    }
    Hook* hook = NextToStart(started);
    if (hook == nullptr) return;
    started.push_back(hook);
    if (hook->start != nullptr) CallOut([&] { hook->start(hook->user, pool, worker); });
  }
}

void Hooks::StopAll(Started& started, pool_t pool, int32_t worker, bool unwound) {
  while (!started.empty()) {
    Hook* hook = started.back();
    started.pop_back();
    Stop(*hook, pool, worker, unwound);
  }
}

}  // namespace workpool
