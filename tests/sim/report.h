// Report: what came of policies on traces, as a table, as JSON, and as CSV over time.
#pragma once

#include <string>

#include "contest.h"

namespace workpool::sim {

void PrintTable(const Contest& contest);
void PrintJson(const Contest& contest);
// False: the file cannot be written.
[[nodiscard]] bool WriteSeries(const std::string& path, const Result& result, double piece_s);

}  // namespace workpool::sim
