// Runs one test with one strategy over many schedules.
#pragma once

#include <cstdint>
#include <string>

#include "model/explorer.h"

namespace workpool::model {

struct SearchPlan {
  Strategy::Mode mode = Strategy::Mode::kDepthFirst;
  double budget_s = 1;
  uint64_t schedules_max = UINT64_MAX;
  uint64_t seed = 1;
  int pct_depth = 3;
  std::string choices;  // of a replay
};

struct SearchResult {
  uint64_t schedules = 0;
  uint64_t steps = 0;
  double seconds = 0;
  bool complete = false;  // depth-first: nothing is left within the bounds
  bool failed = false;    // a schedule failed, or the outcomes are not as they should be
  std::string failure;    // what failed, how to repeat it
  std::string found;      // the failure that options.finds asks for
};

SearchResult Search(const Test& test, const SearchPlan& plan);

}  // namespace workpool::model
