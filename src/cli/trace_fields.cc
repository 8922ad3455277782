#include "trace_fields.h"

#include <algorithm>
#include <cmath>
#include <sstream>
#include <utility>

namespace workpool_cli {

TraceFields::TraceFields(const Json& json, std::string place, std::string what)
    : json_(json), place_(std::move(place)), what_(std::move(what)) {
  if (!json_.is_object()) Refuse(what_ + " is not an object {...}");
}

void TraceFields::Refuse(const std::string& text) const { throw TraceError(place_ + ": " + text); }

bool TraceFields::Has(const char* name) {
  if (std::find(known_.begin(), known_.end(), name) == known_.end()) known_.push_back(name);
  return json_.contains(name);
}

double TraceFields::Number(const char* name, double fallback, double low, double high) {
  if (!Has(name)) return fallback;
  const Json& value = json_.at(name);
  const double number = value.is_number() ? value.get<double>() : NAN;
  if (!(number >= low && number <= high)) {
    std::ostringstream text;
    text << what_ << ": " << name << " is " << value.dump() << ", allowed: a number from " << low << " to " << high;
    Refuse(text.str());
  }
  return number;
}

double TraceFields::Needed(const char* name, double low, double high) {
  if (!json_.contains(name)) Refuse(what_ + " needs " + name);
  return Number(name, 0, low, high);
}

uint32_t TraceFields::Count(const char* name, double high) {
  const double number = Number(name, 0, 0, high);
  if (number != std::floor(number)) Refuse(what_ + ": " + name + " is not a whole number");
  return static_cast<uint32_t>(number);
}

std::string TraceFields::Text(const char* name) {
  if (!Has(name)) return "";
  if (!json_.at(name).is_string()) Refuse(what_ + ": " + name + " is not a text");
  return json_.at(name).get<std::string>();
}

const Json& TraceFields::List(const char* name) {
  static const Json kNone = Json::array();
  if (!Has(name)) return kNone;
  if (!json_.at(name).is_array()) Refuse(what_ + ": " + name + " is not a list [...]");
  return json_.at(name);
}

Distribution TraceFields::Time(const char* name) {
  Distribution time;
  if (!Has(name)) return time;
  if (!json_.at(name).is_object()) {
    time.mean_s = Number(name, 0, 0, kTimeMaxS);
    return time;
  }
  TraceFields inner = Inner(json_.at(name), name);
  const bool low = inner.Has("low"), high = inner.Has("high");
  if (low || high) {
    time.shape = Distribution::Shape::kUniform;
    time.low_s = inner.Needed("low", 0, kTimeMaxS);
    time.high_s = inner.Needed("high", time.low_s, kTimeMaxS);
    time.mean_s = (time.low_s + time.high_s) / 2;
  } else {
    time.mean_s = inner.Needed("mean", 0, kTimeMaxS);
    time.cv = inner.Number("cv", 0.4, 0, 10);
    if (time.cv > 0 && time.mean_s > 0) time.shape = Distribution::Shape::kGamma;
  }
  inner.Done();
  return time;
}

int TraceFields::Named(const char* name, const std::vector<std::string>& names) {
  const std::string wanted = Text(name);
  if (wanted.empty()) return -1;
  const auto found = std::find(names.begin(), names.end(), wanted);
  if (found != names.end()) return static_cast<int>(found - names.begin());
  std::string text = std::string(name) + " '" + wanted + "' is not in the header, which has:";
  for (const std::string& known : names) text += " " + known;
  Refuse(names.empty() ? text + " none" : text);
}

void TraceFields::Done() const {
  for (const auto& [name, value] : json_.items()) {
    if (std::find(known_.begin(), known_.end(), name) != known_.end()) continue;
    std::string text = what_ + " has no field '" + name + "', allowed:";
    for (const std::string& known : known_) text += " " + known;
    Refuse(text);
  }
}

}  // namespace workpool_cli
