// Where a policy sits (scaling/policy_seat.h): it is deleted once, never while it is asked, and who has replaced it knows that
// nobody is inside it any more. A policy that is never deleted is a leak, which fails every schedule.
#include "base/memory.h"
#include "model/explorer.h"
#include "scaling/policy_seat.h"

namespace workpool::model {
namespace {

// What a policy's user has, and may give up once the policy is replaced.
struct User {
  Plain<int> data{0};
  int deleted = 0;
};

class Asked final : public Decider {
 public:
  explicit Asked(User& user) : user_(user) {}
  ~Asked() override {
    MODEL_CHECK(++user_.deleted == 1);
    user_.data.Write(1);
  }
  [[nodiscard]] Decision Decide(const LoadSample&) override {
    user_.data.Write(user_.data.Read() + 1);
    return {1, Reason::kHold};
  }

 private:
  User& user_;
};

Policy* PolicyOf(User& user) {
  auto* decider = New<Asked>(user);
  return New<Policy>(static_cast<Decider*>(decider));
}

void Ask(PolicySeat& seat, PolicySeat* replaced_by_itself = nullptr, User* next = nullptr) {
  Policy* policy = seat.Take();
  if (policy != nullptr) {
    (void)policy->Decide({});
    if (replaced_by_itself != nullptr) {
      replaced_by_itself->Replace(PolicyOf(*next));
      (void)policy->Decide({});  // it is still there
    }
  }
  seat.GiveBack();
}

MODEL_TEST("a policy that is replaced while it is asked is deleted once, when nobody is inside") {
  User users[2];
  {
    PolicySeat seat;
    seat.Replace(PolicyOf(users[0]));
    Thread asker([&] {
      Ask(seat);
      Ask(seat);
    });
    seat.Replace(PolicyOf(users[1]));
    users[0].data.Write(-1);  // its user's own again
    MODEL_CHECK(users[0].deleted == 1);
    asker.Join();
  }
  MODEL_CHECK(users[1].deleted == 1);
}

MODEL_TEST("of two that replace a policy while it is asked each deletes one", .preemptions = 2) {
  User users[3];
  {
    PolicySeat seat;
    seat.Replace(PolicyOf(users[0]));
    Thread asker([&] { Ask(seat); });
    Thread other([&] { seat.Replace(PolicyOf(users[1])); });
    seat.Replace(PolicyOf(users[2]));
    other.Join();
    asker.Join();
    MODEL_CHECK(users[0].deleted == 1);
    MODEL_CHECK(users[1].deleted + users[2].deleted == 1);
  }
  MODEL_CHECK(users[1].deleted == 1 && users[2].deleted == 1);
}

MODEL_TEST("a policy that replaces itself is deleted when it returns, also if another thread replaces the next one",
           .preemptions = 2) {
  User users[3];
  {
    PolicySeat seat;
    seat.Replace(PolicyOf(users[0]));
    Thread asker([&] { Ask(seat, &seat, &users[1]); });
    seat.Replace(PolicyOf(users[2]));
    asker.Join();
    MODEL_CHECK(users[0].deleted == 1);
  }
  MODEL_CHECK(users[1].deleted + users[2].deleted == (users[1].deleted == 0 ? 1 : 2));
}

MODEL_TEST("a seat that is emptied while its policy is asked is empty from then on", .preemptions = 2) {
  User user;
  PolicySeat seat;
  seat.Replace(PolicyOf(user));
  Thread asker([&] {
    Ask(seat);
    Ask(seat);
  });
  seat.Replace(nullptr);
  user.data.Write(-1);
  MODEL_CHECK(user.deleted == 1);
  asker.Join();
}

MODEL_TEST("who looks at a policy sees it while nobody asks it, and never one that was replaced before", .preemptions = 2) {
  User users[2];
  {
    PolicySeat seat;
    Policy* const first = PolicyOf(users[0]);
    seat.Replace(first);
    Thread asker([&] {
      Ask(seat);
      Ask(seat);
    });
    Thread other([&] { seat.Replace(PolicyOf(users[1])); });
    int looked = 0;
    MODEL_CHECK(seat.Look([&](const Policy* policy) {
      ++looked;
      MODEL_CHECK(policy != nullptr);
      User& user = users[policy == first ? 0 : 1];
      user.data.Write(user.data.Read() + 1);
    }));
    MODEL_CHECK(looked == 1);
    other.Join();
    asker.Join();
  }
  MODEL_CHECK(users[0].deleted == 1 && users[1].deleted == 1);
}

MODEL_TEST("who looks at the policy that it is asking is told so, also when that has replaced itself") {
  User users[2];
  {
    PolicySeat seat;
    seat.Replace(PolicyOf(users[0]));
    Policy* policy = seat.Take();
    MODEL_CHECK(!seat.Look([](const Policy*) { MODEL_CHECK(false); }));
    seat.Replace(PolicyOf(users[1]));
    MODEL_CHECK(!seat.Look([](const Policy*) { MODEL_CHECK(false); }));
    MODEL_CHECK(policy->Decide({}).workers == 1);
    seat.GiveBack();
    MODEL_CHECK(users[0].deleted == 1);
    MODEL_CHECK(seat.Look([](const Policy* next) { MODEL_CHECK(next != nullptr); }));
  }
  MODEL_CHECK(users[1].deleted == 1);
}

}  // namespace
}  // namespace workpool::model
