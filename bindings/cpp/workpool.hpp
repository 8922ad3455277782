// SPDX-License-Identifier: Apache-2.0
//
// workpool.hpp: libworkpool for C++17 and later, headers only, over the C interface, workpool.h.
// Include this one; its parts, in workpool/, may be cut differently in another version.
//
//   workpool::pool              a worker pool: submit, post, batches, loops, stats, tune, close
//   workpool::task_options      rules of one task: order, times, retries, token, completion queue
//   workpool::ticket<R>         one submitted task, to wait for (in tasks too), to time, to cancel
//   workpool::group             a set of tasks that is waited for as one
//   workpool::cancel_token      asks many tasks to stop
//   workpool::completion_queue  the ends of many tasks, for one reader with a loop of its own
//   workpool::policy            how a pool finds its number of workers, also by your own functions
//   workpool::budget            one cap for the workers of several pools
//   workpool::task_context      a running task's view of itself: fork_join, post, should_stop
//   workpool::error             a refused call, or a task that never ran
//   workpool::retry             what a task throws to be run again
//
// Tasks: any callables. One that takes a task_context& as its first parameter is given its own. A
// callable and its arguments are copied or moved into one allocation, called once, as rvalues (as
// by std::async), and destroyed exactly once: before the future is ready if they ran, and also if
// they never run. With task_options a task may run more than once, so it is called with lvalues.
//
// Exceptions: those of a task reach whoever waits for it: through the future, ticket::get,
// group::wait, parallel_for or fork_join. Those of post() have no taker: the pool counts the task
// as failed. Of several attempts only the last one's counts. The library's own refusals are thrown
// as workpool::error with code (POOL_E_...) and text; what the refused call took by value is gone
// then, and nothing of it has run.
//
// Failing: a task fails by throwing. The code in its result is POOL_E_EXCEPTION, POOL_RETRY for a
// workpool::retry, and for a workpool::error with a code of the task's own, <= -1000, that code.
//
// Threads: every member may be called from any thread, tasks included, at the same time. Moving,
// assigning and destroying an object may not coincide with other calls on it.
//
// Waiting in a task: group::wait, ticket::get, parallel_for and fork_join run what they wait for,
// or another worker stands in, so that they never starve the pool. std::future::get does neither:
// in a task of the same pool it holds its worker idle, and when all workers do so nothing moves.
#ifndef WORKPOOL_WORKPOOL_HPP_
#define WORKPOOL_WORKPOOL_HPP_

#include <workpool/workpool.h>

#include <workpool/budget.hpp>
#include <workpool/choices.hpp>
#include <workpool/completions.hpp>
#include <workpool/context.hpp>
#include <workpool/coroutine.hpp>
#include <workpool/error.hpp>
#include <workpool/fork_join.hpp>
#include <workpool/group.hpp>
#include <workpool/options.hpp>
#include <workpool/policy.hpp>
#include <workpool/pool.hpp>
#include <workpool/result.hpp>
#include <workpool/task_options.hpp>
#include <workpool/ticket.hpp>
#include <workpool/time.hpp>
#include <workpool/token.hpp>

#endif  // WORKPOOL_WORKPOOL_HPP_
