#include "load_time.h"

#include <charconv>
#include <iterator>
#include <stdexcept>
#include <string_view>

namespace workpool_cli {
namespace {

struct Unit {
  std::string_view name;
  double s;
};
constexpr Unit kUnits[] = {{"", 1}, {"ns", 1e-9}, {"us", 1e-6}, {"ms", 1e-3}, {"s", 1}, {"min", 60}};
constexpr double kMostS = 1e6;  // as in a trace

bool ParseNumber(std::string_view text, double* number, std::string_view* rest) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), *number);
  *rest = text.substr(static_cast<size_t>(end - text.data()));
  return error == std::errc() && *number >= 0;
}

}  // namespace

double ParseTimeS(const std::string& text) {
  double number = 0;
  std::string_view rest;
  if (ParseNumber(text, &number, &rest)) {
    for (const Unit& unit : kUnits) {
      if (rest == unit.name && number * unit.s <= kMostS) return number * unit.s;
    }
  }
  throw std::invalid_argument("'" + text +
                              "' is no time; a number with ns, us, ms, s or min is one, at most 1000000 s: 1.5ms");
}

nlohmann::json ParseTaskTime(const std::string& text) {
  const size_t dots = text.find("..");
  if (dots != std::string::npos) {
    const double low = ParseTimeS(text.substr(0, dots)), high = ParseTimeS(text.substr(dots + 2));
    if (high < low) throw std::invalid_argument("'" + text + "' ends before it begins");
    return {{"low", low}, {"high", high}};
  }
  constexpr std::string_view kGamma = "gamma(";
  if (text.compare(0, kGamma.size(), kGamma) != 0) return ParseTimeS(text);
  const size_t comma = text.find(',');
  double cv = 0;
  std::string_view rest;
  if (comma == std::string::npos || !ParseNumber(std::string_view(text).substr(comma + 1), &cv, &rest) || rest != ")" ||
      cv > 10) {
    throw std::invalid_argument("'" + text + "' is not like gamma(40ms,0.4): mean, and deviation / mean up to 10");
  }
  return {{"mean", ParseTimeS(text.substr(kGamma.size(), comma - kGamma.size()))}, {"cv", cv}};
}

}  // namespace workpool_cli
