#include "task/token.h"

#include "base/finally.h"
#include "base/memory.h"
#include "task/task_details.h"

namespace workpool {

Token* Token::Make(Token* parent_or_null) {
  Token* token = New<Token>(parent_or_null);
  if (token == nullptr || parent_or_null == nullptr) return token;
  Token& parent = *parent_or_null;
  parent.Ref();
  int32_t reason;
  {
    MutexLock lock(parent.mu_);
    token->next_sibling_ = parent.children_;
    if (parent.children_ != nullptr) parent.children_->previous_sibling_ = token;
    parent.children_ = token;
    // Under the lock: a cancel that comes later finds the child.
    reason = parent.reason();
  }
  if (reason != 0) {
    token->reason_.store(reason, kRelaxed);
    token->members_.Refuse();
  }
  return token;
}

bool Token::TryRef() {
  uint32_t refs = refs_.load(kRelaxed);
  while (refs != 0) {
    if (refs_.compare_exchange_weak(refs, refs + 1, kRelaxed, kRelaxed)) return true;
  }
  return false;
}

void Token::Unref() {
  Token* token = this;
  // acq_rel: all uses happen before the delete. In a loop: a chain of children may be long.
  while (token != nullptr && token->refs_.fetch_sub(1, kAcqRel) == 1) {
    Token* parent = token->parent_;
    if (parent != nullptr) {
      MutexLock lock(parent->mu_);
      (token->previous_sibling_ != nullptr ? token->previous_sibling_->next_sibling_ : parent->children_) =
          token->next_sibling_;
      if (token->next_sibling_ != nullptr) token->next_sibling_->previous_sibling_ = token->previous_sibling_;
    }
    Delete(token);
    token = parent;
  }
}

bool Token::Add(TaskRecord& member) {
  if (!members_.MayAdd()) return false;
  Ref();
  member.details()->token = this;
  return true;
}

// The first child after previous, whose reference is given back, with one of its own.
Token* Token::ChildAfter(Token* previous) {
  Token* child;
  {
    MutexLock lock(mu_);
    child = previous == nullptr ? children_ : previous->next_sibling_;
    while (child != nullptr && !child->TryRef()) child = child->next_sibling_;
  }
  if (previous != nullptr) previous->Unref();
  return child;
}

void Token::CancelWaiting(int32_t reason, const Canceller& canceller) {
  int32_t none = 0;
  {
    MutexLock lock(mu_);
    reason_.compare_exchange_strong(none, reason, kRelaxed, kRelaxed);
  }
  members_.Refuse();
  while (TaskRecord* member = members_.FindWaiting(canceller.take)) {
    const RecordReference reference(*member);
    canceller.settle(*member, this->reason());
  }
}

template <typename Visit>
void Token::Walk(Visit visit) {
  // Depth first, without recursion: a chain of children may be long. Each on the way down is held by a reference.
  Token* token = this;
  const Finally way_up([&] {
    while (token != this) {
      Token* child = token;
      token = token->parent_;
      child->Unref();
    }
  });
  visit(*this);
  for (;;) {
    Token* next = token->ChildAfter(nullptr);
    while (next == nullptr && token != this) {
      Token* child = token;
      token = token->parent_;
      next = token->ChildAfter(child);
    }
    if (next == nullptr) return;
    token = next;
    visit(*token);
  }
}

void Token::Cancel(int32_t reason, const Canceller& canceller) {
  // Also if a callback of those that wait ends this thread.
  const Finally ask([&] { Walk([](Token& token) { token.members_.AskToStop(); }); });
  Walk([&](Token& token) { token.CancelWaiting(&token == this ? reason : token.parent_->reason(), canceller); });
}

}  // namespace workpool
