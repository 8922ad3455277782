// Options by name: the list, the parser, presets, and what pool_set does to a pool that runs. (That each field has its
// effect when a pool is made with it: options_test.cc, and the tests of order, admission, time and failure.)
#include <array>
#include <catch2/catch.hpp>
#include <cstddef>
#include <cstring>
#include <string>
#include <thread>
#include <vector>

#include "growth_support.h"
#include "order_support.h"
#include "test_support.h"

namespace workpool_test {
namespace {

constexpr const char* kHourMs = "3600000";

// Every field of pool_options_t that is a number and stands for itself (those of a budget need one), with a value that
// is not its default, as text and as it is stored.
struct Field {
  const char* name;
  size_t offset;
  size_t bytes;
  const char* text;
  uint64_t value;
  bool live = false;
  void (*prepare)(pool_options_t&) = nullptr;  // what the value needs beside it
};

#define FIELD(field) offsetof(pool_options_t, field), sizeof(pool_options_t::field)

const Field kFields[] = {
    {"workers_min", FIELD(workers_min), "2", 2, true},
    {"workers_max", FIELD(workers_max), "4096", 4096, true},
    {"workers_limit", FIELD(workers_limit), "2", 2, false, [](pool_options_t& o) { o.workers_max = 1; }},
    {"keep_alive_ms", FIELD(keep_alive_ns), "forever", UINT64_MAX, true},
    {"queue_limit", FIELD(queue_limit), "unlimited", POOL_UNLIMITED},
    {"submit_timeout_ms", FIELD(submit_timeout_ns), "0.000001", 1},
    {"on_full", FIELD(on_full), "drop-lowest", POOL_ON_FULL_DROP_LOWEST},
    {"prestart", FIELD(prestart), "2", 2, false, [](pool_options_t& o) { o.workers_max = 2; }},
    {"on_exception", FIELD(on_exception), "terminate", POOL_EXC_TERMINATE},
    {"inherit_affinity", FIELD(inherit_affinity), "1", 1},
    {"stack_bytes", FIELD(stack_bytes), "1073741824", 1'073'741'824},
    {"log_level", FIELD(log_level), "debug", POOL_LOG_DEBUG},
    {"strategy", FIELD(strategy), "priority", POOL_STRATEGY_PRIORITY},
    {"lanes", FIELD(lanes), "16", 16},
    {"aging_ms", FIELD(aging_ns), "9223372036854.775807", INT64_MAX, true},
    {"lane_limit", FIELD(lane_limit), "18446744073709551615", UINT64_MAX, true},
    {"queue_limit_bytes", FIELD(queue_limit_bytes), "18446744073709551615", UINT64_MAX, true},
    {"rate_count", FIELD(rate_count), "18446744073709551615", UINT64_MAX, true},
    {"rate_period_ms", FIELD(rate_period_ns), "1234.0625", 1'234'062'500, true},
    {"rate_burst", FIELD(rate_burst), "4294967295", UINT32_MAX, true},
    {"on_rate", FIELD(on_rate), "block", POOL_ON_RATE_BLOCK},
    {"codel_target_ms", FIELD(codel_target_ns), "5", 5'000'000},
    {"codel_interval_ms", FIELD(codel_interval_ns), "0.5", 500'000},
    {"retry_count", FIELD(retry_count), "1", 1, true},
    {"retry_period_ms", FIELD(retry_period_ns), "0.000001", 1, true},
    {"dead_letter_limit", FIELD(dead_letter_limit), "4294967295", UINT32_MAX},
    {"queue_high", FIELD(queue_high), "1000", 1000, false,
     [](pool_options_t& o) { o.watermark = [](void*, pool_t, int32_t, uint64_t) {}; }},
    {"queue_low", FIELD(queue_low), "18446744073709551615", UINT64_MAX},
    {"stuck_after_ms", FIELD(stuck_after_ns), "1", 1'000'000},
    {"task_isolation", FIELD(task_isolation), "full", POOL_ISOLATION_FULL},
};

#undef FIELD

// As a number of the field's width.
uint64_t Read(const pool_options_t& options, const Field& field) {
  uint64_t value = 0;
  std::memcpy(&value, reinterpret_cast<const unsigned char*>(&options) + field.offset, field.bytes);
  return value;
}

std::vector<pool_option_t> List() {
  std::vector<pool_option_t> all;
  pool_option_t option;
  while (pool_option_list(static_cast<uint32_t>(all.size()), &option, sizeof(option)) == POOL_OK) all.push_back(option);
  return all;
}

const pool_option_t& Listed(const std::vector<pool_option_t>& all, const std::string& name) {
  for (const pool_option_t& option : all) {
    if (option.name == name) return option;
  }
  std::abort();
}

std::string Get(pool_t pool, const char* name) {
  char text[64];
  Must(pool_get(pool, name, text, sizeof(text), nullptr), "pool_get");
  return text;
}

void Set(pool_t pool, const char* name, const char* value) { Must(pool_set(pool, name, value), "pool_set"); }

// Options from texts, name and value in turn.
pool_options_t Named(std::initializer_list<std::pair<const char*, const char*>> settings) {
  pool_options_t options = Options();
  for (const auto& [name, value] : settings) Must(pool_options_set(&options, name, value), name);
  return options;
}

bool Said(const std::string& part) { return LastErrorText().find(part) != std::string::npos; }

bool SameBytes(const pool_options_t& a, const pool_options_t& b) { return std::memcmp(&a, &b, sizeof(a)) == 0; }

std::vector<std::string> Words(const std::string& text) {
  std::vector<std::string> words;
  for (size_t at = 0; at <= text.size();) {
    const size_t end = std::min(text.find(' ', at), text.size());
    words.push_back(text.substr(at, end - at));
    at = end + 1;
  }
  return words;
}

// ---- the list ----------------------------------------------------------------------------------

TEST_CASE("every number of pool_options_t has a name, but for those of a budget, and nothing else has one",
          "[options]") {
  const auto all = List();
  CHECK(all.size() == std::size(kFields));
  for (size_t i = 0; i < std::min(all.size(), std::size(kFields)); ++i) {
    INFO(all[i].name);
    CHECK(all[i].name == std::string(kFields[i].name));
    CHECK(all[i].struct_size == sizeof(pool_option_t));
    CHECK(all[i].reserved == 0);
    CHECK(all[i].live == (kFields[i].live ? 1 : 0));
    CHECK(std::string(all[i].doc).size() > 10);
    const std::string name = all[i].name;
    CHECK((all[i].type == POOL_OPTION_TIME) == (name.size() > 3 && name.substr(name.size() - 3) == "_ms"));
  }
  CHECK(pool_option_list(static_cast<uint32_t>(all.size()), nullptr, sizeof(pool_option_t)) == POOL_E_INVALID);
  pool_option_t option;
  CHECK(pool_option_list(static_cast<uint32_t>(all.size()), &option, sizeof(option)) == POOL_E_NOTFOUND);
  CHECK(Said("index = " + std::to_string(all.size())));
  CHECK(pool_option_list(UINT32_MAX, &option, sizeof(option)) == POOL_E_NOTFOUND);
  CHECK(pool_option_list(0, &option, 3) == POOL_E_INVALID);
  CHECK(pool_option_list(0, &option, 70'000) == POOL_E_TOOBIG);
}

TEST_CASE("pool_option_list writes no more than its caller has room for", "[options]") {
  pool_option_t option;
  std::memset(static_cast<void*>(&option), 0x55, sizeof(option));
  constexpr uint32_t kSize = offsetof(pool_option_t, default_value);
  REQUIRE(pool_option_list(0, &option, kSize) == POOL_OK);
  CHECK(option.struct_size == kSize);
  CHECK(option.name == std::string("workers_min"));
  uintptr_t untouched;
  std::memcpy(&untouched, &option.default_value, sizeof(untouched));
  CHECK(untouched == UINT64_C(0x5555555555555555));
}

// ---- names and values in a struct --------------------------------------------------------------

TEST_CASE("an option that is set by its name is in its field, and in no other", "[options]") {
  for (const Field& field : kFields) {
    INFO(field.name);
    pool_options_t options = Options();
    const uint64_t before = Read(options, field);
    REQUIRE(pool_options_set(&options, field.name, field.text) == POOL_OK);
    CHECK(Read(options, field) == (field.bytes == 4 ? field.value & UINT32_MAX : field.value));
    CHECK(Read(options, field) != before);
    std::memset(reinterpret_cast<unsigned char*>(&options) + field.offset, 0, field.bytes);
    CHECK(SameBytes(options, Options()));
  }
}

TEST_CASE("H17: pool_get tells each option as the pool was made with it, and the default of what was not given",
          "[options]") {
  const auto all = List();
  const ScopedPool plain(Options());
  for (const Field& field : kFields) {
    INFO(field.name);
    const std::string fallback = Listed(all, field.name).default_value;
    CHECK(Get(plain, field.name) == fallback);
    for (const std::string& text : {std::string(field.text), fallback}) {
      pool_options_t options = Options();
      if (field.prepare != nullptr) field.prepare(options);
      REQUIRE(pool_options_set(&options, field.name, text.c_str()) == POOL_OK);
      const ScopedPool pool(options);
      CHECK(Get(pool, field.name) == text);
      for (const Field& other : kFields) {
        if (other.name == field.name || Read(options, other) != 0) continue;
        // Without lanes their number is told as 1, which such a pool may be made with.
        const bool no_lanes = other.name == std::string("lanes") && options.strategy != POOL_STRATEGY_STEALING;
        CHECK(Get(pool, other.name) == (no_lanes ? "1" : Listed(all, other.name).default_value));
      }
    }
  }
}

TEST_CASE("a pool can be made again from what pool_get says of another one", "[options]") {
  for (const char* strategy : {"stealing", "fifo", "lifo", "priority"}) {
    const ScopedPool first(Named({{"strategy", strategy}, {"workers_max", "3"}, {"aging_ms", "forever"},
                                  {"queue_limit", "unlimited"}, {"rate_count", "5"}, {"on_full", "block"}}));
    pool_options_t options = Options();
    for (const Field& field : kFields) {
      INFO(field.name);
      REQUIRE(pool_options_set(&options, field.name, Get(first, field.name).c_str()) == POOL_OK);
    }
    const ScopedPool second(options);
    for (const Field& field : kFields) CHECK(Get(second, field.name) == Get(first, field.name));
  }
}

TEST_CASE("the ends of each range are accepted, and so is each of its words", "[options]") {
  for (const pool_option_t& option : List()) {
    INFO(option.name);
    const auto words = Words(option.range);
    std::vector<std::string> values = words;
    if (option.type != POOL_OPTION_CHOICE) {
      REQUIRE(words.size() >= 3);
      REQUIRE(words[1] == "...");
      values = {words[0], words[2]};
      if (words.size() > 3) values.push_back(words[4]);
    }
    std::vector<uint64_t> stored;
    for (const std::string& value : values) {
      INFO(value);
      pool_options_t options = Options();
      CHECK(pool_options_set(&options, option.name, value.c_str()) == POOL_OK);
      for (const Field& field : kFields) {
        if (field.name == std::string(option.name)) stored.push_back(Read(options, field));
      }
    }
    for (size_t i = 1; i < stored.size(); ++i) CHECK(stored[i] != stored[i - 1]);
  }
}

TEST_CASE("a value out of range or in another form is refused with option, value and range, and changes nothing",
          "[options]") {
  std::vector<std::pair<std::string, std::string>> wrong = {
      {"workers_min", "4097"}, {"workers_max", "4097"}, {"workers_limit", "0"}, {"workers_limit", "4097"},
      {"keep_alive_ms", "0"}, {"queue_limit", "0"}, {"queue_limit", "18446744073709551615"}, {"queue_limit", "forever"},
      {"submit_timeout_ms", "0"}, {"prestart", "4294967296"}, {"inherit_affinity", "2"}, {"stack_bytes", "65535"},
      {"stack_bytes", "1073741825"}, {"lanes", "0"}, {"lanes", "17"}, {"aging_ms", "0"}, {"lane_limit", "unlimited"},
      {"rate_burst", "0"}, {"rate_burst", "4294967296"}, {"rate_period_ms", "0"}, {"rate_period_ms", "forever"},
      {"codel_interval_ms", "0"}, {"retry_period_ms", "0"}, {"stuck_after_ms", "0.999999"},
      {"on_full", "default"}, {"on_full", "drop"}, {"on_full", "drop_oldest"}, {"on_rate", "0"}, {"log_level", "1"}};
  for (const pool_option_t& option : List()) {
    for (const char* value : {"", " ", "-1", "+1", "1 ", " 1", "0x10", "1e3", "one", "1,5", "18446744073709551616",
                              "99999999999999999999999999999999999999999"}) {
      wrong.emplace_back(option.name, value);
    }
    std::vector<const char*> more;
    if (option.type == POOL_OPTION_UINT) more = {"1.5", "1.0", "1.", ".1"};
    if (option.type == POOL_OPTION_TIME) {
      more = {"1.", ".5", ".", "0.0000001", "1.0000000", "1.2.3", "9223372036854.775808", "9223372036855", "Forever"};
    }
    for (const char* value : more) wrong.emplace_back(option.name, value);
    if (option.type != POOL_OPTION_CHOICE) continue;
    const std::string word = Words(option.range)[0];
    for (const std::string& value : {option.range + std::string(), word + " ", word.substr(1), word + word}) {
      wrong.emplace_back(option.name, value);
    }
  }
  const auto all = List();
  for (const auto& [name, value] : wrong) {
    INFO(name << " = '" << value << "'");
    pool_options_t options = Options();
    CHECK(pool_options_set(&options, name.c_str(), value.c_str()) == POOL_E_INVALID);
    CHECK(Said("pool_options_set: options." + name + " = '" + value.substr(0, 40) + "'"));
    CHECK(Said(Listed(all, name).range));
    CHECK(SameBytes(options, Options()));
  }
}

TEST_CASE("numbers and times are read to the last digit", "[options]") {
  struct Row {
    const char* name;
    const char* text;
    uint64_t value;
    const char* told;
  };
  static const Row kRows[] = {
      {"keep_alive_ms", "250", 250'000'000, "250"},
      {"keep_alive_ms", "0.000001", 1, "0.000001"},
      {"keep_alive_ms", "1.5", 1'500'000, "1.5"},
      {"keep_alive_ms", "1.500000", 1'500'000, "1.5"},
      {"keep_alive_ms", "007.010", 7'010'000, "7.01"},
      {"keep_alive_ms", "20.000300", 20'000'300, "20.0003"},
      {"keep_alive_ms", "9223372036854.775807", INT64_MAX, "9223372036854.775807"},
      {"queue_limit", "0000000000000000000000000017", 17, "17"},
      {"queue_limit", "18446744073709551614", UINT64_MAX - 1, "18446744073709551614"},
  };
  for (const Row& row : kRows) {
    INFO(row.name << " = " << row.text);
    const pool_options_t options = Named({{row.name, row.text}});
    CHECK((row.name == std::string("queue_limit") ? options.queue_limit
                                                  : static_cast<uint64_t>(options.keep_alive_ns)) == row.value);
    CHECK(Get(ScopedPool(options), row.name) == row.told);
  }
}

TEST_CASE("an unknown name is not found, and the text tells the nearest one", "[options]") {
  pool_options_t options = Options();
  const ScopedPool pool(options);
  const std::pair<std::string, const char*> rows[] = {
      {"keep_alive_ns", "keep_alive_ms"}, {"keep-alive-ms", "keep_alive_ms"}, {"on_ful", "on_full"},
      {"Lanes", "lanes"}, {"queue_limits", "queue_limit"}, {"name", "pool_option_list"}, {"", "pool_option_list"},
      {"log_fn", "pool_option_list"}, {"reserved", "pool_option_list"}, {"struct_size", "pool_option_list"},
      {std::string(10'000, 'x'), "pool_option_list"}};
  for (const auto& [name, hint] : rows) {
    INFO(name);
    CHECK(pool_options_set(&options, name.c_str(), "1") == POOL_E_NOTFOUND);
    CHECK(Said(hint));
    CHECK(Said("'" + name.substr(0, 40) + "'"));
    CHECK(pool_set(pool, name.c_str(), "1") == POOL_E_NOTFOUND);
    char text[8] = "keep";
    CHECK(pool_get(pool, name.c_str(), text, sizeof(text), nullptr) == POOL_E_NOTFOUND);
    CHECK(text == std::string("keep"));
  }
  CHECK(SameBytes(options, Options()));
}

TEST_CASE("NULL is refused by every function of options by name", "[options]") {
  pool_options_t options = Options();
  const ScopedPool pool(options);
  CHECK(pool_options_set(nullptr, "lanes", "1") == POOL_E_INVALID);
  CHECK(pool_options_set(&options, nullptr, "1") == POOL_E_INVALID);
  CHECK(Said("name is NULL"));
  CHECK(pool_options_set(&options, "lanes", nullptr) == POOL_E_INVALID);
  CHECK(Said("value is NULL"));
  CHECK(pool_options_preset(nullptr, "cpu") == POOL_E_INVALID);
  CHECK(pool_options_preset(&options, nullptr) == POOL_E_INVALID);
  CHECK(pool_set(pool, nullptr, "1") == POOL_E_INVALID);
  CHECK(pool_set(pool, "lane_limit", nullptr) == POOL_E_INVALID);
  char text[8];
  CHECK(pool_get(pool, nullptr, text, sizeof(text), nullptr) == POOL_E_INVALID);
  CHECK(pool_get(pool, "lanes", nullptr, 8, nullptr) == POOL_E_INVALID);
  CHECK(pool_get(pool, "lanes", nullptr, 0, nullptr) == POOL_OK);
}

TEST_CASE("a field beyond the caller's struct is too big, and is not written", "[options]") {
  constexpr uint32_t kSize = offsetof(pool_options_t, strategy);  // of an older caller
  pool_options_t options;
  std::memset(static_cast<void*>(&options), 0x55, sizeof(options));
  REQUIRE(pool_options_init(&options, kSize) == POOL_OK);
  const pool_options_t before = options;
  for (const Field& field : kFields) {
    INFO(field.name);
    options = before;
    const bool inside = field.offset + field.bytes <= kSize;
    CHECK(pool_options_set(&options, field.name, field.text) == (inside ? POOL_OK : POOL_E_TOOBIG));
    CHECK(SameBytes(options, before) == !inside);
    if (!inside) CHECK(Said("options.struct_size = 104 ends before " + std::string(field.name)));
    // A struct that ends inside the field.
    options = before;
    options.struct_size = static_cast<uint32_t>(field.offset + field.bytes - 1);
    CHECK(pool_options_set(&options, field.name, field.text) == POOL_E_TOOBIG);
    options.struct_size = static_cast<uint32_t>(field.offset + field.bytes);
    CHECK(pool_options_set(&options, field.name, field.text) == POOL_OK);
  }
  options = before;
  CHECK(pool_options_preset(&options, "batch") == POOL_E_TOOBIG);  // its strategy
  CHECK(SameBytes(options, before));
  CHECK(pool_options_preset(&options, "io") == POOL_OK);
  options.struct_size = 3;
  CHECK(pool_options_set(&options, "workers_min", "1") == POOL_E_INVALID);
  CHECK(pool_options_preset(&options, "io") == POOL_E_INVALID);
  options.struct_size = 65'537;
  CHECK(pool_options_set(&options, "workers_min", "1") == POOL_E_TOOBIG);
  struct Newer {
    pool_options_t known;
    uint64_t more;
  } newer{};
  REQUIRE(pool_options_init(&newer.known, sizeof(newer)) == POOL_OK);
  CHECK(pool_options_set(&newer.known, "task_isolation", "fp") == POOL_OK);
  CHECK(newer.known.task_isolation == POOL_ISOLATION_FP);
  CHECK(newer.more == 0);
}

// ---- presets -----------------------------------------------------------------------------------

TEST_CASE("a preset sets what it says, and what is set afterwards stays", "[options]") {
  using Settings = std::vector<std::pair<const char*, const char*>>;
  const std::pair<const char*, Settings> presets[] = {
      {"cpu", {{"workers_max", "0"}, {"keep_alive_ms", "10000"}, {"strategy", "stealing"}}},
      {"io", {{"workers_max", "256"}, {"keep_alive_ms", "10000"}, {"queue_limit", "4096"}, {"on_full", "block"}}},
      {"batch",
       {{"workers_max", "0"}, {"keep_alive_ms", "100"}, {"queue_limit", "unlimited"}, {"on_full", "block"},
        {"strategy", "stealing"}}}};
  for (const auto& [preset, settings] : presets) {
    INFO(preset);
    pool_options_t expected = Options(), options = Options();
    for (const auto& [name, value] : settings) {
      REQUIRE(pool_options_set(&expected, name, value) == POOL_OK);
      // It is the preset that sets it.
      const bool choice = name == std::string("on_full") || name == std::string("strategy");
      const char* other = name == std::string("strategy") ? "fifo" : choice ? "drop-oldest" : "7";
      REQUIRE(pool_options_set(&options, name, other) == POOL_OK);
    }
    REQUIRE(pool_options_preset(&options, preset) == POOL_OK);
    CHECK(SameBytes(options, expected));
    REQUIRE(pool_options_set(&options, "keep_alive_ms", "5") == POOL_OK);
    const ScopedPool pool(options);
    CHECK(Get(pool, "keep_alive_ms") == "5");
  }
  pool_options_t options = Options();
  for (const char* wrong : {"", "CPU", "cpus", "gpu", "default"}) {
    CHECK(pool_options_preset(&options, wrong) == POOL_E_NOTFOUND);
    CHECK(Said("cpu, io or batch"));
  }
  CHECK(SameBytes(options, Options()));
}

TEST_CASE("a pool of preset io runs many tasks that wait at once, one of preset cpu as many as there are CPUs",
          "[options]") {
  for (const char* preset : {"io", "cpu"}) {
    INFO(preset);
    pool_options_t options = Options();
    REQUIRE(pool_options_preset(&options, preset) == POOL_OK);
    const ScopedPool pool(options);
    const auto most = static_cast<uint64_t>(pool_participants(pool)) - 1;
    if (preset == std::string("io")) CHECK(most == 256);
    if (preset == std::string("cpu")) CHECK(most == static_cast<uint64_t>(pool_participants(ScopedPool(0u))) - 1);
    const uint64_t tasks = std::min<uint64_t>(most, 64);
    Gate gate;
    for (uint64_t i = 0; i < tasks; ++i) Must(pool_submit(pool, PassGate, &gate), "submit");
    CHECK(gate.AwaitArrivals(tasks));
    gate.Open();
    CheckSettled(pool);
  }
}

// ---- pool_set ----------------------------------------------------------------------------------

TEST_CASE("every live option can be set and read while the pool runs, and no other one", "[options]") {
  const auto all = List();
  const ScopedPool pool(Named({{"rate_count", "1000000000"}}));
  for (const Field& field : kFields) {
    INFO(field.name);
    const std::string before = Get(pool, field.name);
    if (field.live) {
      CHECK(pool_set(pool, field.name, "nothing") == POOL_E_INVALID);
      CHECK(Said(Listed(all, field.name).range));
      CHECK(Get(pool, field.name) == before);
      for (const std::string& value : {std::string(field.text), std::string(Listed(all, field.name).default_value)}) {
        CHECK(pool_set(pool, field.name, value.c_str()) == POOL_OK);
        CHECK(Get(pool, field.name) == value);
      }
    } else {
      CHECK(pool_set(pool, field.name, field.text) == POOL_E_INVALID);
      CHECK(Said("options." + std::string(field.name) + " is fixed at create"));
      CHECK(Get(pool, field.name) == before);
    }
  }
  Must(pool_submit(pool, DoNothing, nullptr), "submit");
  CheckSettled(pool);
}

TEST_CASE("pool_set needs nothing that the creator of the pool has freed", "[options]") {
  std::string name = "zebra";
  pool_options_t options = Named({{"workers_max", "1"}});
  options.name = name.c_str();
  const ScopedPool pool(options);
  name.assign(5, '\xFF');  // a pool cannot have such a name
  CHECK(pool_set(pool, "keep_alive_ms", "5") == POOL_OK);
}

TEST_CASE("pool_get cuts a text to the room there is, and tells how much it needs", "[options]") {
  const ScopedPool pool(Named({{"on_full", "caller-runs"}}));
  char text[16];
  std::memset(text, '#', sizeof(text));
  size_t needed = 0;
  REQUIRE(pool_get(pool, "on_full", text, 7, &needed) == POOL_OK);
  CHECK(std::string(text) == "caller");
  CHECK(text[7] == '#');
  CHECK(needed == 12);
  REQUIRE(pool_get(pool, "on_full", text, needed, nullptr) == POOL_OK);
  CHECK(std::string(text) == "caller-runs");
  needed = 0;
  REQUIRE(pool_get(pool, "lanes", nullptr, 0, &needed) == POOL_OK);
  CHECK(needed == 2);
}

TEST_CASE("options of the shared pool can be read, not set; a handle that is none is found out", "[options]") {
  pool_t shared = 0;
  Must(pool_shared(&shared), "pool_shared");
  CHECK(Get(shared, "queue_limit") == "1048576");
  CHECK(pool_set(shared, "keep_alive_ms", "5") == POOL_E_INVALID);
  CHECK(Said("shared pool"));
  CHECK(Get(shared, "keep_alive_ms") == "1000");
  Must(pool_release(shared), "pool_release");
  char text[8];
  for (const pool_t handle : {pool_t{0}, pool_t{12345}, shared}) {
    CHECK(pool_set(handle, "lane_limit", "5") == POOL_E_BADHANDLE);
    CHECK(pool_get(handle, "lane_limit", text, sizeof(text), nullptr) == POOL_E_BADHANDLE);
  }
}

TEST_CASE("H17: keep_alive_ms set by name sends idle workers away, or keeps them", "[options]") {
  const ScopedPool pool(Named({{"workers_max", "3"}, {"keep_alive_ms", "forever"}}));
  Gate gate;
  for (int i = 0; i < 3; ++i) Must(pool_submit(pool, PassGate, &gate), "submit");
  REQUIRE(gate.AwaitArrivals(3));
  gate.Open();
  REQUIRE(WaitIdle(pool));
  CHECK(HoldsThroughout([&] { return Stats(pool).workers_live == 3; }));
  Set(pool, "keep_alive_ms", "1");  // they sleep already
  CHECK(PollUntil([&] { return Stats(pool).workers_live == 0; }));
  Set(pool, "keep_alive_ms", "300");
  Must(pool_submit(pool, DoNothing, nullptr), "submit");
  REQUIRE(WaitIdle(pool));
  Set(pool, "keep_alive_ms", "forever");  // and so does this one, until its time is over
  CHECK(HoldsThroughout([&] { return Stats(pool).workers_live == 1; }, std::chrono::milliseconds(600)));
  CheckSettled(pool);
}

TEST_CASE("H17: workers_max set by name lets more tasks run that wait already, or fewer from then on", "[options]") {
  const ScopedPool pool(Named({{"workers_max", "2"}, {"keep_alive_ms", "forever"}}));
  Gate gate;
  for (int i = 0; i < 12; ++i) Must(pool_submit(pool, PassGate, &gate), "submit");
  REQUIRE(gate.AwaitArrivals(2));
  CHECK(HoldsThroughout([&] { return gate.arrivals() == 2; }));
  Set(pool, "workers_max", "5");
  REQUIRE(gate.AwaitArrivals(5));
  CHECK(HoldsThroughout([&] { return gate.arrivals() == 5; }));
  Set(pool, "workers_max", "0");  // automatic
  REQUIRE(gate.AwaitArrivals(12));
  gate.Open();
  REQUIRE(WaitIdle(pool));
  CHECK(Stats(pool).workers_live == 12);
  Set(pool, "workers_max", "1");
  CHECK(AwaitDecision(pool, 0, POOL_REASON_BOUNDS, 1));
  Gate second;
  for (int i = 0; i < 3; ++i) Must(pool_submit(pool, PassGate, &second), "submit");
  REQUIRE(second.AwaitArrivals(1));
  CHECK(HoldsThroughout([&] { return second.arrivals() == 1; }));
  second.Open();
  CheckSettled(pool);
}

TEST_CASE("H17: workers_min set by name keeps idle workers, or lets them go", "[options]") {
  const ScopedPool pool(Named({{"workers_max", "3"}, {"keep_alive_ms", "1"}}));
  Set(pool, "workers_min", "2");
  Gate gate;
  for (int i = 0; i < 3; ++i) Must(pool_submit(pool, PassGate, &gate), "submit");
  REQUIRE(gate.AwaitArrivals(3));
  gate.Open();
  REQUIRE(WaitIdle(pool));
  CHECK(PollUntil([&] { return Stats(pool).workers_live == 2; }));
  CHECK(HoldsThroughout([&] { return Stats(pool).workers_live == 2; }));
  Set(pool, "workers_min", "0");
  CHECK(PollUntil([&] { return Stats(pool).workers_live == 0; }));
  CheckSettled(pool);
}

TEST_CASE("bounds of workers that contradict each other are refused by pool_set, and those that hold stay", "[options]") {
  const ScopedPool pool(Named({{"workers_min", "2"}, {"workers_max", "4"}, {"workers_limit", "6"}}));
  for (const auto& [name, value] : {std::pair{"workers_min", "5"}, std::pair{"workers_max", "1"},
                                    std::pair{"workers_max", "7"}}) {
    INFO(name << " = " << value);
    const std::string before = Get(pool, name);
    CHECK(pool_set(pool, name, value) == POOL_E_INVALID);
    CHECK(Said(name));
    CHECK(Get(pool, name) == before);
  }
  Set(pool, "workers_max", "6");
  Set(pool, "workers_min", "6");
  CheckSettled(pool);
}

TEST_CASE("H17: aging_ms set by name holds for tasks that wait already", "[options]") {
  constexpr int64_t kHigh = 60;
  for (const bool shorter : {true, false}) {
    INFO(shorter);
    Marks marks(kHigh + 1);
    Barrier barrier;
    const ScopedPool pool(Named({{"workers_max", "1"}, {"aging_ms", shorter ? "forever" : "0.000001"}}));
    barrier.Occupy(pool);
    for (size_t i = 0; i <= kHigh; ++i) {
      pool_task_t task = marks[i].Task();
      task.priority = i == 0 ? -1 : 1;
      Must(pool_submit_task(pool, &task, nullptr), "submit");
    }
    Set(pool, "aging_ms", shorter ? "0.000001" : "forever");
    SpinFor(std::chrono::microseconds(10));
    barrier.Open();
    CheckSettled(pool);
    const auto order = marks.order();
    const auto place = std::find(order.begin(), order.end(), 0) - order.begin();
    // Due, it has one take in eight; else it is the last.
    if (shorter) CHECK(place < 10);
    if (!shorter) CHECK(place == kHigh);
    CHECK(marks.EachDroppedOnce());
  }
}

TEST_CASE("H17: aging_ms set by name reaches a worker that has tasks of its own", "[options]") {
  // Fewer than those after which a worker looks at the lanes in any case.
  constexpr size_t kOwn = 40;
  Marks marks(kOwn + 1);
  Gate gate;
  pool_options_t options = Named({{"workers_max", "1"}, {"aging_ms", "forever"}});
  options.drop = Mark::Drop;
  Body parent([&](pool_ctx_t* ctx) {
    for (size_t i = 1; i <= kOwn; ++i) Must(pool_ctx_submit(ctx, Mark::Run, &marks[i]), "submit");
    gate.Pass();
    return 0;
  });
  for (size_t i = 1; i <= kOwn; ++i) {
    marks[i].then = [](pool_ctx_t*) {
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
      return 0;
    };
  }
  const ScopedPool pool(options);
  const pool_task_t first = Task(Body::Run, &parent);
  Must(pool_submit_task(pool, &first, nullptr), "submit");
  REQUIRE(gate.AwaitArrivals(1));
  pool_task_t low = marks[0].Task();
  low.priority = -1;
  Must(pool_submit_task(pool, &low, nullptr), "submit");
  Set(pool, "aging_ms", "0.000001");
  gate.Open();
  CheckSettled(pool);
  const auto order = marks.order();
  REQUIRE(order.size() == kOwn + 1);
  CHECK(order.back() != 0);
  CHECK(marks.EachDroppedOnce());
}

// How many of count tasks a pool accepts.
uint64_t Accepts(pool_t pool, const pool_task_t& task, uint64_t count, pool_status_t refusal) {
  for (uint64_t accepted = 0; accepted < count; ++accepted) {
    const pool_status_t status = pool_submit_task(pool, &task, nullptr);
    if (status == POOL_OK) continue;
    CHECK(status == refusal);
    return accepted;
  }
  return count;
}

TEST_CASE("H17: lane_limit set by name bounds the lanes, and lets in who waits for room", "[options]") {
  const ScopedPool pool(Named({{"workers_max", "1"}, {"on_full", "block"}}));
  REQUIRE(pool_pause(pool) == POOL_OK);
  pool_task_t task = Task(DoNothing, nullptr);
  task.priority = 1;
  task.on_full = POOL_ON_FULL_REJECT;
  CHECK(Accepts(pool, task, 20, POOL_E_FULL) == 20);
  Set(pool, "lane_limit", "25");
  CHECK(Accepts(pool, task, 20, POOL_E_FULL) == 5);
  CHECK(Said("options.lane_limit = 25"));
  task.on_full = POOL_ON_FULL_BLOCK;
  std::atomic<bool> in{false};
  std::thread submitter([&] {
    Must(pool_submit_task(pool, &task, nullptr), "submit");
    in = true;
  });
  CHECK(HoldsThroughout([&] { return !in; }));
  Set(pool, "lane_limit", "0");
  CHECK(PollUntil([&] { return in.load(); }));
  submitter.join();
  Set(pool, "lane_limit", "3");  // what is beyond it stays
  task.on_full = POOL_ON_FULL_REJECT;
  CHECK(Accepts(pool, task, 1, POOL_E_FULL) == 0);
  REQUIRE(pool_resume(pool) == POOL_OK);
  CheckSettled(pool);
  CHECK(Stats(pool).done == 26);
}

TEST_CASE("H17: queue_limit_bytes set by name bounds what waits, and lets in who waits for room", "[options]") {
  const ScopedPool pool(Named({{"workers_max", "1"}, {"on_full", "block"}}));
  REQUIRE(pool_pause(pool) == POOL_OK);
  pool_task_t task = Task(DoNothing, nullptr);
  task.cost_bytes = 100;
  task.on_full = POOL_ON_FULL_REJECT;
  CHECK(Accepts(pool, task, 20, POOL_E_FULL) == 20);
  Set(pool, "queue_limit_bytes", "2599");
  CHECK(Accepts(pool, task, 20, POOL_E_FULL) == 5);
  task.on_full = POOL_ON_FULL_BLOCK;
  std::atomic<bool> in{false};
  std::thread submitter([&] {
    Must(pool_submit_task(pool, &task, nullptr), "submit");
    in = true;
  });
  CHECK(HoldsThroughout([&] { return !in; }));
  Set(pool, "queue_limit_bytes", "2600");
  CHECK(PollUntil([&] { return in.load(); }));
  submitter.join();
  REQUIRE(pool_resume(pool) == POOL_OK);
  CheckSettled(pool);
  CHECK(Stats(pool).done == 26);
}

TEST_CASE("H17: rate_count, rate_period_ms and rate_burst set by name change the rate", "[options]") {
  const ScopedPool pool(
      Named({{"workers_max", "1"}, {"rate_count", "1"}, {"rate_period_ms", kHourMs}, {"on_rate", "reject"}}));
  const pool_task_t task = Task(DoNothing, nullptr);
  CHECK(Accepts(pool, task, 10, POOL_E_RATE) == 1);
  Set(pool, "rate_count", "0");
  CHECK(Accepts(pool, task, 10, POOL_E_RATE) == 10);
  for (int i = 0; i < 10; ++i) CHECK(pool_submit(pool, DoNothing, nullptr) == POOL_OK);
  Set(pool, "rate_burst", "5");  // what belongs to the rate may be set while there is none
  Set(pool, "rate_count", "1");  // it begins with a full bucket
  CHECK(Accepts(pool, task, 10, POOL_E_RATE) == 5);
  CHECK(pool_submit(pool, DoNothing, nullptr) == POOL_E_RATE);
  CHECK(Get(pool, "rate_period_ms") == kHourMs);
  Set(pool, "rate_period_ms", "0.001");
  CHECK(PollUntil([&] { return pool_submit(pool, DoNothing, nullptr) == POOL_OK; }));
  Set(pool, "rate_period_ms", kHourMs);
  Set(pool, "rate_count", "3600000000");  // as many
  CHECK(PollUntil([&] { return pool_submit(pool, DoNothing, nullptr) == POOL_OK; }));
  CheckSettled(pool);
}

TEST_CASE("a submit that waits for a token hears of another rate, of its pool and of its class", "[options]") {
  for (const bool of_class : {false, true}) {
    INFO(of_class);
    pool_options_t options = Named({{"workers_max", "1"}, {"on_rate", "block"}});
    if (!of_class) options.rate_count = 1, options.rate_period_ns = 3'600'000'000'000;
    const ScopedPool pool(options);
    pool_class_options_t slow;
    Must(pool_class_options_init(&slow, sizeof(slow)), "init");
    slow.rate_count = 1;
    slow.rate_period_ns = 3'600'000'000'000;
    Must(pool_class_set(pool, 1, &slow), "pool_class_set");
    pool_task_t task = Task(DoNothing, nullptr);
    task.class_id = of_class ? 1 : 0;
    Must(pool_submit_task(pool, &task, nullptr), "submit");  // the token that is there
    std::atomic<bool> in{false};
    std::thread submitter([&] {
      Must(pool_submit_task(pool, &task, nullptr), "submit");
      in = true;
    });
    CHECK(HoldsThroughout([&] { return !in; }));
    if (of_class) {
      slow.rate_period_ns = 1'000'000;
      Must(pool_class_set(pool, 1, &slow), "pool_class_set");
    } else {
      Set(pool, "rate_period_ms", "1");
    }
    CHECK(PollUntil([&] { return in.load(); }));
    submitter.join();
    CheckSettled(pool);
  }
}

TEST_CASE("a rate is refused where plain submits do not ask for one, and taken where they do", "[options]") {
  const ScopedPool plain(Named({{"workers_max", "1"}}));
  CHECK(pool_set(plain, "rate_count", "1") == POOL_E_INVALID);
  CHECK(Said("options.rate_count = '1' needs a pool that was made with a rate"));
  CHECK(Get(plain, "rate_count") == "0");
  CHECK(pool_set(plain, "rate_count", "0") == POOL_OK);
  CHECK(pool_set(plain, "rate_burst", "7") == POOL_OK);
  for (int i = 0; i < 20; ++i) CHECK(pool_submit(plain, DoNothing, nullptr) == POOL_OK);
  CheckSettled(plain);
  using Setting = std::pair<const char*, const char*>;
  for (const Setting& setting : {Setting{"queue_limit", "4096"}, Setting{"strategy", "lifo"},
                                 Setting{"strategy", "priority"}, Setting{"codel_target_ms", "10000"}}) {
    INFO(setting.first << " = " << setting.second);
    const ScopedPool pool(
        Named({{"workers_max", "1"}, {"on_rate", "reject"}, {"rate_period_ms", kHourMs}, setting}));
    CHECK(pool_submit(pool, DoNothing, nullptr) == POOL_OK);
    CHECK(pool_submit(pool, DoNothing, nullptr) == POOL_OK);
    REQUIRE(pool_set(pool, "rate_count", "1") == POOL_OK);
    CHECK(pool_submit(pool, DoNothing, nullptr) == POOL_OK);
    CHECK(pool_submit(pool, DoNothing, nullptr) == POOL_E_RATE);
    CheckSettled(pool);
  }
}

TEST_CASE("H17: retry_count and retry_period_ms set by name change how many retries there are", "[options]") {
  const ScopedPool pool(Named({{"workers_max", "1"}}));
  const auto attempts = [&] {
    pool_task_t task = Task([](void*, pool_ctx_t*) -> int32_t { return POOL_RETRY; }, nullptr);
    task.retries_max = 5;
    task.backoff_first_ns = task.backoff_max_ns = 1'000'000;
    task.backoff_jitter = POOL_JITTER_NONE;
    const pool_ticket_t ticket = Submit(pool, task);
    const pool_result_t result = WaitForResult(ticket);
    Must(pool_ticket_release(ticket), "release");
    CHECK(result.outcome == POOL_FAILED);
    return result.attempts;
  };
  CHECK(attempts() == 6);
  Set(pool, "retry_period_ms", kHourMs);
  CHECK(attempts() == 6);
  Set(pool, "retry_count", "3");
  CHECK(attempts() == 4);
  CHECK(attempts() == 1);
  Set(pool, "retry_period_ms", "0.001");
  CHECK(attempts() == 6);
  Set(pool, "retry_period_ms", kHourMs);
  Set(pool, "retry_count", "0");
  CHECK(attempts() == 6);
  CheckSettled(pool);
}

TEST_CASE("a task may set an option of its own pool", "[options]") {
  const ScopedPool pool(Named({{"workers_max", "2"}}));
  Body body([&](pool_ctx_t*) -> int32_t {
    Set(pool, "keep_alive_ms", "7");
    Set(pool, "aging_ms", "7");
    return Get(pool, "keep_alive_ms") == "7" ? 0 : -1000;
  });
  Must(pool_submit(pool, Body::Run, &body), "submit");
  CheckSettled(pool);
  CHECK(Stats(pool).done == 1);
}

TEST_CASE("options may be set by many threads while tasks come and go", "[options]") {
  static const char* const kSettings[][3] = {
      {"keep_alive_ms", "0.01", "forever"}, {"aging_ms", "0.01", "forever"}, {"lane_limit", "100", "0"},
      {"queue_limit_bytes", "1000", "0"},   {"rate_count", "0", "18446744073709551615"},
      {"rate_burst", "1", "1000000"},       {"rate_period_ms", "1", "0.001"},
      {"retry_count", "1", "0"},            {"retry_period_ms", "1", "0.001"},
      {"workers_min", "2", "0"},            {"workers_max", "2", "5"}};
  Tally tally;
  const ScopedPool pool(Named({{"workers_max", "3"}, {"rate_count", "18446744073709551615"}, {"on_full", "block"}}));
  std::atomic<bool> stop{false};
  std::vector<std::thread> setters;
  for (size_t t = 0; t < 2; ++t) {
    setters.emplace_back([&, t] {
      for (size_t i = t; !stop; ++i) {
        const auto& setting = kSettings[i % std::size(kSettings)];
        Set(pool, setting[0], setting[1 + i / std::size(kSettings) % 2]);
        (void)Get(pool, setting[0]);
      }
    });
  }
  const uint64_t tasks = Rounds(20'000);
  for (uint64_t i = 0; i < tasks; ++i) {
    pool_task_t task = TallyTask(tally);
    task.priority = static_cast<int32_t>(i % 3) - 1;
    task.cost_bytes = i % 200;
    Must(pool_submit_task(pool, &task, nullptr), "submit");
  }
  stop = true;
  for (auto& setter : setters) setter.join();
  CheckSettled(pool);
  CHECK(tally.runs == tasks);
  CHECK(tally.drops == tasks);
}

}  // namespace
}  // namespace workpool_test
