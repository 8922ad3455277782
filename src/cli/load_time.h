// Times on the command line: "30ms", and times of tasks: "30ms", "30ms..120ms", "gamma(40ms,0.4)".
#pragma once

#include <nlohmann/json.hpp>
#include <string>

namespace workpool_cli {

// In seconds. Units are ns, us, ms, s, min; without one it is seconds. Throws std::invalid_argument, which tells what
// is allowed.
[[nodiscard]] double ParseTimeS(const std::string& text);

// As a trace writes it: a number, {"low":,"high":} or {"mean":,"cv":}. Throws as above.
[[nodiscard]] nlohmann::json ParseTaskTime(const std::string& text);

}  // namespace workpool_cli
