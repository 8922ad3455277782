// The public header's types and codes under the names used inside: one place where the floors meet the
// contract.
#pragma once

#include <workpool/workpool.h>

namespace workpool {

using Status = pool_status_t;
using RunFn = pool_run_fn;
using DoneFn = pool_done_fn;
using DropFn = pool_drop_fn;
using RangeFn = pool_range_fn;
using HookFn = pool_hook_fn;

}  // namespace workpool
