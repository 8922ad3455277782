#include "load_shape.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <sstream>
#include <stdexcept>
#include <vector>

#include "load_time.h"

namespace workpool_cli {
namespace {

using Json = nlohmann::json;

// One option of a shape, by its name on the command line.
struct Named {
  const char* name;
  const std::optional<double> ShapeOptions::*value;
};
constexpr Named kNamed[] = {
    {"--rate", &ShapeOptions::rate},
    {"--from", &ShapeOptions::from},
    {"--to", &ShapeOptions::to},
    {"--over", &ShapeOptions::over_s},
    {"--hold", &ShapeOptions::hold_s},
    {"--down", &ShapeOptions::down_s},
    {"--burst-rate", &ShapeOptions::burst_rate},
    {"--every", &ShapeOptions::every_s},
    {"--for", &ShapeOptions::for_s},
    {"--duration", &ShapeOptions::duration_s},
};

struct Shape {
  const char* name;
  std::vector<std::string> needs;
  std::vector<std::string> takes;
};
const std::vector<Shape>& Shapes() {
  static const std::vector<Shape> kShapes = {
      {"constant", {"--rate", "--duration"}, {}},
      {"ramp", {"--from", "--to", "--over"}, {"--hold", "--down"}},
      {"burst", {"--rate", "--burst-rate", "--every", "--for", "--duration"}, {}},
      {"step", {"--from", "--to", "--hold"}, {}},
  };
  return kShapes;
}

bool In(const std::vector<std::string>& names, const std::string& name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

std::string Joined(const std::vector<std::string>& words) {
  std::string text;
  for (const std::string& word : words) text += (text.empty() ? "" : " ") + word;
  return text;
}

void CheckOptions(const ShapeOptions& o) {
  const auto shape = std::find_if(Shapes().begin(), Shapes().end(), [&](const Shape& s) { return o.shape == s.name; });
  if (shape == Shapes().end()) {
    throw std::invalid_argument("--shape is '" + o.shape + "', allowed: constant ramp burst step");
  }
  std::vector<std::string> allowed = shape->needs;
  allowed.insert(allowed.end(), shape->takes.begin(), shape->takes.end());
  for (const Named& option : kNamed) {
    const bool has = (o.*option.value).has_value();
    if (!has && In(shape->needs, option.name)) {
      throw std::invalid_argument("--shape " + o.shape + " needs " + option.name + "; it takes " + Joined(allowed));
    }
    if (has && !In(allowed, option.name)) {
      throw std::invalid_argument(std::string(option.name) + " does not go with --shape " + o.shape + ", which takes " +
                                  Joined(allowed));
    }
  }
}

// Collects phases, one after another.
class Lines {
 public:
  void Add(double for_s, Json phase) {
    if (for_s <= 0) return;
    phase["from_s"] = at_s_;
    phase["to_s"] = at_s_ += for_s;
    phases_.push_back(std::move(phase));
  }
  double duration_s() const { return at_s_; }
  const std::vector<Json>& phases() const { return phases_; }

 private:
  double at_s_ = 0;
  std::vector<Json> phases_;
};

Json Rise(double from, double to) { return {{"rate_from", from}, {"rate_to", to}}; }

Lines PhasesOf(const ShapeOptions& o) {
  Lines lines;
  if (o.shape == "constant") {
    lines.Add(*o.duration_s, {{"rate", *o.rate}});
  } else if (o.shape == "ramp") {
    lines.Add(*o.over_s, Rise(*o.from, *o.to));
    lines.Add(o.hold_s.value_or(0), {{"rate", *o.to}});
    lines.Add(o.down_s.value_or(0), Rise(*o.to, *o.from));
  } else if (o.shape == "burst") {
    // The first burst comes in the middle of its period, so that a run begins and ends at the base rate.
    const Json burst = {
        {"first_s", *o.every_s / 2}, {"every_s", *o.every_s}, {"for_s", *o.for_s}, {"rate", *o.burst_rate}};
    lines.Add(*o.duration_s, {{"rate", *o.rate}, {"burst", burst}});
  } else {
    lines.Add(*o.hold_s, {{"rate", *o.from}});
    lines.Add(*o.hold_s, {{"rate", *o.to}});
    lines.Add(*o.hold_s, {{"rate", *o.from}});
  }
  if (lines.duration_s() <= 0) throw std::invalid_argument("--shape " + o.shape + ": it lasts no time at all");
  return lines;
}

}  // namespace

bool ShapeOptions::given() const {
  return !shape.empty() || !cpu.empty() || !sleep.empty() || even ||
         std::any_of(std::begin(kNamed), std::end(kNamed),
                     [&](const Named& n) { return (this->*n.value).has_value(); });
}

Trace MakeShape(const ShapeOptions& options, double cores) {
  CheckOptions(options);
  const Lines lines = PhasesOf(options);
  Json task = Json::object();
  if (!options.cpu.empty()) task["cpu_s"] = ParseTaskTime(options.cpu);
  if (!options.sleep.empty()) task["blocked_s"] = ParseTaskTime(options.sleep);
  std::stringstream text;
  text << Json{{"trace", options.shape}, {"cores", cores}, {"duration_s", lines.duration_s()}, {"tasks", {task}}}
       << "\n";
  for (Json phase : lines.phases()) {
    if (options.even) phase["spacing"] = "even";
    text << phase << "\n";
  }
  return ParseTrace(text, "--shape " + options.shape);
}

}  // namespace workpool_cli
