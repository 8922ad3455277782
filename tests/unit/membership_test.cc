#include "task/membership.h"

#include <atomic>
#include <catch2/catch.hpp>
#include <memory>
#include <utility>
#include <vector>

#include "base/random.h"
#include "task/task_details.h"
#include "task/token.h"
#include "unit_support.h"

namespace workpool {
namespace {

using Phase = TaskRecord::Phase;

// A token that is given back with its scope.
class ScopedToken {
 public:
  ScopedToken() : ScopedToken(Token::Make(nullptr)) {}
  explicit ScopedToken(Token* token) : token_(token) {
    if (token_ == nullptr) std::abort();
  }
  ~ScopedToken() { Release(); }
  ScopedToken(ScopedToken&& other) noexcept : token_(std::exchange(other.token_, nullptr)) {}
  ScopedToken(const ScopedToken&) = delete;
  ScopedToken& operator=(const ScopedToken&) = delete;

  Token* operator->() const { return token_; }
  operator Token*() const { return token_; }
  void Release() {
    if (token_ != nullptr) std::exchange(token_, nullptr)->Unref();
  }

 private:
  Token* token_;
};

ScopedToken Under(Token* parent) { return ScopedToken(Token::Make(parent)); }

// What the settling of a cancel does here: it claims, ends and counts.
std::atomic<uint64_t> g_settled{0};
std::atomic<int32_t> g_reason{0};

bool TakeAll(TaskRecord&) { return true; }

void EndCancelled(TaskRecord& record, int32_t reason) {
  if (!record.Claim()) return;
  g_reason = reason;
  record.details()->outcome = POOL_CANCELLED;
  record.details()->code = reason;
  record.Finish();
  record.details()->token->members().Over(record.details()->under_token);
  ++g_settled;
}

constexpr Token::Canceller kCanceller{&TakeAll, &EndCancelled};

// What a cancel of the token settles.
uint64_t Cancel(Token* token, int32_t reason = POOL_E_CANCELLED) {
  const uint64_t before = g_settled;
  token->Cancel(reason, kCanceller);
  return g_settled - before;
}

// A task under a token, as a pool moves it. The test holds one reference.
class Task {
 public:
  explicit Task(Token* token) : record_(TaskRecord::Make(true)), added_(token->Add(*record_)) {}
  ~Task() { record_->Unref(); }
  Task(const Task&) = delete;
  Task& operator=(const Task&) = delete;

  TaskRecord& record() { return *record_; }
  TaskDetails& details() { return *record_->details(); }
  [[nodiscard]] bool added() const { return added_; }
  [[nodiscard]] Phase phase() const { return record_->phase(); }

  // Its submitter, in this order; and what he does where the token was cancelled meanwhile.
  void Hold() { record_->BeginHeld(); }
  [[nodiscard]] bool Offer() { return members().Offer(details().under_token); }
  // A worker.
  [[nodiscard]] bool Start() { return record_->ClaimQueued(); }
  void End() {
    record_->Finish();
    members().Over(details().under_token);
  }
  // As worker/again.cc does. False: it was asked to stop, and is the caller's as before.
  [[nodiscard]] bool GoBack() {
    members().Returned(details().under_token);
    if (record_->Requeue()) return true;
    members().Claimed(details().under_token);
    return false;
  }
  [[nodiscard]] bool StopAsked() const { return record_->StopAsked(); }
  [[nodiscard]] bool WasCancelled() { return phase() == TaskRecord::kOver && details().outcome == POOL_CANCELLED; }

 private:
  Members& members() { return details().token->members(); }

  TaskRecord* const record_;
  const bool added_;
};

// ---- where a task stands when the cancel comes ---------------------------------------------------

TEST_CASE("a cancel before a task is added refuses it", "[membership]") {
  ScopedToken token;
  CHECK(token->members().MayAdd());
  CHECK(Cancel(token) == 0);
  CHECK_FALSE(token->members().MayAdd());
  Task task(token);
  CHECK_FALSE(task.added());
  CHECK(task.details().token == nullptr);
}

TEST_CASE("a cancel between add and offer leaves the task to its submitter", "[membership]") {
  ScopedToken token;
  Task task(token);
  CHECK(Cancel(token) == 0);
  CHECK(task.phase() == TaskRecord::kWaiting);
  CHECK_FALSE(task.Offer());
  // What the submitter does then, by the same means.
  EndCancelled(task.record(), token->reason());
  CHECK(task.WasCancelled());
}

TEST_CASE("a cancel after the offer settles a task that waits, queued or held", "[membership]") {
  ScopedToken token;
  Task queued(token), held(token);
  held.Hold();
  CHECK(queued.Offer());
  CHECK(held.Offer());
  CHECK(Cancel(token, -1234) == 2);
  CHECK(queued.WasCancelled());
  CHECK(held.WasCancelled());
  CHECK(g_reason == -1234);
  CHECK_FALSE(queued.Start());
}

TEST_CASE("a cancel of a task that runs asks it to stop, whether it was offered before or not", "[membership]") {
  ScopedToken token;
  Task offered(token), early(token);
  CHECK(offered.Offer());
  CHECK(offered.Start());
  CHECK(early.Start());  // a worker was faster
  CHECK(Cancel(token) == 0);
  CHECK(offered.StopAsked());
  CHECK(early.StopAsked());
  CHECK(early.Offer());  // nothing is left to be done for its submitter
  offered.End();
  early.End();
  CHECK(Cancel(token) == 0);
}

TEST_CASE("a task that starts after the cancel is asked to stop at once", "[membership]") {
  ScopedToken token;
  Task task(token);
  CHECK(Cancel(token) == 0);
  CHECK(task.Start());
  CHECK(task.StopAsked());
  CHECK(task.Offer());
  task.End();
}

TEST_CASE("a cancel settles what waits for another attempt", "[membership]") {
  ScopedToken token;
  Task task(token);
  CHECK(task.Offer());
  CHECK(task.Start());
  CHECK(task.GoBack());
  CHECK(token->members().MayAdd());
  CHECK(Cancel(token) == 1);
  CHECK(task.WasCancelled());
  CHECK_FALSE(task.StopAsked());
}

TEST_CASE("after a cancel no task goes back for another attempt", "[membership]") {
  ScopedToken token;
  Task task(token);
  CHECK(task.Offer());
  CHECK(task.Start());
  CHECK(Cancel(token) == 0);
  CHECK_FALSE(task.GoBack());
  CHECK(task.phase() == TaskRecord::kClaimed);
  task.End();
}

TEST_CASE("a cancel between the two steps of going back is seen by one of them", "[membership]") {
  ScopedToken token;
  Task task(token);
  CHECK(task.Offer());
  CHECK(task.Start());
  token->members().Returned(task.details().under_token);
  // It lies among those that wait but does not wait yet, so the cancel passes it over.
  CHECK(Cancel(token) == 0);
  CHECK(task.record().Requeue());
  CHECK_FALSE(token->members().MayAdd());  // what the one who takes it back looks at now
  EndCancelled(task.record(), token->reason());
  CHECK(task.WasCancelled());
}

TEST_CASE("a task that is over is out of reach, and may be gone", "[membership]") {
  ScopedToken token;
  {
    Task task(token);
    CHECK(task.Offer());
    CHECK(task.Start());
    task.End();
    CHECK(Cancel(token) == 0);
    CHECK_FALSE(task.StopAsked());
  }
  CHECK(Cancel(token) == 0);
}

// ---- who is found --------------------------------------------------------------------------------

TEST_CASE("a waiter is given the newest that nobody has started, and held ones only if it asks for them",
          "[membership]") {
  ScopedToken token;
  Task a(token), b(token), held(token), c(token), taken(token), unknown(token);
  held.Hold();
  CHECK((a.Offer() && b.Offer() && held.Offer() && c.Offer() && taken.Offer()));
  CHECK(taken.Start());
  Members& members = token->members();
  const auto claim = [&](bool held_too, bool* was_held) {
    TaskRecord* record = members.ClaimOne(held_too, was_held);
    if (record != nullptr) record->Unref();  // the test has another reference
    return record;
  };
  bool was_held = true;
  CHECK(claim(true, &was_held) == &c.record());
  CHECK_FALSE(was_held);
  CHECK(c.phase() == TaskRecord::kClaimed);
  CHECK(claim(false, nullptr) == &b.record());
  CHECK(claim(false, nullptr) == &a.record());
  CHECK(claim(false, nullptr) == nullptr);
  CHECK(claim(true, &was_held) == &held.record());
  CHECK(was_held);
  CHECK(claim(true, &was_held) == nullptr);
  CHECK(unknown.Offer());
  CHECK(claim(false, nullptr) == &unknown.record());
}

TEST_CASE("those that may not run yet do not hide others from a waiter, nor are they lost", "[membership]") {
  ScopedToken token;
  std::vector<std::unique_ptr<Task>> tasks;
  for (int i = 0; i < 20; ++i) {
    tasks.push_back(std::make_unique<Task>(token));
    if (i % 4 != 0) tasks.back()->Hold();
    REQUIRE(tasks.back()->Offer());
  }
  const auto count = [&](bool held_too) {
    int found = 0;
    while (TaskRecord* record = token->members().ClaimOne(held_too, nullptr)) {
      record->Unref();
      ++found;
    }
    return found;
  };
  CHECK(count(false) == 5);
  CHECK(count(false) == 0);
  for (int i = 1; i < 20; i += 4) CHECK(tasks[static_cast<size_t>(i)]->record().Unhold());
  CHECK(count(false) == 5);
  CHECK(Cancel(token) == 10);
}

TEST_CASE("one that waits is found if take says yes, and is claimed by nobody", "[membership]") {
  ScopedToken token;
  Task a(token), b(token), c(token);
  CHECK((a.Offer() && b.Offer() && c.Offer()));
  a.record().priority = 1;
  b.record().priority = 1;
  CHECK(c.Start());
  TaskRecord* found = token->members().FindWaiting([](TaskRecord& record) { return record.priority == 1; });
  REQUIRE(found == &b.record());
  found->Unref();
  CHECK(b.phase() == TaskRecord::kWaiting);
  CHECK(token->members().FindWaiting([](TaskRecord&) { return false; }) == nullptr);
}

TEST_CASE("a member stands behind a task that runs and holds its key", "[membership]") {
  ScopedToken token;
  Task member(token), other(token), first(token);
  for (Task* task : {&member, &first}) task->details().key = 7;
  other.details().key = 8;
  CHECK(other.Offer());
  first.details().attempts = 1;
  first.details().inside_key = true;
  CHECK_FALSE(token->members().AnyBehind(first.record()));
  CHECK(member.Offer());
  CHECK(token->members().AnyBehind(first.record()));
  SECTION("but not if that is only called back, because it never ran") { first.details().attempts = 0; }
  SECTION("but not if that has left its place") { first.details().inside_key = false; }
  SECTION("but not once it has been started") { CHECK(member.Start()); }
  CHECK_FALSE(token->members().AnyBehind(first.record()));
}

TEST_CASE("members leave the list from any place in it", "[membership]") {
  Random random(1);
  for (int round = 0; round < 200; ++round) {
    ScopedToken token;
    std::vector<std::unique_ptr<Task>> tasks;
    for (int i = 0; i < 12; ++i) tasks.push_back(std::make_unique<Task>(token));
    uint64_t waiting = 0;
    for (auto& task : tasks) {
      REQUIRE(task->Offer());
      ++waiting;
    }
    // Each is started, goes back, ends, in any order.
    for (int step = 0; step < 60; ++step) {
      Task& task = *tasks[random.Below(12)];
      if (task.phase() == TaskRecord::kWaiting) {
        (void)task.record().Unhold();
        if (random.Below(2) == 0 && task.Start()) --waiting;
      } else if (task.phase() == TaskRecord::kClaimed) {
        if (random.Below(4) == 0) {
          task.End();
        } else if (task.GoBack()) {
          ++waiting;
        }
      }
    }
    uint64_t running = 0;
    for (auto& task : tasks) running += task->phase() == TaskRecord::kClaimed ? 1 : 0;
    CHECK(Cancel(token) == waiting);
    for (auto& task : tasks) {
      if (task->phase() != TaskRecord::kClaimed) continue;
      CHECK(task->StopAsked());
      task->End();
      --running;
    }
    CHECK(running == 0);
  }
}

// ---- reasons and children ------------------------------------------------------------------------

TEST_CASE("the first reason stays", "[token]") {
  ScopedToken token;
  CHECK(token->reason() == 0);
  (void)Cancel(token, -2000);
  CHECK(token->reason() == -2000);
  (void)Cancel(token, -3000);
  CHECK(token->reason() == -2000);
}

TEST_CASE("a cancel reaches children and their children, not parents and siblings", "[token]") {
  ScopedToken root;
  ScopedToken left = Under(root), right = Under(root);
  ScopedToken leaf_one = Under(left), leaf_two = Under(left);
  Task in_root(root), in_left(left), in_right(right), in_leaf_one(leaf_one), in_leaf_two(leaf_two);
  for (Task* task : {&in_root, &in_left, &in_right, &in_leaf_one, &in_leaf_two}) REQUIRE(task->Offer());
  CHECK(in_leaf_two.Start());
  CHECK(Cancel(left, -1500) == 2);
  CHECK((in_left.WasCancelled() && in_leaf_one.WasCancelled()));
  CHECK(in_leaf_two.StopAsked());
  CHECK((in_root.phase() == TaskRecord::kWaiting && in_right.phase() == TaskRecord::kWaiting));
  CHECK((left->reason() == -1500 && leaf_one->reason() == -1500 && leaf_two->reason() == -1500));
  CHECK((root->reason() == 0 && right->reason() == 0));
  CHECK(root->members().MayAdd());
  CHECK(right->members().MayAdd());
  CHECK_FALSE(leaf_two->members().MayAdd());
  CHECK(Cancel(root, -1600) == 2);
  CHECK((root->reason() == -1600 && right->reason() == -1600 && leaf_one->reason() == -1500));
  in_leaf_two.End();
}

TEST_CASE("a child that was cancelled by itself keeps its reason, and its children have that", "[token]") {
  ScopedToken root;
  ScopedToken child = Under(root);
  (void)Cancel(child, -1700);
  ScopedToken grandchild = Under(child);
  CHECK(grandchild->reason() == -1700);
  CHECK_FALSE(grandchild->members().MayAdd());
  (void)Cancel(root, -1800);
  CHECK(child->reason() == -1700);
  CHECK(grandchild->reason() == -1700);
}

TEST_CASE("a child made under a cancelled token is cancelled from the start", "[token]") {
  ScopedToken root;
  (void)Cancel(root, -1900);
  ScopedToken child = Under(root);
  CHECK(child->reason() == -1900);
  Task task(child);
  CHECK_FALSE(task.added());
}

TEST_CASE("parents live as long as their children, children go when nobody has them", "[token]") {
  ScopedToken root;
  ScopedToken middle = Under(root);
  ScopedToken leaf = Under(middle);
  Task task(leaf);
  REQUIRE(task.Offer());
  middle.Release();
  leaf.Release();  // the task has it
  CHECK(Cancel(root) == 1);
  CHECK(task.WasCancelled());
  for (int order = 0; order < 3; ++order) {
    // From the middle of the siblings, from either end.
    ScopedToken a = Under(root), b = Under(root), c = Under(root);
    (order == 0 ? a : order == 1 ? b : c).Release();
    (void)Cancel(root);
  }
}

TEST_CASE("chains and crowds of tokens are cancelled and given back without recursion", "[token]") {
  constexpr int kMany = workpool_test::kSanitized ? 20'000 : 200'000;
  SECTION("a chain") {
    ScopedToken root;
    std::vector<ScopedToken> chain;
    chain.push_back(Under(root));
    for (int i = 1; i < kMany; ++i) chain.push_back(Under(chain.back()));
    Task task(chain.back());
    REQUIRE(task.Offer());
    CHECK(Cancel(root, -2100) == 1);
    CHECK(task.details().code == -2100);
    // The handles first; the last task then gives all of them back at once.
    chain.clear();
  }
  SECTION("a crowd") {
    ScopedToken root;
    std::vector<ScopedToken> crowd;
    for (int i = 0; i < kMany; ++i) crowd.push_back(Under(root));
    Task first(crowd.front()), last(crowd.back());
    REQUIRE((first.Offer() && last.Offer()));
    CHECK(Cancel(root) == 2);
  }
}

TEST_CASE("what a cancel settles may give the tokens up, and may cancel them again", "[token]") {
  static Token* given_up;
  static Token* root;
  root = Token::Make(nullptr);
  given_up = Token::Make(root);
  Token* child = Token::Make(given_up);
  Task in_child(child), in_given_up(given_up);
  REQUIRE((in_child.Offer() && in_given_up.Offer()));
  child->Unref();
  root->Cancel(-2200, {&TakeAll, [](TaskRecord& record, int32_t reason) {
                         EndCancelled(record, reason);
                         root->Cancel(-2300, kCanceller);
                         if (given_up != nullptr) std::exchange(given_up, nullptr)->Unref();
                       }});
  CHECK((in_child.WasCancelled() && in_given_up.WasCancelled()));
  CHECK(in_child.details().code == -2200);
  CHECK(root->reason() == -2200);
  root->Unref();
}

// ---- two threads ---------------------------------------------------------------------------------

// The submitter and a worker in one: adds, offers, runs it sometimes at once, tries again sometimes. Whatever comes of the
// cancel that meets it: in the end the task is over, once.
void Live(Token* token, Random& random, uint64_t* ran, uint64_t* cancelled, uint64_t* refused) {
  Task task(token);
  if (!task.added()) {
    ++*refused;
    return;
  }
  const bool early = random.Below(2) == 0;
  bool mine = early && task.Start();
  if (!task.Offer()) EndCancelled(task.record(), token->reason());
  if (!mine) mine = task.Start();
  while (mine && random.Below(2) == 0) {
    if (!task.GoBack()) break;
    mine = false;
    if (!token->members().MayAdd()) EndCancelled(task.record(), token->reason());
    if (task.record().Unhold()) mine = task.Start();
  }
  if (mine) {
    task.End();
    ++*ran;
    return;
  }
  // Somebody else claimed it, to cancel it.
  while (task.phase() != TaskRecord::kOver) std::this_thread::yield();
  if (task.WasCancelled()) ++*cancelled;
}

TEST_CASE("of tasks that meet a cancel each is refused, cancelled or has run, and none waits for ever", "[token]") {
  const uint64_t rounds = workpool_test::Rounds(20'000);
  uint64_t ran = 0, cancelled = 0, refused = 0;
  Random random(1);
  const uint64_t before = g_settled;
  for (uint64_t round = 0; round < rounds; ++round) {
    ScopedToken root;
    ScopedToken token = Under(root);
    std::atomic<bool> go{false};
    ScopedThread canceller([&] {
      while (!go) {
      }
      (void)Cancel(round % 2 == 0 ? root : token);
    });
    go = true;
    for (int i = 0; i < 4; ++i) Live(token, random, &ran, &cancelled, &refused);
  }
  CHECK(ran + cancelled + refused == 4 * rounds);
  CHECK(g_settled - before == cancelled);
}

TEST_CASE("children that come and go while their parent is cancelled are all cancelled", "[token]") {
  const uint64_t rounds = workpool_test::Rounds(4'000);
  uint64_t missed = 0;
  for (uint64_t round = 0; round < rounds; ++round) {
    ScopedToken root;
    std::atomic<uint64_t> made{0};
    {
      ScopedThread maker([&] {
        std::vector<ScopedToken> kept;
        for (int i = 0; i < 20; ++i) {
          ScopedToken child = Under(root);
          ++made;
          if (i % 3 == 0) kept.push_back(Under(child));  // a grandchild; the child's handle goes
        }
        while (root->reason() == 0) std::this_thread::yield();
        (void)Cancel(root);  // returns when all are
        for (ScopedToken& token : kept) missed += token->reason() == -2400 ? 0 : 1;
      });
      while (made < round % 20) std::this_thread::yield();
      (void)Cancel(root, -2400);
    }
  }
  CHECK(missed == 0);
}

}  // namespace
}  // namespace workpool
