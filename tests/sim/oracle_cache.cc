#include "oracle_cache.h"

#include <cmath>
#include <cstdio>
#include <fstream>
#include <nlohmann/json.hpp>

namespace workpool::sim {
namespace {

// FNV-1a.
std::string KeyOf(const Case& c, const OracleOptions& options) {
  uint64_t hash = 14695981039346656037u;
  const std::string text = c.trace.text + "\n" + std::to_string(c.seed) + "\n" + std::to_string(options.workers_max);
  for (const char byte : text) hash = (hash ^ static_cast<unsigned char>(byte)) * 1099511628211u;
  char hex[17];
  std::snprintf(hex, sizeof hex, "%016llx", static_cast<unsigned long long>(hash));
  return c.trace.name + "-" + std::to_string(c.seed) + "-" + hex;
}

}  // namespace

Schedule OracleCache::Get(const Case& c, const std::vector<std::vector<uint32_t>>& starts,
                          const OracleOptions& options) {
  const std::string key = KeyOf(c, options);
  Schedule schedule;
  if (!path_.empty() && Load(key, c, options, &schedule)) return schedule;
  Oracle oracle(c, options);
  for (const std::vector<uint32_t>& start : starts) oracle.Start(start);
  schedule = oracle.Find();
  if (!path_.empty()) Save(key, schedule);
  return schedule;
}

bool OracleCache::Load(const std::string& key, const Case& c, const OracleOptions& options, Schedule* out) const {
  std::ifstream in(path_);
  std::string line;
  bool found = false;
  while (std::getline(in, line)) {
    const nlohmann::json json = nlohmann::json::parse(line, nullptr, false);
    if (!json.is_object() || json.value("key", "") != key) continue;
    const auto targets = json.value("targets", std::vector<uint32_t>());
    const double j = json.value("j", 0.0);
    if (targets.empty() || (found && j >= out->result.cost.J())) continue;
    Options run;
    run.workers_max = options.workers_max;
    const Result result = RunTable(c, targets, kSegmentNs, run);
    if (std::abs(result.cost.J() - j) > 1e-9 * j) continue;
    *out = {targets, result, json.value("fixed_best", 0u), json.value("fixed_j", 0.0),
            json.value("tried", uint64_t{0})};
    found = true;
  }
  return found;
}

void OracleCache::Save(const std::string& key, const Schedule& schedule) const {
  const nlohmann::json json = {{"key", key},
                               {"j", schedule.result.cost.J()},
                               {"fixed_best", schedule.fixed_best},
                               {"fixed_j", schedule.fixed_j},
                               {"tried", schedule.tried},
                               {"targets", schedule.targets}};
  // One write, so that two processes can share the file.
  const std::string line = json.dump() + "\n";
  if (std::FILE* file = std::fopen(path_.c_str(), "a")) {
    std::fwrite(line.data(), 1, line.size(), file);
    std::fclose(file);
  } else {
    std::fprintf(stderr, "workpool-sim: %s cannot be written: schedules are not kept\n", path_.c_str());
  }
}

}  // namespace workpool::sim
