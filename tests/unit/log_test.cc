#include "base/log.h"

#include <catch2/catch.hpp>
#include <mutex>
#include <stdexcept>
#include <string>
#include <vector>

#include "unit_support.h"

namespace workpool {
namespace {

struct Lines {
  static void Add(void* user, int32_t level, const char* text) {
    auto* lines = static_cast<Lines*>(user);
    const std::lock_guard<std::mutex> lock(lines->mu);
    lines->all.push_back(std::to_string(level) + " " + text);
  }
  std::mutex mu;
  std::vector<std::string> all;
};

TEST_CASE("a log line carries level, name and text", "[base]") {
  Lines lines;
  Log log;
  REQUIRE(log.Open("mypool", Lines::Add, &lines, POOL_LOG_DEBUG) == POOL_OK);
  log.Write(POOL_LOG_WARN, "%d of %s", 3, "four");
  log.Write(POOL_LOG_DEBUG, "%s", "{} %d {not a format}");
  CHECK(lines.all ==
        std::vector<std::string>{std::to_string(POOL_LOG_WARN) + " mypool: 3 of four",
                                 std::to_string(POOL_LOG_DEBUG) + " mypool: {} %d {not a format}"});
}

TEST_CASE("a log passes on what is at least as grave as its level", "[base]") {
  for (int32_t level = POOL_LOG_OFF; level <= POOL_LOG_DEBUG; ++level) {
    INFO("level " << level);
    Lines lines;
    Log log;
    REQUIRE(log.Open("p", Lines::Add, &lines, level) == POOL_OK);
    for (int32_t line = POOL_LOG_ERROR; line <= POOL_LOG_DEBUG; ++line) log.Write(line, "x");
    CHECK(lines.all.size() == static_cast<size_t>(level));
  }
}

TEST_CASE("a log without a function, or never opened, is silent", "[base]") {
  Log closed, deaf;
  REQUIRE(deaf.Open("p", nullptr, nullptr, POOL_LOG_DEBUG) == POOL_OK);
  closed.Write(POOL_LOG_ERROR, "x");
  deaf.Write(POOL_LOG_ERROR, "x");
  SUCCEED();
}

TEST_CASE("a long line is cut, not lost", "[base]") {
  Lines lines;
  Log log;
  REQUIRE(log.Open("p", Lines::Add, &lines, POOL_LOG_INFO) == POOL_OK);
  log.Write(POOL_LOG_INFO, "%s", std::string(5000, 'x').c_str());
  REQUIRE(lines.all.size() == 1);
  CHECK(lines.all[0].size() > 400);
  CHECK(lines.all[0].size() < 600);
}

TEST_CASE("a log function that throws harms nobody", "[base]") {
  Lines lines;
  Log log;
  const auto throws = [](void* user, int32_t level, const char* text) {
    Lines::Add(user, level, text);
    throw std::runtime_error("no");
  };
  REQUIRE(log.Open("p", throws, &lines, POOL_LOG_INFO) == POOL_OK);
  CHECK_NOTHROW(log.Write(POOL_LOG_INFO, "first"));
  CHECK_NOTHROW(log.Write(POOL_LOG_INFO, "second"));
  CHECK(lines.all.size() == 2);
}

TEST_CASE("threads may log at once", "[base]") {
  const uint64_t each = workpool_test::Rounds(2'000);
  Lines lines;
  Log log;
  REQUIRE(log.Open("p", Lines::Add, &lines, POOL_LOG_INFO) == POOL_OK);
  const auto write = [&] {
    for (uint64_t i = 0; i < each; ++i) log.Write(POOL_LOG_INFO, "line");
  };
  {
    ScopedThread other(write);
    write();
  }
  CHECK(lines.all.size() == 2 * each);
}

}  // namespace
}  // namespace workpool
