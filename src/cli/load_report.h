// What a load run has shown, for people and for programs.
#pragma once

#include <nlohmann/json.hpp>

#include "load_plan.h"
#include "load_result.h"

namespace workpool_cli {

// Before the run: what is going to happen.
void PrintPlan(const LoadPlan& plan);
void PrintResult(const LoadResult& result);
[[nodiscard]] nlohmann::json ResultJson(const LoadPlan& plan, const LoadResult& result);

// "t_us cpu_us blocked_us cpu2_us" for each arrival; CPU under a mutex is in cpu_us.
void PrintSchedule(const LoadPlan& plan);

}  // namespace workpool_cli
