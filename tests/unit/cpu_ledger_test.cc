#include "scaling/cpu_ledger.h"

#include <catch2/catch.hpp>
#include <thread>
#include <vector>

#include "unit_support.h"

namespace workpool {
namespace {

constexpr uint64_t kNow = 1'000'000'000'000;
constexpr uint64_t kSecond = 1'000'000'000;

TEST_CASE("a pool that is alone has all CPUs for itself", "[cpu_ledger]") {
  CpuLedger ledger;
  CpuLedger::Line line;
  CHECK(ledger.Report(line, kNow, 8, 3, true) == 0);
  CHECK(ledger.Report(line, kNow + 1, 8, 20, true) == 0);
  CHECK(ledger.Report(line, kNow + 2, 8, 0, false) == 0);
  ledger.Leave(line);
}

TEST_CASE("what others use is not there, and what is idle is shared by those that starve",
          "[cpu_ledger]") {
  CpuLedger ledger;
  CpuLedger::Line a, b, c;
  CHECK(ledger.Report(a, kNow, 8, 2, true) == 0);
  // Two are used by a; of the other six b uses none, and half is a's.
  CHECK(ledger.Report(b, kNow, 8, 0, true) == Approx(2 + 3));
  // One that does not starve takes no part of what is idle.
  (void)ledger.Report(c, kNow, 8, 1, false);
  CHECK(ledger.Report(a, kNow, 8, 2, true) == Approx(0 + 1 + 5.0 / 2));
  (void)ledger.Report(b, kNow, 8, 0, false);
  // What all of them may use at most is what there is.
  CHECK(ledger.Report(a, kNow, 8, 2, true) == Approx(1));
  CHECK(ledger.Report(b, kNow, 8, 5, true) == Approx(2 + 1 + 0));
  CHECK(ledger.Report(a, kNow, 8, 9, true) == Approx(5 + 1));
  for (CpuLedger::Line* line : {&b, &a, &c}) ledger.Leave(*line);
}

TEST_CASE("two pools that starve never count the same idle CPU", "[cpu_ledger]") {
  CpuLedger ledger;
  for (uint32_t pools = 1; pools <= 8; ++pools) {
    std::vector<CpuLedger::Line> lines(pools);
    for (int round = 0; round < 2; ++round) {
      double idle = 0;
      for (uint32_t i = 0; i < pools; ++i) {
        const double runnable = 0.25 * i;
        idle += 16 - runnable - ledger.Report(lines[i], kNow, 16, runnable, true);
      }
      double used = 0;
      for (uint32_t i = 0; i < pools; ++i) used += 0.25 * i;
      if (round == 1) CHECK(idle == Approx(16 - used));  // once each knows of all
    }
    for (CpuLedger::Line& line : lines) ledger.Leave(line);
  }
}

TEST_CASE("what was written a second ago says nothing of now", "[cpu_ledger]") {
  CpuLedger ledger;
  CpuLedger::Line a, b;
  CHECK(ledger.Report(a, kNow, 4, 3, true) == 0);
  CHECK(ledger.Report(b, kNow + kSecond, 4, 0, true) == Approx(3.5));
  CHECK(ledger.Report(b, kNow + kSecond + 1, 4, 0, true) == 0);
  (void)ledger.Report(a, kNow + kSecond + 1, 4, 3, false);
  // One that is ahead of it is not old.
  CHECK(ledger.Report(b, kNow, 4, 0, true) == Approx(3));
  ledger.Leave(a);
  ledger.Leave(b);
}

TEST_CASE("a pool that has left is forgotten, and may come back", "[cpu_ledger]") {
  CpuLedger ledger;
  CpuLedger::Line a, b, c;
  for (CpuLedger::Line* line : {&a, &b, &c}) (void)ledger.Report(*line, kNow, 8, 1, true);
  ledger.Leave(b);
  ledger.Leave(b);  // that it has left already does no harm
  CHECK(ledger.Report(a, kNow, 8, 1, true) == Approx(1 + 3));
  ledger.Leave(c);
  CHECK(ledger.Report(a, kNow, 8, 1, true) == 0);
  CHECK(ledger.Report(b, kNow, 8, 1, true) == Approx(1 + 3));
  ledger.Leave(a);
  ledger.Leave(b);
}

TEST_CASE("pools come and go in the ledger of the process while others report", "[cpu_ledger]") {
  CpuLedger* ledger = CpuLedger::OfProcess();
  REQUIRE(ledger != nullptr);
  CHECK(CpuLedger::OfProcess() == ledger);
  std::atomic<uint64_t> wrong{0};
  {
    std::vector<std::unique_ptr<ScopedThread>> threads;
    for (int t = 0; t < 4; ++t) {
      threads.push_back(std::make_unique<ScopedThread>([&] {
        for (uint64_t i = 0; i < workpool_test::Rounds(20'000); ++i) {
          CpuLedger::Line line;
          const double others = ledger->Report(line, kNow, 4, 1, i % 2 == 0);
          if (others < 0 || others > 3 + 3) ++wrong;
          ledger->Leave(line);
        }
      }));
    }
  }
  CHECK(wrong == 0);
  CpuLedger::Line line;
  CHECK(ledger->Report(line, kNow, 4, 1, true) == 0);
  ledger->Leave(line);
}

}  // namespace
}  // namespace workpool
