#include "scaling/policy.h"

#include <catch2/catch.hpp>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "scaling/expiring.h"
#include "scaling/fixed.h"
#include "scaling/idle_core.h"
#include "scaling/policy_table.h"
#include "scaling/presets.h"
#include "scaling_support.h"

namespace workpool {
namespace {

std::vector<std::string> AllNames() {
  std::vector<std::string> names;
  const char *name = nullptr, *doc = nullptr;
  for (uint32_t i = 0; ListPolicies(i, &name, &doc); ++i) names.emplace_back(name);
  return names;
}

// With what it cannot do without.
std::string SpecOf(const std::string& name) {
  return name == "schedule" ? name + ",at=00:00=7 12:00=30,zone=UTC" : name;
}

std::string Refusal(const std::string& spec) {
  Policy* policy = nullptr;
  INFO(spec);
  CHECK(Policy::Parse(spec.c_str(), &policy) == POOL_E_INVALID);
  CHECK(policy == nullptr);
  return TextOf(POOL_E_INVALID);
}

bool Has(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

// ---- from text

TEST_CASE("every policy that is listed can be made, by its name alone but for a schedule", "[scaling]") {
  CHECK(AllNames().size() == 17);
  for (const std::string& name : AllNames()) {
    INFO(name);
    CHECK(Make(SpecOf(name)) != nullptr);
  }
  CHECK(Has(Refusal("schedule"), "09:00=50"));
}

TEST_CASE("what is unknown or out of range is refused, with what there is", "[scaling]") {
  const std::string unknown = Refusal("nonsense");
  for (const std::string& name : AllNames()) CHECK(Has(unknown, name));
  CHECK(Has(unknown, "'nonsense'"));
  CHECK(Has(Refusal(""), "busy-share"));
  CHECK(Has(Refusal("pid,gain=3"), "setpoint kp ki kd"));
  CHECK(Has(Refusal("pid,gain=3"), "cooldown_up"));
  CHECK(Has(Refusal("schedule,at=09:00=5,with=pid,gain=3"), "setpoint"));
  CHECK(Has(Refusal("pid,kp"), "option=value"));
  CHECK(Has(Refusal("pid,,kp=1"), "option=value"));
  CHECK(Has(Refusal("pid,setpoint=1.5"), "0.01 ... 1"));
  CHECK(Has(Refusal("pid,setpoint=0"), "0.01 ... 1"));
  CHECK(Has(Refusal("pid,kp=nan"), "kp=nan"));
  CHECK(Has(Refusal("pid,kp=inf"), "0 ... 1000000"));
  CHECK(Has(Refusal("pid,kp="), "number"));
  CHECK(Has(Refusal("fixed,n=2.5"), "whole number"));
  CHECK(Has(Refusal("pid,tick=5"), "unit"));
  CHECK(Has(Refusal("pid,tick=0"), "1ms ... 1h"));
  CHECK(Has(Refusal("ewma,signal=noise"), "demand backlog"));
  CHECK(Has(Refusal("pid,floor='09:00=5"), "quote"));
  CHECK(Has(Refusal("pid,floor='09:00=5'x"), "quote"));
  CHECK(Has(Refusal("pid,floor=9=5"), "09:00=50"));
  CHECK(Has(Refusal("pid,zone=UTC"), "schedule"));
  CHECK(Has(Refusal("pid,floor=09:00=5,zone=Nowhere"), "Nowhere"));
  CHECK(Has(Refusal("seasonal,floor=09:00=5"), "of its own"));
  CHECK(Has(Refusal("seasonal,with=schedule"), "floor too"));
  CHECK(Has(Refusal("seasonal,with=nonsense"), "there are"));
  CHECK(Has(Refusal("pid,with=auto"), "no option 'with'"));
  CHECK(Has(Refusal(std::string(5000, 'x')), "4096"));
  Policy* policy = nullptr;
  CHECK(Policy::Parse(nullptr, &policy) == POOL_E_INVALID);
}

TEST_CASE("a value with commas stands in quotes, and of an option that comes twice the last counts", "[scaling]") {
  (void)Make("schedule,zone='CET-1CEST,M3.5.0,M10.5.0/3',at=\"09:00=50 18:00=5\",with=pid,kp=3");
  CHECK(Make("fixed,n=3,n=4")->Decide(Load{.live = 1}).workers == 4);
}

TEST_CASE("no text makes the parser crash", "[scaling]") {
  Random random(5);
  std::vector<std::string> seeds;
  for (const std::string& name : AllNames()) {
    std::string spec = SpecOf(name);
    PolicyOptionInfo option;
    for (uint32_t i = 0; ListPolicyOptions(name.c_str(), i, &option); ++i) {
      if (option.fallback[0] != 0 && random.Below(3) == 0)
        spec += std::string(",") + option.name + "=" + option.fallback;
    }
    seeds.push_back(spec);
    seeds.push_back("schedule,zone='CET-1CEST,M3.5.0,M10.5.0/3',at=09:00=50 18:00=5,with=" + name);
  }
  uint32_t taken = 0;
  for (int round = 0; round < 100'000; ++round) {
    std::string text;
    if (round % 4 == 0) {
      for (uint32_t i = random.Below(40); i > 0; --i) text += static_cast<char>(1 + random.Below(255));
    } else {
      text = seeds[random.Below(static_cast<uint32_t>(seeds.size()))];
      for (uint32_t edits = random.Below(4); edits > 0 && !text.empty(); --edits) {
        const uint32_t at = random.Below(static_cast<uint32_t>(text.size()));
        switch (random.Below(4)) {
          case 0:
            text[at] = static_cast<char>(1 + random.Below(255));
            break;
          case 1:
            text.erase(at, 1 + random.Below(8));
            break;
          case 2:
            text.insert(at, 1, "0123456789.,='\"-:smh "[random.Below(21)]);
            break;
          default:
            text += text.substr(at);
        }
      }
    }
    Policy* policy = nullptr;
    const Status status = Policy::Parse(text.c_str(), &policy);
    REQUIRE((status == POOL_OK) == (policy != nullptr));
    if (policy == nullptr) {
      REQUIRE(status == POOL_E_INVALID);
      continue;
    }
    ++taken;
    const uint32_t workers = policy->Decide(Load{.live = 2, .active = 2, .queued = 9}).workers;
    REQUIRE((workers >= 1 && workers <= 1000));
    Delete(policy);
  }
  CHECK(taken > 1000);
}

TEST_CASE("the lists tell each option once, with a default and a range that are taken", "[scaling]") {
  for (const std::string& name : AllNames()) {
    std::set<std::string> seen;
    PolicyOptionInfo option;
    for (uint32_t i = 0; ListPolicyOptions(name.c_str(), i, &option); ++i) {
      INFO(name << " " << option.name);
      CHECK(seen.insert(option.name).second);
      CHECK(std::string(option.doc).size() > 10);
      CHECK(std::string(option.doc).back() == '.');
      CHECK(option.range[0] != 0);
      const std::string fallback = option.fallback;
      if (fallback.empty() || fallback == "never") continue;
      (void)Make(SpecOf(name) + "," + option.name + "=" + fallback);
    }
    CHECK(seen.count("cooldown_up") == 1);
    CHECK(seen.count("floor") == (name == "schedule" || name == "seasonal" ? 0 : 1));
  }
  PolicyOptionInfo option;
  CHECK_FALSE(ListPolicyOptions("nonsense", 0, &option));
  CHECK_FALSE(ListPolicyOptions(nullptr, 0, &option));
}

TEST_CASE("H17: each option of the idle-core rule is named once, by its place", "[scaling]") {
  // One row for each double of the options, and the bound for each CPU.
  const auto rows = PresetRows()[0].options;
  std::set<uint32_t> offsets;
  for (const PolicyOption& row : rows) {
    CHECK(row.offset % sizeof(double) == 0);
    offsets.insert(row.offset);
  }
  CHECK(offsets.size() == rows.size());
  CHECK(rows.size() == sizeof(IdleCoreOptions) / sizeof(double) + 1);
}

// ---- what it does with them

// Decisions on figures at random, where each one's target is what came of the one before.
std::vector<NumberPool::Change> Trace(const std::string& spec, uint64_t start_ns, bool calm) {
  const PolicyPtr policy = Make(spec);
  NumberPool pool(policy.get(), start_ns);
  Random random(11);
  pool.workers_max = 300;
  for (uint64_t ms = 0; ms < 40'000; ++ms) {
    // Loads that come and go, some of them more than can be done.
    const uint64_t phase = ms / 4000 % 5;
    const uint32_t rate = calm ? 200 : phase == 0 ? 100 : phase == 1 ? 3000 : phase == 2 ? 0 : phase == 3 ? 600 : 30;
    pool.Step(random.Below(1000) < rate % 1000 ? rate / 1000 + 1 : rate / 1000, 20 + random.Below(60));
  }
  return pool.changes;
}

TEST_CASE("G1: decisions do not depend on where the clock started", "[scaling]") {
  const uint64_t kStarts[] = {(uint64_t{1} << 31) * kSecond - 5 * kSecond, ((uint64_t{1} << 32) - 5) * kMs,
                              (uint64_t{1} << 63) - kSecond, (uint64_t{1} << 31) - 5 * kMs, (uint64_t{1} << 32) - 5};
  for (const std::string& name : AllNames()) {
    INFO(name);
    const std::string spec = SpecOf(name) + ",smooth=0.5";
    const auto expected = Trace(spec, 0, false);
    CHECK(!expected.empty());
    for (const uint64_t start_ns : kStarts) {
      INFO("start " << start_ns);
      CHECK(Trace(spec, start_ns, false) == expected);
    }
  }
}

TEST_CASE("G2: under constant load a policy that keeps a target settles", "[scaling]") {
  for (const std::string& name : AllNames()) {
    INFO(name);
    const PolicyPtr policy = Make(SpecOf(name));
    if (!policy->keeps() || name == "schedule" || name == "seasonal") continue;
    // These two have no rest: with enough workers the queue is empty, and an empty queue asks for fewer.
    if (name == "queue-depth" || name == "queue-level") continue;
    NumberPool pool(policy.get(), kSecond);
    // 100 a second, evenly, of 50 ms: five at work.
    std::set<uint32_t> sizes;
    size_t changes = 0;
    for (uint64_t ms = 0; ms < 600'000; ++ms) {
      pool.Step(ms % 10 == 0 ? 1 : 0, 50);
      if (ms == 300'000) changes = pool.changes.size();
      if (ms >= 300'000) sizes.insert(pool.target());
    }
    CHECK(pool.changes.size() - changes <= 4);
    CHECK(*sizes.rbegin() - *sizes.begin() <= 2);
    CHECK(pool.queued() < 1000);
  }
}

TEST_CASE("no policy takes a step back within the cooldown of the way back", "[scaling]") {
  for (const std::string& name : AllNames()) {
    const PolicyPtr policy = Make(SpecOf(name) + ",cooldown_up=300ms,cooldown_down=900ms");
    if (!policy->keeps() || name == "fixed") continue;
    NumberPool pool(policy.get(), kSecond);
    Random random(21);
    for (uint64_t ms = 0; ms < 60'000; ++ms) {
      pool.Step(random.Below(1000) < (ms / 3000 % 2 == 0 ? 600u : 50u) ? 1 : 0, 30 + random.Below(100));
    }
    INFO(name);
    CHECK(pool.changes.size() > 2);
    for (size_t i = 1; i < pool.changes.size(); ++i) {
      const auto &from = pool.changes[i - 1], &to = pool.changes[i];
      INFO("step " << i << " at " << to.at_ms << " ms to " << to.workers);
      REQUIRE(to.at_ms - from.at_ms >= (to.workers > from.workers ? 300u : 900u));
    }
  }
}

TEST_CASE("an idle pool that can shrink no further has no tick", "[scaling]") {
  for (const std::string& name : AllNames()) {
    INFO(name);
    const PolicyPtr policy = Make(SpecOf(name) + ",cooldown=100ms");
    NumberPool pool(policy.get(), kSecond);
    for (uint64_t ms = 0; ms < 2000; ++ms) pool.Step(1, 30);
    for (uint64_t ms = 0; ms < 100'000; ++ms) pool.Step(0, 0);
    const uint64_t looks = pool.looks();
    for (uint64_t ms = 0; ms < 100'000; ++ms) pool.Step(0, 0);
    // But for the times at which the floor of a day changes; and a season looks eight times in five minutes.
    CHECK(pool.looks() - looks <= (name == "seasonal" ? 3 : 1));
  }
}

// A change of each option that a test must notice. Options of the idle-core rule have tests of their own; that they reach
// it is shown by their places.
const std::map<std::string, std::map<std::string, std::string>> kChanged = {
    {"",
     {{"smooth", "0.02"},
      {"cooldown", "3s"},
      {"cooldown_up", "7s"},
      {"cooldown_down", "17s"},
      {"step_up_max", "1"},
      {"tick", "317ms"},
      {"patience", "1s"},
      {"keep_alive", "777ms"},
      {"floor", "00:00=40"}}},
    {"fixed", {{"n", "17"}}},
    {"busy-share", {{"share", "1"}}},
    {"jobs-per-worker", {{"threshold", "5"}, {"factor", "4"}}},
    {"queue-depth", {{"capacity", "40"}, {"high", "0.1"}, {"low", "0"}, {"up", "9"}, {"down", "9"}}},
    {"queue-level", {{"capacity", "40"}, {"high", "0.1"}, {"low", "0"}, {"up", "9"}, {"down", "9"}}},
    {"wait-time", {{"high", "10ms"}, {"low", "0"}, {"grow", "2"}, {"shrink", "7"}}},
    {"aimd", {{"wait", "200ms"}, {"add", "7"}, {"cut", "0.9"}}},
    {"ewma", {{"alpha", "1"}, {"signal", "depth"}, {"setpoint", "0.3"}, {"band", "0.9"}}},
    {"multi-signal",
     {{"utilisation_high", "1"},
      {"utilisation_low", "0.9"},
      {"wait_high", "1s"},
      {"wait_low", "1s"},
      {"wait_urgent", "1h"},
      {"depth_high", "1000"},
      {"depth_low", "10"},
      {"errors_max", "0"},
      {"grow", "2"},
      {"shrink", "7"}}},
    {"pid",
     {{"setpoint", "0.3"},
      {"kp", "40"},
      {"ki", "30"},
      {"kd", "20"},
      {"overload", "0"},
      {"filter", "0"},
      {"band", "7"}}},
    {"schedule", {{"at", "00:00=3"}, {"with", "pid"}, {"zone", "UTC-7"}}},
    {"seasonal", {{"period", "20s"}, {"buckets", "7"}, {"learn", "0.1"}, {"lookahead", "3"}, {"with", "pid"}}},
};

// What must be set besides, so that the change can show.
const std::map<std::string, std::string> kBeside = {
    {"fixed", ",n=9"},
    {"queue-level step_up_max", ",up=9"},
    {"aimd step_up_max", ",add=9"},
    {"schedule cooldown", ",with=pid"},
    {"schedule cooldown_up", ",with=pid"},
    {"seasonal", ",with=ewma,period=2h"},
};

// Samples of every kind, a tenth of a second apart: figures at random, and the target what came of the sample before.
std::string Answers(const std::string& spec) {
  const PolicyPtr policy = Make(spec);
  std::string out = std::to_string(policy->tick_ns()) + " " + std::to_string(policy->patience_ns()) + " " +
                    std::to_string(policy->keep_alive_ns());
  Random random(31);
  LoadSample sample;
  sample.now_ns = kSecond;
  sample.dt_ns = 100 * kMs;
  sample.cores = 8;
  sample.workers_max = 400;
  for (int i = 0; i < 3000; ++i) {
    // Calm and storm take turns, so that all thresholds are met from both sides; and sometimes a single figure stands out.
    const bool calm = i / 40 % 2 == 0;
    const bool odd = i / 10 % 4 == 1;
    sample.now_ns += sample.dt_ns;
    sample.wall_s = 1'700'000'000 + i * 60;
    sample.live = sample.target;
    sample.idle = calm ? sample.live - random.Below(sample.live + 1) : random.Below(2) == 0 ? 0 : sample.live / 4;
    sample.queued = calm ? random.Below(3) : random.Below(1 + random.Below(2000));
    sample.head_age_ns = sample.queued == 0 ? 0 : random.Below(calm ? 30 : 300) * kMs;
    sample.wait_mean_s = sample.head_age_s() / (1 + random.Below(4));
    sample.wait_p99_s = sample.head_age_s() * (1 + random.Below(4));
    if (calm && odd) {
      sample.idle = sample.live - sample.live / 4;
      sample.queued = random.Below(2) == 0 ? 1 : sample.live;
      sample.head_age_ns = 0;
      sample.wait_mean_s = random.Below(2) == 0 ? 0.4 : 0;
      sample.wait_p99_s = sample.wait_mean_s;
    }
    sample.arrived = random.Below(calm ? 5 : 200);
    sample.started = sample.ended = random.Below(100);
    sample.failed = random.Below(20) == 0 ? 1 : 0;
    sample.service_s = 0.05 + random.Below(50) * 0.001;
    const Decision decision = policy->Decide(sample);
    out += " " + std::to_string(decision.workers);
    sample.target = decision.workers;
  }
  return out;
}

TEST_CASE("H17: every option of every policy has an effect", "[scaling]") {
  for (const std::string& name : AllNames()) {
    const PolicyRow* row = FindPolicy(name);
    const bool preset = row->options.data() == PresetRows()[0].options.data();
    PolicyOptionInfo option;
    for (uint32_t i = 0; ListPolicyOptions(name.c_str(), i, &option); ++i) {
      INFO(name << " " << option.name);
      const std::string title = option.name;
      const bool own = i < row->options.size();
      if (preset && own && title != "patience") continue;
      // Smoothing and cooldowns mean nothing to a number that is there from the start: of fixed, and the CPUs of cpu.
      if ((name == "fixed" || name == "cpu") && (title == "smooth" || title.rfind("cooldown", 0) == 0)) continue;
      // Where workers expire there is no step down, but for trimming.
      if (!Make(SpecOf(name))->keeps() && title == "cooldown_down") continue;
      if (title == "zone" && name != "schedule") continue;
      const auto& changes = kChanged.at(own || title == "zone" ? (preset ? "" : name) : "");
      REQUIRE(changes.count(title) == 1);
      const std::string setting = "," + title + "=" + changes.at(title);
      std::string base = SpecOf(name);
      for (const std::string& key : {name, name + " " + title}) {
        if (kBeside.count(key) == 1) base += kBeside.at(key);
      }
      // What acts on figures in the short term is hidden by long cooldowns.
      const bool differs = Answers(base + setting) != Answers(base) ||
                           Answers(base + ",cooldown=0" + setting) != Answers(base + ",cooldown=0");
      CHECK(differs);
    }
  }
}

TEST_CASE("presets of the idle-core rule differ as they say", "[scaling]") {
  CHECK(Make("auto")->tick_ns() == 5 * kMs);
  CHECK(Make("auto")->patience_ns() == 2 * kMs);
  CHECK(Make("auto")->keep_alive_ns() == 0);
  CHECK(Make("cpu")->keep_alive_ns() == 10 * kSecond);
  CHECK(Make("io")->patience_ns() == 2 * kMs);
  CHECK(Make("batch")->patience_ns() == 20 * kMs);
  CHECK(Make("batch")->keep_alive_ns() == kSecond / 2);
  CHECK(Make("auto,patience=7ms")->patience_ns() == 7 * kMs);
  const auto fallback = [](const char* policy, const std::string& name) {
    PolicyOptionInfo option;
    for (uint32_t i = 0; ListPolicyOptions(policy, i, &option); ++i) {
      if (option.name == name) return std::string(option.fallback);
    }
    return std::string("none");
  };
  CHECK(fallback("io", "free") == "256");
  CHECK(fallback("shared-downstream", "free") == "16");
  CHECK(fallback("auto", "free") == "160");
  CHECK(fallback("cpu", "per_core") == "1");
  CHECK(fallback("io", "patience") == "2ms");
  CHECK(fallback("queue-level", "high") == "0.5");
  CHECK(fallback("queue-depth", "cooldown_down") == "30s");
  CHECK(fallback("fixed", "tick") == "never");
  CHECK(fallback("ewma", "signal") == "demand");
  CHECK(fallback("schedule", "with") == "auto");
  // Never more than one worker for each CPU, and hung ones besides.
  LoadSample sample = Load{.live = 4, .active = 4, .queued = 100, .head_s = 1};
  sample.cores = 3.5;
  sample.runnable = 0.1;
  CHECK(Make("cpu")->Decide(sample).workers == 4);
}

// ---- the parts together

TEST_CASE("a decision stands within the bounds, and says when they have made it", "[scaling]") {
  LoadSample sample = Load{.live = 5};
  sample.workers_min = 3;
  sample.workers_max = 9;
  const auto decide = [&](const char* spec) { return Make(spec)->Decide(sample); };
  CHECK(decide("fixed,n=100").workers == 9);
  CHECK(decide("fixed,n=100").reason == Reason::kBounds);
  CHECK(decide("fixed,n=1").workers == 3);
  CHECK(decide("fixed,n=1").reason == Reason::kBounds);
  CHECK(decide("fixed,n=4").workers == 4);
  CHECK(decide("fixed,n=4").reason == Reason::kLoad);
  // One at least; and bounds that cross are the lower one.
  sample.workers_min = 0;
  sample.target = sample.live = sample.idle = 1;
  CHECK(decide("aimd").workers == 1);
  sample.workers_min = 12;
  CHECK(decide("fixed,n=5").workers == 12);
}

TEST_CASE("a step that comes too soon is held, and asked for again when it may be", "[scaling]") {
  const PolicyPtr policy = Make("queue-depth");
  LoadSample sample = Load{.live = 5, .active = 5, .queued = 900};
  sample.now_ns = 100 * kSecond;
  CHECK(policy->Decide(sample).workers == 7);
  sample.target = sample.live = 7;
  sample.now_ns = 101 * kSecond;
  const Decision held = policy->Decide(sample);
  CHECK(held.workers == 7);
  CHECK(held.reason == Reason::kCooldown);
  sample.now_ns = 102 * kSecond;
  CHECK(policy->Decide(sample).workers == 9);
  sample.target = sample.live = 9;
  sample.queued = 0;
  sample.now_ns = 131 * kSecond;
  CHECK(policy->Decide(sample).workers == 9);
  sample.now_ns = 132 * kSecond;
  CHECK(policy->Decide(sample).workers == 8);
}

TEST_CASE("a cooldown does not hold what the bounds ask for", "[scaling]") {
  const PolicyPtr policy = Make("fixed,n=50,cooldown=1h");
  LoadSample sample = Load{.live = 5};
  CHECK(policy->Decide(sample).workers == 50);
  sample.target = sample.live = 50;
  sample.workers_max = 20;
  CHECK(policy->Decide(sample).workers == 20);
}

TEST_CASE("one step adds no more than the largest", "[scaling]") {
  const PolicyPtr policy = Make("fixed,n=50,step_up_max=8,tick=10ms");
  LoadSample sample = Load{.live = 5};
  const Decision decision = policy->Decide(sample);
  CHECK(decision.workers == 13);
  CHECK(decision.reason == Reason::kCooldown);
  CHECK(decision.again_ns == sample.now_ns + 10 * kMs);
}

TEST_CASE("where idle workers expire, a step is from those that are up", "[scaling]") {
  const PolicyPtr policy = Make("busy-share,step_up_max=2,cooldown_up=1s");
  // The target is one of long ago.
  LoadSample sample = Load{.live = 3, .active = 3, .queued = 10, .target = 40};
  CHECK(policy->Decide(sample).workers == 5);
  sample.live = sample.target = 5;
  sample.now_ns += 999 * kMs;
  CHECK(policy->Decide(sample).workers == 5);
  sample.now_ns += 1 * kMs;
  CHECK(policy->Decide(sample).workers == 7);
}

TEST_CASE("a floor holds below the load, and not above it", "[scaling]") {
  const PolicyPtr policy = Make("fixed,n=10,floor='08:00=20 20:00=3',zone=UTC");
  LoadSample sample = Load{.live = 10};
  sample.wall_s = 86'400 * 19'000 + 12 * 3600;
  const Decision day = policy->Decide(sample);
  CHECK(day.workers == 20);
  CHECK(day.reason == Reason::kSchedule);
  CHECK(day.again_ns == sample.now_ns + 8 * 3600 * kSecond);
  sample.wall_s += 8 * 3600;
  const Decision night = policy->Decide(sample);
  CHECK(night.workers == 10);
  CHECK(night.reason != Reason::kSchedule);
  CHECK(night.again_ns == sample.now_ns + 12 * 3600 * kSecond);
}

TEST_CASE("a schedule keeps its floor, and grows above it as its reactive policy does", "[scaling]") {
  for (const char* with : {"auto", "busy-share", "jobs-per-worker,threshold=1", "ewma", "pid"}) {
    const PolicyPtr policy = Make(std::string("schedule,at=00:00=20,zone=UTC,with=") + with);
    INFO(with);
    CHECK(policy->keeps());
    NumberPool pool(policy.get(), kSecond);
    for (uint64_t ms = 0; ms < 5000; ++ms) pool.Step(ms == 100 ? 1 : 0, 500);
    CHECK(pool.target() == 20);
    for (uint64_t ms = 0; ms < 20'000; ++ms) pool.Step(1, 60);
    CHECK(pool.target() > 20);
    for (uint64_t ms = 0; ms < 100'000; ++ms) pool.Step(0, 0);
    CHECK(pool.target() == 20);
  }
}

TEST_CASE("a seasonal policy has the workers up before the load comes again", "[scaling]") {
  const PolicyPtr policy = Make("seasonal,period=100s,buckets=20,with=busy-share");
  NumberPool pool(policy.get(), kSecond);
  pool.wall_s = 0;
  for (uint64_t ms = 0; ms < 500'000; ++ms) {
    const uint64_t in_period = ms % 100'000;
    // Thirty at work, from the 50th to the 60th second.
    const bool high = in_period >= 50'000 && in_period < 60'000;
    pool.Step(high ? (ms % 2 == 0 ? 1 : 0) : (ms % 500 == 0 ? 1 : 0), 60);
    if (ms < 200'000) continue;
    INFO("at " << ms);
    if (in_period == 40'000) REQUIRE(pool.target() < 10);
    if (in_period == 49'000) REQUIRE(pool.target() >= 30);
    if (in_period == 90'000) REQUIRE(pool.target() < 10);
  }
}

TEST_CASE("a policy goes on from a target that was set by somebody else", "[scaling]") {
  for (const char* name : {"pid", "ewma", "seasonal"}) {
    const PolicyPtr policy = Make(name);
    LoadSample sample = Load{.live = 5, .active = 5, .queued = 3};
    for (int i = 0; i < 20; ++i) {
      (void)policy->Decide(sample);
      sample.now_ns += sample.dt_ns;
    }
    sample = Load{.live = 60, .active = 42, .target = 60};
    sample.now_ns = 2000 * kSecond;
    sample.service_s = 0.1;
    sample.arrived = 48;
    policy->Adopt(sample);
    INFO(name);
    CHECK(policy->Decide(sample).workers == 60);
  }
}

TEST_CASE("a policy with a decider of one's own has the usual tick and patience", "[scaling]") {
  const PolicyPtr policy(New<Policy>(New<Fixed>(FixedOptions{.n = 3})));
  CHECK(policy->tick_ns() == 100 * kMs);
  CHECK(policy->patience_ns() == 5 * kMs);
  CHECK(policy->keep_alive_ns() == 0);
  CHECK(policy->Decide(Load{.live = 1}).workers == 3);
}

TEST_CASE("every reason has a name of its own", "[scaling]") {
  std::set<std::string> names;
  for (uint8_t i = 0; i <= static_cast<uint8_t>(Reason::kBounds); ++i) names.insert(ReasonName(static_cast<Reason>(i)));
  CHECK(names.size() == 15);
  CHECK(names.count("unknown") == 0);
}

}  // namespace
}  // namespace workpool
