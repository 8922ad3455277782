// What every function of the C interface has around it: no exception leaves, every refusal is named and counted.
#pragma once

#include <cxxabi.h>

#include <new>
#include <optional>

#include "base/error.h"
#include "capi/handle_table.h"
#include "pool/pool.h"

namespace workpool {

// Runs body, which returns a Status. A forced unwind passes: it must reach the end of the thread.
template <typename Body>
Status Guard(const char* function, Body&& body) {
  Status status;
  try {
    status = body();
  } catch (abi::__forced_unwind&) {
    throw;
  } catch (const std::bad_alloc&) {
    status = POOL_E_NOMEM;
  } catch (...) {
    status = POOL_E_INTERNAL;
  }
  if (status >= 0) [[likely]] return status;
  return FinishFailure(function, status);
}

// The same for calls that may run tasks: under POOL_EXC_TERMINATE what those throw must find no handler here, and
// nothing else in such a call throws.
template <typename Body>
Status GuardRunningTasks(const char* function, Body&& body) {
  const Status status = body();
  if (status >= 0) [[likely]] return status;
  return FinishFailure(function, status);
}

// A counted reference to what a handle names, for the life of the object.
template <typename T>
class Held {
 public:
  Held(HandleTable& table, uint64_t handle) : table_(table), handle_(handle) {
    void* object = nullptr;
    status_ = table.Acquire(handle, &object);
    object_ = static_cast<T*>(object);
  }
  ~Held() {
    if (status_ == POOL_OK) table_.Release(handle_);
  }
  Held(const Held&) = delete;
  Held& operator=(const Held&) = delete;

  Status status() const { return status_; }
  T& operator*() const { return *object_; }
  T* operator->() const { return object_; }

 private:
  HandleTable& table_;
  const uint64_t handle_;
  T* object_ = nullptr;
  Status status_;
};

// The same for a handle that may be 0: then there is no object, and the status is OK.
template <typename T>
class OptionalHeld {
 public:
  OptionalHeld(HandleTable& table, uint64_t handle) {
    if (handle != 0) held_.emplace(table, handle);
  }

  Status status() const { return held_.has_value() ? held_->status() : POOL_OK; }
  T* get() const { return held_.has_value() ? held_->operator->() : nullptr; }

 private:
  std::optional<Held<T>> held_;
};

// body(T&) with a reference held.
template <typename T, typename Body>
Status WithHeld(HandleTable Handles::*table, uint64_t handle, Body&& body) {
  Handles* handles = EnsureHandles();
  if (handles == nullptr) return POOL_E_NOMEM;
  Held<T> held(handles->*table, handle);
  return held.status() != POOL_OK ? held.status() : body(*held);
}
template <typename Body>
Status WithPool(pool_t pool, Body&& body) {
  return WithHeld<Pool>(&Handles::pools, pool, body);
}
template <typename Body>
Status WithRecord(pool_ticket_t ticket, Body&& body) {
  return WithHeld<TaskRecord>(&Handles::tickets, ticket, body);
}
template <typename Body>
Status WithGroup(pool_group_t group, Body&& body) {
  return WithHeld<Group>(&Handles::groups, group, body);
}
template <typename Body>
Status WithToken(pool_token_t token, Body&& body) {
  return WithHeld<Token>(&Handles::tokens, token, body);
}
template <typename Body>
Status WithCompletions(pool_cq_t cq, Body&& body) {
  return WithHeld<CompletionQueue>(&Handles::completions, cq, body);
}

// A handle that is only given back: it ends, what it named goes on. OK, BADHANDLE, NOMEM.
inline Status GiveBackHandle(HandleTable Handles::*which, uint64_t handle) {
  Handles* handles = EnsureHandles();
  if (handles == nullptr) return POOL_E_NOMEM;
  HandleTable& table = handles->*which;
  if (table.Inherited(handle)) return table.DropInherited(handle);
  const Status status = table.Remove(handle);
  if (status == POOL_OK) table.Release(handle);
  return status;
}

// The pool that all libraries of the process share, or 0.
pool_t SharedPool();
// INVALID for the shared pool.
Status RefuseShared(pool_t pool, const char* what);

}  // namespace workpool
