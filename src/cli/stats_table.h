// The pool's own account of a run.
#pragma once

#include <workpool/workpool.h>

namespace workpool_cli {

void PrintStats(const pool_stats_t& stats);

}  // namespace workpool_cli
