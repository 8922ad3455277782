#include "pool/options.h"

#include <catch2/catch.hpp>
#include <cmath>
#include <string>

#include "base/allowance.h"
#include "base/limits.h"
#include "unit_support.h"

namespace workpool {
namespace {

pool_options_t Defaults() { return workpool_test::Options(); }

TEST_CASE("options that are all 0 become the documented defaults", "[pool]") {
  pool_options_t in = {};
  in.struct_size = sizeof(in);
  PoolOptions out;
  REQUIRE(CheckOptions(in, &out) == POOL_OK);
  CHECK(out.engine.workers_min == 0);
  CHECK(out.engine.workers_max == CurrentAllowance().threads);
  CHECK(out.engine.workers_base == static_cast<uint32_t>(std::ceil(CurrentAllowance().cores)));
  CHECK(out.engine.participants == std::max(out.engine.workers_base, 2u) + 1);
  CHECK(out.engine.workers_limit == POOL_WORKERS_MAX);
  CHECK(out.engine.keep_alive_ns == 1'000'000'000);
  CHECK(out.engine.dispatch.queue_limit == 1'048'576);
  CHECK(out.engine.dispatch.queues >= 1);
  CHECK((out.engine.dispatch.queues & (out.engine.dispatch.queues - 1)) == 0);
  CHECK(out.engine.drop == nullptr);
  CHECK_FALSE(out.engine.terminate_on_exception);
  CHECK(out.engine.thread.stack_bytes == 1'048'576);
  CHECK_FALSE(out.engine.thread.own_cpus);
  CHECK(std::string(out.engine.name) == "pool");
  CHECK(out.prestart == 0);
  CHECK(out.on_full == POOL_ON_FULL_REJECT);
  CHECK(out.submit_timeout_ns == POOL_FOREVER);
  CHECK(out.log_fn == nullptr);
  CHECK(out.log_level == POOL_LOG_OFF);
}

TEST_CASE("pool_options_init fills in what means the default", "[pool]") {
  PoolOptions out;
  CHECK(CheckOptions(Defaults(), &out) == POOL_OK);
  CHECK(out.engine.dispatch.queue_limit == 1'048'576);
  CHECK(std::string(out.engine.name) == "pool");
}

TEST_CASE("options that are given are kept exactly", "[pool]") {
  static int user = 0;
  const pool_drop_fn drop = [](void*, int32_t) {};
  const pool_log_fn log = [](void*, int32_t, const char*) {};
  pool_options_t in = Defaults();
  in.workers_min = 2;
  in.workers_max = 3;
  in.workers_limit = 5;
  in.keep_alive_ns = 7;
  in.queue_limit = 11;
  in.submit_timeout_ns = 13;
  in.on_full = POOL_ON_FULL_BLOCK;
  in.prestart = 1;
  in.on_exception = POOL_EXC_TERMINATE;
  in.inherit_affinity = 1;
  in.stack_bytes = 131'072;
  in.name = "mine";
  in.drop = drop;
  in.log_fn = log;
  in.log_user = &user;
  in.log_level = POOL_LOG_INFO;
  PoolOptions out;
  REQUIRE(CheckOptions(in, &out) == POOL_OK);
  CHECK(out.engine.workers_min == 2);
  CHECK(out.engine.workers_max == 3);
  CHECK(out.engine.workers_limit == 5);
  CHECK(out.engine.keep_alive_ns == 7);
  CHECK(out.engine.dispatch.queue_limit == 11);
  CHECK(out.submit_timeout_ns == 13);
  CHECK(out.on_full == POOL_ON_FULL_BLOCK);
  CHECK(out.prestart == 1);
  CHECK(out.engine.terminate_on_exception);
  CHECK(out.engine.thread.own_cpus);
  CpuMask cpus;
  REQUIRE(CurrentThreadCpus(&cpus));
  CHECK(std::equal(std::begin(cpus.bits), std::end(cpus.bits), out.engine.thread.cpus.bits));
  CHECK(out.engine.thread.stack_bytes == 131'072);
  CHECK(std::string(out.engine.name) == "mine");
  CHECK(out.engine.drop == drop);
  CHECK(out.log_fn == log);
  CHECK(out.log_user == &user);
  CHECK(out.log_level == POOL_LOG_INFO);
}

using Change = void (*)(pool_options_t&);

TEST_CASE("a value just inside its range is accepted", "[pool]") {
  struct Row {
    const char* value;
    Change change;
  };
  static const Row kRows[] = {
      {"workers_max 1", [](pool_options_t& in) { in.workers_max = 1; }},
      {"workers_max 4096", [](pool_options_t& in) { in.workers_max = 4096; }},
      {"workers_min as workers_max",
       [](pool_options_t& in) { in.workers_min = in.workers_max = 3; }},
      {"workers_min 1, workers_max automatic", [](pool_options_t& in) { in.workers_min = 1; }},
      {"workers_limit as workers_max",
       [](pool_options_t& in) { in.workers_limit = in.workers_max = 3; }},
      {"workers_limit 4096", [](pool_options_t& in) { in.workers_limit = 4096; }},
      {"keep_alive 1", [](pool_options_t& in) { in.keep_alive_ns = 1; }},
      {"keep_alive for ever", [](pool_options_t& in) { in.keep_alive_ns = POOL_FOREVER; }},
      {"keep_alive huge", [](pool_options_t& in) { in.keep_alive_ns = INT64_MAX; }},
      {"queue_limit 1", [](pool_options_t& in) { in.queue_limit = 1; }},
      {"queue_limit 4097", [](pool_options_t& in) { in.queue_limit = 4097; }},
      {"queue_limit 2^64 - 2", [](pool_options_t& in) { in.queue_limit = POOL_UNLIMITED - 1; }},
      {"queue_limit none", [](pool_options_t& in) { in.queue_limit = POOL_UNLIMITED; }},
      {"submit_timeout for ever", [](pool_options_t& in) { in.submit_timeout_ns = POOL_FOREVER; }},
      {"submit_timeout huge", [](pool_options_t& in) { in.submit_timeout_ns = INT64_MAX; }},
      {"on_full default", [](pool_options_t& in) { in.on_full = POOL_ON_FULL_DEFAULT; }},
      {"on_full block", [](pool_options_t& in) { in.on_full = POOL_ON_FULL_BLOCK; }},
      {"prestart as workers_max", [](pool_options_t& in) { in.prestart = in.workers_max = 3; }},
      {"on_exception capture", [](pool_options_t& in) { in.on_exception = POOL_EXC_CAPTURE; }},
      {"on_exception terminate", [](pool_options_t& in) { in.on_exception = POOL_EXC_TERMINATE; }},
      {"inherit_affinity 1", [](pool_options_t& in) { in.inherit_affinity = 1; }},
      {"stack 64 KiB", [](pool_options_t& in) { in.stack_bytes = 65'536; }},
      {"stack 1 GiB", [](pool_options_t& in) { in.stack_bytes = uint64_t{1} << 30; }},
      {"log_level debug", [](pool_options_t& in) { in.log_level = POOL_LOG_DEBUG; }},
      {"name empty", [](pool_options_t& in) { in.name = ""; }},
  };
  for (const Row& row : kRows) {
    INFO(row.value);
    pool_options_t in = Defaults();
    row.change(in);
    PoolOptions out;
    CHECK(CheckOptions(in, &out) == POOL_OK);
  }
}

TEST_CASE("a value just outside its range is refused, with field, value and remedy", "[pool]") {
  struct Row {
    Change change;
    const char* field;
    const char* value;
  };
  static const Row kRows[] = {
      {[](pool_options_t& in) { in.workers_max = 4097; }, "workers_max", "4097"},
      {[](pool_options_t& in) { in.workers_max = UINT32_MAX; }, "workers_max", "4294967295"},
      {[](pool_options_t& in) { in.workers_max = 3, in.workers_min = 4; }, "workers_min", "4"},
      {[](pool_options_t& in) { in.workers_min = 4097; }, "workers_min", "4097"},
      {[](pool_options_t& in) { in.workers_max = 3, in.workers_limit = 2; }, "workers_limit", "2"},
      {[](pool_options_t& in) { in.workers_limit = 4097; }, "workers_limit", "4097"},
      {[](pool_options_t& in) { in.keep_alive_ns = -2; }, "keep_alive_ns", "-2"},
      {[](pool_options_t& in) { in.keep_alive_ns = INT64_MIN; }, "keep_alive_ns",
       "-9223372036854775808"},
      {[](pool_options_t& in) { in.submit_timeout_ns = -2; }, "submit_timeout_ns", "-2"},
      {[](pool_options_t& in) { in.on_full = -1; }, "on_full", "-1"},
      {[](pool_options_t& in) { in.on_full = 6; }, "on_full", "6"},
      {[](pool_options_t& in) { in.workers_max = 3, in.prestart = 4; }, "prestart", "4"},
      {[](pool_options_t& in) { in.on_exception = -1; }, "on_exception", "-1"},
      {[](pool_options_t& in) { in.on_exception = 2; }, "on_exception", "2"},
      {[](pool_options_t& in) { in.inherit_affinity = 2; }, "inherit_affinity", "2"},
      {[](pool_options_t& in) { in.stack_bytes = 65'535; }, "stack_bytes", "65535"},
      {[](pool_options_t& in) { in.stack_bytes = 1; }, "stack_bytes", "1"},
      {[](pool_options_t& in) { in.stack_bytes = (uint64_t{1} << 30) + 1; }, "stack_bytes",
       "1073741825"},
      {[](pool_options_t& in) { in.log_level = -1; }, "log_level", "-1"},
      {[](pool_options_t& in) { in.log_level = 5; }, "log_level", "5"},
      {[](pool_options_t& in) { in.reserved = 1; }, "reserved", "1"},
  };
  for (const Row& row : kRows) {
    INFO(row.field << " = " << row.value);
    pool_options_t in = Defaults();
    row.change(in);
    PoolOptions out;
    const Status status = CheckOptions(in, &out);
    CHECK(status == POOL_E_INVALID);
    const std::string text = TextOf(status);
    INFO(text);
    CHECK(text.find(std::string("options.") + row.field + " = " + row.value + " ") !=
          std::string::npos);
    CHECK(text.find("; ") != std::string::npos);  // what to do
  }
}

TEST_CASE("a bad name is refused by the name of its field", "[pool]") {
  pool_options_t in = Defaults();
  PoolOptions out;
  const std::string too_long(POOL_NAME_MAX + 1, 'x');
  in.name = too_long.c_str();
  REQUIRE(CheckOptions(in, &out) == POOL_E_INVALID);
  CHECK(TextOf(POOL_E_INVALID).find("options.name") != std::string::npos);
}

TEST_CASE("on_full is checked, and 0 becomes what the caller falls back to", "[pool]") {
  int32_t out = -1;
  CHECK(CheckOnFull(POOL_ON_FULL_DEFAULT, "f", POOL_ON_FULL_BLOCK, &out) == POOL_OK);
  CHECK(out == POOL_ON_FULL_BLOCK);
  CHECK(CheckOnFull(POOL_ON_FULL_REJECT, "f", POOL_ON_FULL_BLOCK, &out) == POOL_OK);
  CHECK(out == POOL_ON_FULL_REJECT);
  for (int32_t bad : {-1, 6, INT32_MIN, INT32_MAX}) {
    CHECK(CheckOnFull(bad, "f", POOL_ON_FULL_BLOCK, &out) == POOL_E_INVALID);
  }
}

TEST_CASE("H5: a time limit may be 0, for ever or huge, and is refused if otherwise negative",
          "[pool]") {
  for (int64_t good : {int64_t{0}, int64_t{1}, int64_t{-1}, int64_t{1} << 62, INT64_MAX}) {
    CHECK(CheckTimeout(good, "timeout_ns") == POOL_OK);
  }
  for (int64_t bad : {int64_t{-2}, INT64_MIN}) {
    CHECK(CheckTimeout(bad, "timeout_ns") == POOL_E_INVALID);
    CHECK(TextOf(POOL_E_INVALID).find("timeout_ns = " + std::to_string(bad)) != std::string::npos);
  }
}

TEST_CASE("a name is copied, and without one the fallback is", "[pool]") {
  char out[64];
  CHECK(CheckName(nullptr, "f", "pool", out) == POOL_OK);
  CHECK(std::string(out) == "pool");
  CHECK(CheckName("", "f", "pool", out) == POOL_OK);
  CHECK(std::string(out).empty());
  CHECK(CheckName("reader", "f", "pool", out) == POOL_OK);
  CHECK(std::string(out) == "reader");
}

TEST_CASE("a name has at most 63 bytes, however many characters those are", "[pool]") {
  char out[64];
  const std::string a61(61, 'a');
  const std::string names[] = {a61 + "bc", a61 + "\xC3\xA4", std::string(60, 'a') + "\xE2\x82\xAC"};
  for (const std::string& name : names) {
    REQUIRE(name.size() == 63);
    CHECK(CheckName(name.c_str(), "f", "", out) == POOL_OK);
    CHECK(out == name);
    const std::string longer = "x" + name;
    CHECK(CheckName(longer.c_str(), "f", "", out) == POOL_E_INVALID);
    CHECK(TextOf(POOL_E_INVALID).find("63") != std::string::npos);
  }
}

TEST_CASE("a name is well-formed UTF-8", "[pool]") {
  struct Row {
    const char* bytes;
    bool good;
  };
  static constexpr Row kRows[] = {
      {"plain", true},
      {"\x01\x7F", true},          // control characters are UTF-8
      {"\xC2\x80", true},          // U+0080, the first of two bytes
      {"\xDF\xBF", true},          // U+07FF
      {"\xE0\xA0\x80", true},      // U+0800, the first of three
      {"\xED\x9F\xBF", true},      // U+D7FF, before the surrogates
      {"\xEE\x80\x80", true},      // U+E000, after them
      {"\xEF\xBF\xBF", true},      // U+FFFF
      {"\xF0\x90\x80\x80", true},  // U+10000, the first of four
      {"\xF4\x8F\xBF\xBF", true},  // U+10FFFF, the last
      {"a\xC3\xA4"
       "b\xE2\x82\xAC"
       "c",
       true},
      {"\x80", false},  // a continuation alone
      {"\xBF", false},
      {"a\x80", false},
      {"\xC2", false},  // cut short
      {"\xE2\x82", false},
      {"\xF0\x90\x80", false},
      {"\xC2"
       "a",
       false},
      {"\xE2\x82"
       "a",
       false},
      {"\xF0\x90\x80"
       "a",
       false},
      {"\xC2\xC2\x80", false},  // a beginning inside a character
      {"\xC0\x80", false},      // overlong 0
      {"\xC1\xBF", false},      // overlong U+007F
      {"\xE0\x80\x80", false},
      {"\xE0\x9F\xBF", false},  // overlong U+07FF
      {"\xF0\x80\x80\x80", false},
      {"\xF0\x8F\xBF\xBF", false},  // overlong U+FFFF
      {"\xED\xA0\x80", false},      // the first surrogate
      {"\xED\xBF\xBF", false},      // the last
      {"\xF4\x90\x80\x80", false},  // U+110000
      {"\xF5\x80\x80\x80", false},
      {"\xF7\xBF\xBF\xBF", false},
      {"\xF8\x88\x80\x80\x80", false},  // five bytes
      {"\xFC\x84\x80\x80\x80\x80", false},
      {"\xFE", false},
      {"\xFF", false},
  };
  for (const Row& row : kRows) {
    std::string shown;
    for (const char* p = row.bytes; *p != '\0'; ++p) {
      static constexpr char kHex[] = "0123456789ABCDEF";
      const auto byte = static_cast<unsigned char>(*p);
      shown += kHex[byte >> 4], shown += kHex[byte & 15], shown += ' ';
    }
    INFO("bytes " << shown);
    char out[64];
    const Status status = CheckName(row.bytes, "task.name", "", out);
    CHECK(status == (row.good ? POOL_OK : POOL_E_INVALID));
    if (row.good) CHECK(std::string(out) == row.bytes);
    if (!row.good) CHECK(TextOf(status).find("task.name is not UTF-8") != std::string::npos);
  }
}

}  // namespace
}  // namespace workpool
