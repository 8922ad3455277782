// Token: asks many tasks to stop, of one pool or of several, and the tasks under its child tokens with them.
// Threads:   all, any thread.
// Ownership: counted: the handle, each task under it until its record goes, each child. A parent knows its children without
//            a reference; they leave it when they go.
#pragma once

#include <cstdint>

#include "base/memory.h"
#include "base/mutex.h"
#include "task/membership.h"

namespace workpool {

class Token {
 public:
  // A child of parent_or_null; nullptr: out of memory. A child of a cancelled token is cancelled from the start.
  [[nodiscard]] static Token* Make(Token* parent_or_null);

  void Ref() { refs_.fetch_add(1, kRelaxed); }
  void Unref();

  Members& members() { return members_; }

  // Adds a task, which has details, before it is queued; takes a reference for it. False: the token was cancelled.
  [[nodiscard]] bool Add(TaskRecord& member);

  // What a cancel does to a task that waits.
  struct Canceller {
    bool (*take)(TaskRecord& record);                   // as in Members::FindWaiting
    void (*settle)(TaskRecord& record, int32_t reason);  // of one taken, unless somebody claims it first
  };
  // It and its children refuse new tasks, running ones are asked to stop, those that wait are settled. Only the first
  // reason counts.
  void Cancel(int32_t reason, const Canceller& canceller);

  // 0: not cancelled.
  [[nodiscard]] int32_t reason() const { return reason_.load(kRelaxed); }

  uint64_t handle = 0;  // constant once it has one

 private:
  friend Token* New<Token, Token*&>(Token*&);
  friend void Delete<Token>(Token*);
  explicit Token(Token* parent) : parent_(parent) {}
  ~Token() = default;

  // A reference, unless it is just going.
  [[nodiscard]] bool TryRef();
  [[nodiscard]] Token* ChildAfter(Token* previous);
  void CancelWaiting(int32_t reason, const Canceller& canceller);
  // Calls visit for itself and all tokens below it.
  template <typename Visit>
  void Walk(Visit visit);

  Token* const parent_;  // a reference, or nullptr
  Atomic<uint32_t> refs_{1};
  Atomic<int32_t> reason_{0};
  Members members_;
  Mutex mu_;
  Token* children_ ABSL_GUARDED_BY(mu_) = nullptr;
  // ---- under the parent's lock
  Token* next_sibling_ = nullptr;
  Token* previous_sibling_ = nullptr;
};

}  // namespace workpool
