#include "task/gate.h"

#include <atomic>
#include <catch2/catch.hpp>
#include <deque>
#include <set>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/random.h"
#include "task/task_details.h"
#include "unit_support.h"

namespace workpool {
namespace {

// A task with a key. The test holds one reference and, where it waits or runs, lets the gate have another one.
class Task {
 public:
  explicit Task(uint64_t key = 0) : record_(TaskRecord::Make(true)) { record_->details()->key = key; }
  ~Task() {
    if (record_ != nullptr) record_->Unref();
  }
  Task(Task&& other) noexcept : record_(std::exchange(other.record_, nullptr)) {}
  Task(const Task&) = delete;
  Task& operator=(const Task&) = delete;

  TaskRecord& record() { return *record_; }
  // The reference that whoever moves it on holds, here the gate's or nobody's.
  TaskRecord& Ref() {
    record_->Ref();
    return *record_;
  }
  // True: somebody cancelled it while it waits.
  bool Cancel() { return record_->Claim(); }

 private:
  TaskRecord* record_;
};

// Enters with a reference of its own; inside it is given back at once, because the test's keeps the record.
template <typename AGate>
bool Enter(AGate& gate, Task& task) {
  if (!gate.Enter(task.Ref())) return false;
  task.record().Unref();
  return true;
}

// Leaves, and gives the reference of the next one back: it is inside, and the test keeps it.
template <typename AGate>
TaskRecord* Leave(AGate& gate, TaskRecord& record) {
  TaskRecord* next = gate.Leave(record);
  if (next != nullptr) next->Unref();
  return next;
}

TaskRecord* Admit(Gate& gate) {
  TaskRecord* next = gate.Admit();
  if (next != nullptr) next->Unref();
  return next;
}

std::vector<Task> Tasks(size_t count, uint64_t key = 0) {
  std::vector<Task> tasks;
  for (size_t i = 0; i < count; ++i) tasks.emplace_back(key);
  return tasks;
}

// ---- Gate: so many at once ---------------------------------------------------------------------

TEST_CASE("a gate lets in as many as its limit, and the others in the order of their arrival", "[gate]") {
  const uint32_t limit = GENERATE(1u, 2u, 7u);
  Gate gate(limit);
  auto tasks = Tasks(50);
  for (size_t i = 0; i < tasks.size(); ++i) CHECK(Enter(gate, tasks[i]) == (i < limit));
  for (size_t i = 0; i < tasks.size(); ++i) {
    TaskRecord* next = Leave(gate, tasks[i].record());
    CHECK(next == (i + limit < tasks.size() ? &tasks[i + limit].record() : nullptr));
  }
  Task last;
  CHECK(Enter(gate, last));
  CHECK(Leave(gate, last.record()) == nullptr);
}

TEST_CASE("a gate without a limit lets everybody in", "[gate]") {
  Gate gate(0);
  auto tasks = Tasks(1000);
  for (Task& task : tasks) REQUIRE(Enter(gate, task));
  for (Task& task : tasks) REQUIRE(Leave(gate, task.record()) == nullptr);
}

TEST_CASE("who was claimed while it waited is passed over", "[gate]") {
  Gate gate(1);
  auto tasks = Tasks(6);
  CHECK(Enter(gate, tasks[0]));
  for (size_t i = 1; i < tasks.size(); ++i) CHECK_FALSE(Enter(gate, tasks[i]));
  CHECK(tasks[1].Cancel());
  CHECK(tasks[2].Cancel());
  CHECK(tasks[5].Cancel());
  // It was never inside, so that its end lets nobody in.
  CHECK(Leave(gate, tasks[1].record()) == nullptr);
  CHECK(Leave(gate, tasks[0].record()) == &tasks[3].record());
  CHECK(Leave(gate, tasks[3].record()) == &tasks[4].record());
  CHECK(Leave(gate, tasks[4].record()) == nullptr);
  Task fresh;
  CHECK(Enter(gate, fresh));
  CHECK(Leave(gate, fresh.record()) == nullptr);
}

TEST_CASE("leaving a gate twice, or without having entered, changes nothing", "[gate]") {
  Gate gate(2);
  auto tasks = Tasks(5);
  Task stranger;
  CHECK(Leave(gate, stranger.record()) == nullptr);
  for (Task& task : tasks) (void)Enter(gate, task);
  CHECK(Leave(gate, tasks[0].record()) == &tasks[2].record());
  CHECK(Leave(gate, tasks[0].record()) == nullptr);
  CHECK(Leave(gate, stranger.record()) == nullptr);
  CHECK(Leave(gate, tasks[1].record()) == &tasks[3].record());
  CHECK(Leave(gate, tasks[2].record()) == &tasks[4].record());
  CHECK(Leave(gate, tasks[2].record()) == nullptr);
  CHECK(Leave(gate, tasks[3].record()) == nullptr);
  CHECK(Leave(gate, tasks[4].record()) == nullptr);
  // Two places, as at the beginning.
  auto more = Tasks(3);
  CHECK(Enter(gate, more[0]));
  CHECK(Enter(gate, more[1]));
  CHECK_FALSE(Enter(gate, more[2]));
  CHECK(Leave(gate, more[0].record()) == &more[2].record());
  CHECK(Leave(gate, more[1].record()) == nullptr);
  CHECK(Leave(gate, more[2].record()) == nullptr);
}

TEST_CASE("a higher limit admits those that wait, one for each place", "[gate]") {
  Gate gate(1);
  auto tasks = Tasks(6);
  for (Task& task : tasks) (void)Enter(gate, task);
  CHECK(Admit(gate) == nullptr);
  gate.SetLimit(3);
  CHECK(Admit(gate) == &tasks[1].record());
  CHECK(Admit(gate) == &tasks[2].record());
  CHECK(Admit(gate) == nullptr);
  gate.SetLimit(0);
  CHECK(tasks[3].Cancel());
  CHECK(Admit(gate) == &tasks[4].record());
  CHECK(Admit(gate) == &tasks[5].record());
  CHECK(Admit(gate) == nullptr);
  for (Task& task : tasks) CHECK(Leave(gate, task.record()) == nullptr);
}

TEST_CASE("under a lower limit those inside stay, and nobody follows until there is room", "[gate]") {
  Gate gate(4);
  auto tasks = Tasks(7);
  for (Task& task : tasks) (void)Enter(gate, task);
  gate.SetLimit(2);
  CHECK(Admit(gate) == nullptr);
  CHECK(Leave(gate, tasks[0].record()) == nullptr);  // three inside
  CHECK(Leave(gate, tasks[1].record()) == nullptr);  // two
  CHECK(Leave(gate, tasks[2].record()) == &tasks[4].record());
  CHECK(Leave(gate, tasks[3].record()) == &tasks[5].record());
  CHECK(Leave(gate, tasks[4].record()) == &tasks[6].record());
  CHECK(Leave(gate, tasks[5].record()) == nullptr);
  CHECK(Leave(gate, tasks[6].record()) == nullptr);
}

TEST_CASE("a limit that goes from none to one counts those that are inside", "[gate]") {
  Gate gate(0);
  auto tasks = Tasks(5);
  for (size_t i = 0; i < 3; ++i) REQUIRE(Enter(gate, tasks[i]));
  gate.SetLimit(1);
  CHECK_FALSE(Enter(gate, tasks[3]));
  CHECK(Leave(gate, tasks[0].record()) == nullptr);
  CHECK(Leave(gate, tasks[1].record()) == nullptr);
  CHECK(Leave(gate, tasks[2].record()) == &tasks[3].record());
  CHECK_FALSE(Enter(gate, tasks[4]));
  CHECK(Leave(gate, tasks[3].record()) == &tasks[4].record());
  CHECK(Leave(gate, tasks[4].record()) == nullptr);
}

// ---- KeyGates: one of each key -----------------------------------------------------------------

TEST_CASE("tasks of one key are inside one after another, in the order of their arrival", "[gate]") {
  for (const uint64_t key : {uint64_t{0}, uint64_t{1}, uint64_t{42}, UINT64_MAX}) {
    KeyGates gates;
    auto tasks = Tasks(20, key);
    CHECK(Enter(gates, tasks[0]));
    for (size_t i = 1; i < 10; ++i) CHECK_FALSE(Enter(gates, tasks[i]));
    CHECK(Leave(gates, tasks[0].record()) == &tasks[1].record());
    // Those who come later stand behind those who waited when the one inside was let in.
    for (size_t i = 10; i < tasks.size(); ++i) CHECK_FALSE(Enter(gates, tasks[i]));
    for (size_t i = 1; i + 1 < tasks.size(); ++i) {
      CHECK(Leave(gates, tasks[i].record()) == &tasks[i + 1].record());
    }
    CHECK(Leave(gates, tasks.back().record()) == nullptr);
    Task again(key);
    CHECK(Enter(gates, again));
    CHECK(Leave(gates, again.record()) == nullptr);
  }
}

TEST_CASE("tasks of different keys do not meet", "[gate]") {
  KeyGates gates;
  std::vector<Task> tasks;
  for (uint64_t bit = 0; bit < 64; ++bit) tasks.emplace_back(uint64_t{1} << bit);
  for (uint64_t key = 3; key < 4'000; key += 5) tasks.emplace_back(key << 20 | 3);
  for (Task& task : tasks) REQUIRE(Enter(gates, task));
  for (Task& task : tasks) REQUIRE(Leave(gates, task.record()) == nullptr);
}

TEST_CASE("a task claimed while it waits for its key is passed over", "[gate]") {
  KeyGates gates;
  auto tasks = Tasks(7, 5);
  CHECK(Enter(gates, tasks[0]));
  for (size_t i = 1; i < 5; ++i) CHECK_FALSE(Enter(gates, tasks[i]));
  CHECK(tasks[1].Cancel());
  CHECK(tasks[3].Cancel());
  CHECK(tasks[4].Cancel());
  CHECK(Leave(gates, tasks[3].record()) == nullptr);
  CHECK(Leave(gates, tasks[0].record()) == &tasks[2].record());
  // Behind it only what was cancelled: all of that goes at once, and the key is free.
  CHECK(Leave(gates, tasks[2].record()) == nullptr);
  CHECK(Enter(gates, tasks[5]));
  CHECK_FALSE(Enter(gates, tasks[6]));
  CHECK(Leave(gates, tasks[5].record()) == &tasks[6].record());
  CHECK(Leave(gates, tasks[6].record()) == nullptr);
}

TEST_CASE("the one inside may have been claimed, and is inside until it leaves", "[gate]") {
  KeyGates gates;
  auto tasks = Tasks(2, 5);
  CHECK(Enter(gates, tasks[0]));
  CHECK(tasks[0].Cancel());
  CHECK_FALSE(Enter(gates, tasks[1]));
  CHECK(Leave(gates, tasks[0].record()) == &tasks[1].record());
  CHECK(Leave(gates, tasks[1].record()) == nullptr);
}

TEST_CASE("leaving a key twice, or without having entered, changes nothing", "[gate]") {
  KeyGates gates;
  auto tasks = Tasks(3, 9);
  Task stranger(9);
  for (Task& task : tasks) (void)Enter(gates, task);
  CHECK(Leave(gates, stranger.record()) == nullptr);
  CHECK(Leave(gates, tasks[2].record()) == nullptr);  // it waits
  CHECK(Leave(gates, tasks[0].record()) == &tasks[1].record());
  CHECK(Leave(gates, tasks[0].record()) == nullptr);
  CHECK(Leave(gates, stranger.record()) == nullptr);
  CHECK(Leave(gates, tasks[1].record()) == &tasks[2].record());
  CHECK(Leave(gates, tasks[1].record()) == nullptr);
  CHECK(Leave(gates, tasks[2].record()) == nullptr);
  CHECK(Leave(gates, tasks[2].record()) == nullptr);
}

TEST_CASE("a million keys at once, and what they took is given back", "[gate]") {
  constexpr uint64_t kKeys = workpool_test::kSanitized ? 100'000 : 1'000'000;
  KeyGates gates;
  for (int round = 0; round < 2; ++round) {
    std::vector<Task> first, second;
    for (uint64_t key = 0; key < kKeys; ++key) first.emplace_back(key * 3);
    uint64_t inside = 0;
    for (Task& task : first) inside += Enter(gates, task) ? 1 : 0;
    CHECK(inside == kKeys);
    // One in ten has a second one behind it.
    for (uint64_t key = 0; key < kKeys; key += 10) second.emplace_back(key * 3);
    uint64_t waiting = 0;
    for (Task& task : second) waiting += Enter(gates, task) ? 0 : 1;
    CHECK(waiting == second.size());
    uint64_t wrong = 0;
    for (uint64_t key = 0; key < kKeys; ++key) {
      TaskRecord* next = Leave(gates, first[key].record());
      if (next != (key % 10 == 0 ? &second[key / 10].record() : nullptr)) ++wrong;
    }
    for (Task& task : second) wrong += Leave(gates, task.record()) == nullptr ? 0 : 1;
    CHECK(wrong == 0);
  }
}

TEST_CASE("whatever comes and goes, key gates do as a map of lines does", "[gate]") {
  // Few keys, which make lines; and many, which make the table grow and shrink.
  const uint32_t keys = GENERATE(3u, 500u, 20'000u);
  INFO(keys << " keys");
  KeyGates gates;
  std::unordered_map<uint64_t, std::deque<Task*>> lines;  // the first one is inside
  std::vector<Task*> inside;
  std::deque<Task> tasks;
  std::set<Task*> claimed;
  Random random(keys);
  bool growing = true;
  uint64_t wrong = 0;
  const auto pass_over = [&](std::deque<Task*>& line) {
    while (!line.empty() && claimed.count(line.front()) != 0) line.pop_front();
  };
  const uint32_t steps = workpool_test::kSanitized ? 30'000 : 200'000;
  for (uint32_t step = 0; step < steps; ++step) {
    if (inside.size() >= keys * 3 / 4) growing = false;
    if (inside.size() < keys / 20 + 1) growing = true;
    const uint32_t what = random.Below(10);
    if (what < (growing ? 6u : 3u) || inside.empty()) {
      const uint64_t key = random.Below(keys) * 0x9E3779B97F4A7C15u;
      tasks.emplace_back(key);
      std::deque<Task*>& line = lines[key];
      const bool entered = Enter(gates, tasks.back());
      if (entered != line.empty()) ++wrong;
      line.push_back(&tasks.back());
      if (entered) inside.push_back(&tasks.back());
    } else if (what == 9) {
      // One that waits is cancelled.
      std::deque<Task*>& line = lines[inside[random.Below(static_cast<uint32_t>(inside.size()))]->record().details()->key];
      if (line.size() > 1 && line.back()->Cancel()) claimed.insert(line.back());
    } else {
      const uint32_t index = random.Below(static_cast<uint32_t>(inside.size()));
      Task* leaver = inside[index];
      std::deque<Task*>& line = lines[leaver->record().details()->key];
      line.pop_front();
      pass_over(line);
      TaskRecord* next = Leave(gates, leaver->record());
      if (next != (line.empty() ? nullptr : &line.front()->record())) ++wrong;
      inside[index] = inside.back();
      inside.pop_back();
      if (next != nullptr) inside.push_back(line.front());
    }
  }
  CHECK(wrong == 0);
  while (!inside.empty()) {
    Task* leaver = inside.back();
    inside.pop_back();
    std::deque<Task*>& line = lines[leaver->record().details()->key];
    line.pop_front();
    pass_over(line);
    TaskRecord* next = Leave(gates, leaver->record());
    REQUIRE(next == (line.empty() ? nullptr : &line.front()->record()));
    if (next != nullptr) inside.push_back(line.front());
  }
}

// ---- many threads ------------------------------------------------------------------------------

// A task that comes in, is alone with those it may be with, and lets the next one in, and that one the next.
template <typename AGate>
struct Crowd {
  AGate& gate;
  const uint32_t keys;  // so many may be inside, one of each
  std::atomic<uint32_t> inside[8] = {};
  std::atomic<uint64_t> served{0};
  std::atomic<uint32_t> too_many{0};

  // Takes record's reference.
  void Serve(TaskRecord* record) {
    while (record != nullptr) {
      if (record->Claim()) {
        std::atomic<uint32_t>& here = inside[record->details()->key];
        if (here.fetch_add(1) != 0) ++too_many;
        here.fetch_sub(1);
        ++served;
      }
      TaskRecord* next = gate.Leave(*record);
      record->Unref();
      record = next;
    }
  }
  // One in sixteen is cancelled by its submitter right after it has come to the gate.
  void Visit(uint64_t visits, uint32_t seed, uint64_t* cancelled) {
    Random random(seed);
    for (uint64_t i = 0; i < visits; ++i) {
      TaskRecord* record = TaskRecord::Make(true);
      record->details()->key = random.Below(keys);
      record->Ref();
      if (gate.Enter(*record)) {
        Serve(record);
      } else if (random.Below(16) == 0 && record->Claim()) {
        ++*cancelled;
      }
      record->Unref();
    }
  }
  // By two threads at once; every visit that is not cancelled is served.
  void Meet() {
    const uint64_t visits = workpool_test::Rounds(100'000);
    uint64_t cancelled[2] = {};
    {
      ScopedThread other([&] { Visit(visits, 1, &cancelled[0]); });
      Visit(visits, 2, &cancelled[1]);
    }
    CHECK(too_many == 0);
    CHECK(served + cancelled[0] + cancelled[1] == 2 * visits);
  }
};

TEST_CASE("two threads at a gate for one are never inside together, and leave nobody behind", "[gate]") {
  Gate gate(1);
  Crowd<Gate> crowd{gate, 1};
  crowd.Meet();
}

TEST_CASE("two threads are never inside one key together, and leave nobody behind", "[gate]") {
  KeyGates gates;
  Crowd<KeyGates> crowd{gates, GENERATE(1u, 8u)};
  crowd.Meet();
}

}  // namespace
}  // namespace workpool
