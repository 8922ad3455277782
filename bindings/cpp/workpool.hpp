// SPDX-License-Identifier: Apache-2.0
//
// workpool.hpp: libworkpool for C++17 and later, in one header over the C interface, workpool.h.
//
//   workpool::pool              a worker pool: submit, post, batches, loops, stats, tune, close
//   workpool::task_options      rules of one task: order, times, retries, token, completion queue
//   workpool::ticket<R>         one submitted task, to wait for (in tasks too), to time, to cancel
//   workpool::group             a set of tasks that is waited for as one
//   workpool::cancel_token      asks many tasks to stop
//   workpool::completion_queue  the ends of many tasks, for one reader with a loop of its own
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

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <functional>
#include <future>
#include <iterator>
#include <memory>
#include <mutex>
#include <optional>
#include <stdexcept>
#include <string>
#include <tuple>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#if defined(__GLIBCXX__)
#include <cxxabi.h>
#endif
#if defined(__cpp_impl_coroutine)
#include <coroutine>
#endif

// ThreadSanitizer in this translation unit?
#if defined(__SANITIZE_THREAD__)
#define WORKPOOL_THREAD_SANITIZER 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define WORKPOOL_THREAD_SANITIZER 1
#endif
#endif

namespace workpool {

class pool;
class group;
class task_context;
class cancel_token;
class completion_queue;

// A timeout without limit.
inline constexpr std::chrono::nanoseconds forever{POOL_FOREVER};

// A refused call, or the fate of a task that never ran: code() is one of POOL_E_..., what() says
// which function refused which value and what to do.
class error : public std::runtime_error {
 public:
  error(std::int32_t code, const std::string& text) : std::runtime_error(text), code_(code) {}
  explicit error(std::int32_t code) : error(code, pool_strerror(code)) {}
  std::int32_t code() const noexcept { return code_; }

 private:
  std::int32_t code_;
};

// Thrown by a task to be run again, as retry_options say. Where there is no further attempt the
// task has failed with it.
class retry : public error {
 public:
  retry() : error(POOL_RETRY) {}
  explicit retry(const std::string& why) : error(POOL_RETRY, why) {}
};

// What a submit does when a queue limit is reached.
enum class on_full : std::int32_t {
  inherit = POOL_ON_FULL_DEFAULT,          // as the pool says; in a pool: reject
  reject = POOL_ON_FULL_REJECT,            // throws error FULL at once
  block = POOL_ON_FULL_BLOCK,              // waits for room, at most submit_timeout
  caller_runs = POOL_ON_FULL_CALLER_RUNS,  // runs the task in the submit
  drop_oldest = POOL_ON_FULL_DROP_OLDEST,  // sheds the task that has waited longest
  drop_lowest = POOL_ON_FULL_DROP_LOWEST,  // sheds one of lower priority, else error FULL
};

// What a submit does when a rate limit has no token for it.
enum class on_rate : std::int32_t {
  inherit = POOL_ON_RATE_DEFAULT,  // as the class, else the pool says; there: delay
  reject = POOL_ON_RATE_REJECT,    // throws error RATE at once
  block = POOL_ON_RATE_BLOCK,      // waits for a token, at most submit_timeout
  delay = POOL_ON_RATE_DELAY,      // the task waits for it in the pool, without a worker
};

// Which waiting task a worker takes.
enum class strategy : std::int32_t {
  stealing = POOL_STRATEGY_STEALING,  // own newest first, others' oldest; lanes by priority
  fifo = POOL_STRATEGY_FIFO,          // one queue for all, in the order of arrival
  lifo = POOL_STRATEGY_LIFO,          // one queue for all, newest first
  priority = POOL_STRATEGY_PRIORITY,  // one queue for all, highest first, fifo among equals
};

// What a period is counted from.
enum class period_mode : std::int32_t {
  fixed_rate = POOL_PERIOD_FIXED_RATE,    // runs begin on a grid; what was missed is left out
  fixed_delay = POOL_PERIOD_FIXED_DELAY,  // from the end of one run to the beginning of the next
};

// How the delay before a retry is spread at random.
enum class jitter : std::int32_t {
  full = POOL_JITTER_DEFAULT,  // between 0 and the delay
  equal = POOL_JITTER_EQUAL,   // between half of the delay and the delay
  none = POOL_JITTER_NONE,
};

// What a retry follows on.
enum class retry_on : std::int32_t {
  request = POOL_RETRY_ON_DEFAULT,  // a workpool::retry
  failure = POOL_RETRY_ON_FAILURE,  // any exception
};

// What an exception that leaves a posted task does. (Those of submitted tasks go to their futures.)
enum class on_exception : std::int32_t {
  capture = POOL_EXC_CAPTURE,      // the task has failed
  terminate = POOL_EXC_TERMINATE,  // std::terminate, with the throwing frames on the stack
};

// What a worker puts back after a task that has changed it.
enum class isolation : std::int32_t {
  none = POOL_ISOLATION_NONE,
  fp = POOL_ISOLATION_FP,      // floating-point control and errno
  full = POOL_ISOLATION_FULL,  // and all else that belongs to a thread
};

// How close() treats what is queued.
enum class close_mode : std::int32_t {
  drain = POOL_DRAIN,                  // run it all; own tasks may still submit
  cancel_queued = POOL_CANCEL_QUEUED,  // cancel what has not started
  cancel_all = POOL_CANCEL_ALL,        // and ask running tasks to stop
};

// At most count in each period, and burst of them at once.
struct rate_limit {
  std::uint64_t count = 0;             // 0: no limit
  std::chrono::nanoseconds period{0};  // 0: 1 s
  std::uint32_t burst = 0;             // 0: 1
};

// How a task ended: the fields of pool_result_t (outcome, code, attempts, worker, value, text),
// with its times as durations. text holds the what() of tasks with options.
struct result : pool_result_t {
  // From submit to the first start; to the end if it never ran.
  std::chrono::nanoseconds wait_time() const noexcept { return std::chrono::nanoseconds(wait_ns); }
  // Of the last run.
  std::chrono::nanoseconds run_time() const noexcept { return std::chrono::nanoseconds(run_ns); }
  // It ran longer than its run_timeout, at least once.
  bool overran() const noexcept { return (flags & POOL_RESULT_OVERRAN) != 0; }
};

// A task that runs: the fields of pool_running_t (worker, thread, state, ticket, attempt, name),
// with its times as durations.
struct running_task : pool_running_t {
  std::chrono::nanoseconds wall_time() const noexcept { return std::chrono::nanoseconds(wall_ns); }
  // CPU time of its thread meanwhile.
  std::chrono::nanoseconds cpu_time() const noexcept { return std::chrono::nanoseconds(cpu_ns); }
};

// How a pool is made. Zero is the library's default; workpool.h (pool_options_t) has limits and
// meanings.
struct options {
  std::uint32_t workers_min = 0;    // workers kept when idle
  std::uint32_t workers_max = 0;    // 0: automatic
  std::uint32_t workers_limit = 0;  // bound of worker_index()
  std::uint32_t prestart = 0;       // workers that the constructor starts and waits for
  std::chrono::nanoseconds keep_alive{0};
  std::uint64_t queue_limit = 0;  // POOL_UNLIMITED: none
  on_full when_full = on_full::inherit;
  std::chrono::nanoseconds submit_timeout{0};
  on_exception when_thrown = on_exception::capture;
  bool inherit_affinity = false;
  std::uint64_t stack_bytes = 0;
  std::string name = {};
  pool_log_fn log_fn = nullptr;  // must outlive the pool's threads
  void* log_user = nullptr;
  std::int32_t log_level = POOL_LOG_OFF;
  strategy queue_strategy = strategy::stealing;
  std::uint32_t lanes = 0;            // priorities with strategy::stealing; 0: 3
  std::chrono::nanoseconds aging{0};  // 0: 100 ms; forever: lanes do not age
  std::uint64_t lane_limit = 0;
  std::uint64_t queue_limit_bytes = 0;  // of the cost_bytes of waiting tasks
  rate_limit rate = {};
  on_rate when_rate = on_rate::inherit;
  std::chrono::nanoseconds codel_target{0};  // 0: queue time sheds nothing
  std::chrono::nanoseconds codel_interval{0};
  std::uint64_t retry_count = 0;  // the budget: retries in each retry_period; 0: no limit
  std::chrono::nanoseconds retry_period{0};
  // Callbacks may run several at once; what they throw is lost. This one is told of every task with
  // options or a ticket that failed for good, on the thread that ran it.
  std::function<void(const result&)> dead_letter = {};
  // Told when the tasks that wait reach queue_high, and when they have fallen to queue_low. These
  // two run on a thread that all pools share: be quick.
  std::function<void(bool above, std::uint64_t waiting)> watermark = {};
  std::uint64_t queue_high = 0;  // 0: off
  std::uint64_t queue_low = 0;
  // Told once of every run that lasts longer than stuck_after, 0: off.
  std::function<void(const running_task&)> stuck = {};
  std::chrono::nanoseconds stuck_after{0};
  isolation task_isolation = isolation::none;
  // "cpu", "io" or "batch": what suits a kind of task. Fields that are not zero go over it, and
  // over those options by name and value, as from a file of settings ({"aging_ms", "50"};
  // option_list() has all names).
  std::string preset = {};
  std::vector<std::pair<std::string, std::string>> by_name = {};
};

// When a task that failed is run again.
struct retry_options {
  std::uint32_t max = 0;                    // runs beyond the first, in a row without success
  std::chrono::nanoseconds first_delay{0};  // 0: 10 ms
  std::chrono::nanoseconds max_delay{0};    // 0: 30 s
  std::uint32_t factor_percent = 0;         // of one delay to the next; 0: 200
  jitter spread = jitter::full;
  retry_on when = retry_on::request;
};

// What retry_if is asked about.
struct failed_attempt {
  std::int32_t code;
  std::uint32_t attempt;      // from 1
  std::exception_ptr thrown;  // null for a post under on_exception::terminate
};

// A time on the steady clock, given as such or as a time from the submit.
class moment {
 public:
  moment() noexcept = default;  // never
  template <class D>
  moment(std::chrono::time_point<std::chrono::steady_clock, D> at)
      : ns_(std::chrono::duration_cast<std::chrono::nanoseconds>(at.time_since_epoch()).count()),
        kind_(kind::absolute) {}
  template <class Rep, class Period>
  moment(std::chrono::duration<Rep, Period> from_submit)
      : ns_(std::chrono::duration_cast<std::chrono::nanoseconds>(from_submit).count()),
        kind_(kind::relative) {}

  // By pool_now_ns, which is the same clock, for a submit at now_ns. 0: never.
  std::uint64_t to_ns(std::uint64_t now_ns) const noexcept {
    if (kind_ == kind::never) return 0;
    if (ns_ <= 0) return 1;  // it has passed
    const std::uint64_t ns = static_cast<std::uint64_t>(ns_);
    return kind_ == kind::absolute ? ns : now_ns + ns;
  }

 private:
  enum class kind { never, absolute, relative };
  std::int64_t ns_ = 0;
  kind kind_ = kind::never;
};

// The rules of one task: pool.submit({.priority = 1, .delay = 5ms}, f). Zero is the library's
// default; workpool.h (pool_task_t) has limits and meanings. What it points to must live until the
// submit has returned.
struct task_options {
  std::int32_t priority = 0;
  std::uint64_t key = 0;       // tasks of one key run one after another, in submit order
  std::uint32_t class_id = 0;  // see pool::set_class
  moment deadline = {};        // no run begins later
  std::chrono::nanoseconds queue_timeout{0};  // the same for the first run, from the submit
  std::chrono::nanoseconds run_timeout{0};    // asks a run that lasts longer to stop
  std::chrono::nanoseconds delay{0};          // before the first run
  std::chrono::nanoseconds period{0};         // one run after another, until it fails or is stopped
  period_mode period_by = period_mode::fixed_rate;
  retry_options retry = {};
  // Asked before each retry, on the thread that ran the task, if retry.max is set. What it throws
  // is a no.
  std::function<bool(const failed_attempt&)> retry_if = {};
  const cancel_token* token = nullptr;
  const completion_queue* completions = nullptr;
  std::uint64_t cost_bytes = 0;  // counts against options::queue_limit_bytes while it waits
  on_full when_full = on_full::inherit;
  std::chrono::nanoseconds submit_timeout{0};  // 0: the pool's
  on_rate when_rate = on_rate::inherit;
  std::string name = {};
};

// What the tasks of one class share.
struct class_options {
  std::uint32_t concurrency_max = 0;  // at most so many run at once; 0: any
  rate_limit rate = {};
  on_rate when_rate = on_rate::inherit;
  retry_options retry = {};          // for tasks whose own retry.max is 0
  pool_retry_fn retry_if = nullptr;  // its arg is the binding's own: judge by code and attempt
};

// How a parallel loop is cut.
struct loop_options {
  std::uint64_t grain = 0;             // most iterations of one piece; 0: chosen
  std::uint32_t participants_max = 0;  // most bodies at once; 0: pool::participants()
};

namespace detail {

[[noreturn]] inline void throw_status(pool_status_t status) {
  std::int32_t code = 0;
  char text[320];
  if (pool_last_error(&code, text, sizeof text, nullptr) == POOL_OK && code == status) {
    throw error(status, text);
  }
  throw error(status);
}

inline void check(pool_status_t status) {
  if (status != POOL_OK) throw_status(status);
}

// True for OK, false for TIMEOUT.
inline bool check_in_time(pool_status_t status) {
  if (status == POOL_E_TIMEOUT) return false;
  check(status);
  return true;
}

// An exception is freed by whoever lets it go last, the taker or the worker. ThreadSanitizer does
// not see the reference count inside libstdc++ that orders the taker's last look before the
// worker's free, and would report a race that is none: where it watches, exceptions are never
// freed.
inline std::exception_ptr kept(std::exception_ptr thrown) {
#if defined(WORKPOOL_THREAD_SANITIZER)
  static_cast<void>(new std::exception_ptr(thrown));
#endif
  return thrown;
}

// The code of a task that threw an error with this one.
inline std::int32_t task_code(std::int32_t thrown) {
  return thrown == POOL_RETRY || thrown <= -1000 ? thrown : POOL_E_EXCEPTION;
}

// What was thrown, if anything, and the code of a task that threw it.
struct attempt {
  std::exception_ptr thrown = nullptr;
  std::int32_t code = POOL_OK;
};

// Calls f. The unwinding of an ending thread (pthread_exit, pthread_cancel) is no exception that
// may be kept: it passes through.
template <class F>
attempt tried(F&& f) {
  try {
    std::forward<F>(f)();
    return {};
#if defined(__GLIBCXX__)
  } catch (const abi::__forced_unwind&) {
    throw;
#endif
  } catch (const error& e) {
    const std::int32_t code = task_code(e.code());
    return {kept(std::current_exception()), code};
  } catch (...) {
    return {kept(std::current_exception()), POOL_E_EXCEPTION};
  }
}

template <class F>
std::exception_ptr caught(F&& f) {
  return tried(std::forward<F>(f)).thrown;
}

// Why a task of this outcome has no result, where only the outcome is known.
inline std::int32_t cause_of(std::int32_t outcome, std::int32_t if_cancelled) {
  switch (outcome) {
    case POOL_EXPIRED:
      return POOL_E_EXPIRED;
    case POOL_SHED:
      return POOL_E_FULL;
    case POOL_FAILED:
      return POOL_E_THREADEXIT;  // it failed, and threw nothing
    default:
      return if_cancelled;
  }
}

inline error end_error(std::int32_t outcome, std::int32_t code) {
  if (outcome != POOL_SHED) return error(code);
  return error(code, code == POOL_E_TIMEOUT
                         ? "the task was shed: tasks waited longer than codel_target"
                         : "the task was shed: it made room for another one, or waited too long");
}

// A pool as tasks remember it. calls_drop: it was made here, so that its own drop is drop_box, and
// the calls that take no drop can be used. terminates: on_exception::terminate.
struct target {
  pool_t handle = 0;
  bool calls_drop = false;
  bool terminates = false;
};

// The callbacks of a pool, which are all given this as their user.
struct pool_callbacks {
  std::function<void(const result&)> dead_letter;
  std::function<void(bool above, std::uint64_t waiting)> watermark;
  std::function<void(const running_task&)> stuck;
  pool_callbacks* next = nullptr;

  static void on_dead_letter(void* user, void*, const pool_result_t* r) {
    result copy;
    static_cast<pool_result_t&>(copy) = *r;
    static_cast<void>(caught([&] { static_cast<pool_callbacks*>(user)->dead_letter(copy); }));
  }
  static void on_watermark(void* user, pool_t, std::int32_t above, std::uint64_t waiting) {
    static_cast<void>(
        caught([&] { static_cast<pool_callbacks*>(user)->watermark(above != 0, waiting); }));
  }
  static void on_stuck(void* user, pool_t, const pool_running_t* task) {
    running_task copy;
    static_cast<pool_running_t&>(copy) = *task;
    static_cast<void>(caught([&] { static_cast<pool_callbacks*>(user)->stuck(copy); }));
  }
};

inline std::unique_ptr<pool_callbacks> callbacks_of(const options& o) {
  if (!o.dead_letter && !o.watermark && !o.stuck) return nullptr;
  return std::unique_ptr<pool_callbacks>(
      new pool_callbacks{o.dead_letter, o.watermark, o.stuck, nullptr});
}

// A pool that is given up without waiting ends nobody knows when; its callbacks stay.
inline void keep_for_good(std::unique_ptr<pool_callbacks> callbacks) noexcept {
  static std::atomic<pool_callbacks*> all{nullptr};
  if (!callbacks) return;
  callbacks->next = all.load();
  while (!all.compare_exchange_weak(callbacks->next, callbacks.get())) {
  }
  static_cast<void>(callbacks.release());
}

// A field that was chosen. The others keep what the preset or the library says.
template <class T, class Value>
void choose(T& field, const Value& value) {
  T chosen;
  if constexpr (std::is_same_v<Value, std::chrono::nanoseconds>) {
    chosen = value.count();
  } else {
    chosen = static_cast<T>(value);
  }
  if (chosen != T{}) field = chosen;
}

// The C form of o; it points into o and callbacks.
inline pool_options_t options_of(const options& o, pool_callbacks* callbacks) {
  pool_options_t c;
  check(pool_options_init(&c, sizeof c));
  if (!o.preset.empty()) check(pool_options_preset(&c, o.preset.c_str()));
  choose(c.workers_min, o.workers_min);
  choose(c.workers_max, o.workers_max);
  choose(c.workers_limit, o.workers_limit);
  choose(c.prestart, o.prestart);
  choose(c.keep_alive_ns, o.keep_alive);
  choose(c.queue_limit, o.queue_limit);
  choose(c.on_full, o.when_full);
  choose(c.submit_timeout_ns, o.submit_timeout);
  choose(c.on_exception, o.when_thrown);
  choose(c.inherit_affinity, o.inherit_affinity);
  choose(c.stack_bytes, o.stack_bytes);
  c.name = o.name.empty() ? nullptr : o.name.c_str();
  c.log_fn = o.log_fn;
  c.log_user = o.log_user;
  choose(c.log_level, o.log_level);
  choose(c.strategy, o.queue_strategy);
  choose(c.lanes, o.lanes);
  choose(c.aging_ns, o.aging);
  choose(c.lane_limit, o.lane_limit);
  choose(c.queue_limit_bytes, o.queue_limit_bytes);
  choose(c.rate_count, o.rate.count);
  choose(c.rate_period_ns, o.rate.period);
  choose(c.rate_burst, o.rate.burst);
  choose(c.on_rate, o.when_rate);
  choose(c.codel_target_ns, o.codel_target);
  choose(c.codel_interval_ns, o.codel_interval);
  choose(c.retry_count, o.retry_count);
  choose(c.retry_period_ns, o.retry_period);
  choose(c.queue_high, o.queue_high);
  choose(c.queue_low, o.queue_low);
  choose(c.stuck_after_ns, o.stuck_after);
  choose(c.task_isolation, o.task_isolation);
  c.dead_letter = o.dead_letter ? &pool_callbacks::on_dead_letter : nullptr;
  c.watermark = o.watermark ? &pool_callbacks::on_watermark : nullptr;
  c.stuck = o.stuck ? &pool_callbacks::on_stuck : nullptr;
  c.dead_letter_user = c.watermark_user = c.stuck_user = callbacks;
  for (const auto& [name, value] : o.by_name) {
    check(pool_options_set(&c, name.c_str(), value.c_str()));
  }
  return c;
}

// ---- boxes: what the arg of every task points to --------------------------------------------
// A box is owned by its creator until the pool has accepted it, then by the pool until drop.

struct box {
  void (*end)(box*, std::int32_t outcome) noexcept;  // deletes it; outcome < 0: never accepted
};

inline constexpr std::int32_t kNotAccepted = -1;

inline void drop_box(void* arg, std::int32_t outcome) {
  box* b = static_cast<box*>(arg);
  b->end(b, outcome);
}

struct end_not_accepted {
  void operator()(box* b) const noexcept { b->end(b, kNotAccepted); }
};
using box_owner = std::unique_ptr<box, end_not_accepted>;

// Submits one box by the cheapest call that knows how to drop it.
inline void submit_box(target where, pool_run_fn run, box_owner owner) {
  if (where.calls_drop) {
    check(pool_submit(where.handle, run, owner.get()));
  } else {
    pool_task_t task;
    check(pool_task_init(&task, sizeof task));
    task.run = run;
    task.drop = drop_box;
    task.arg = owner.get();
    check(pool_submit_task(where.handle, &task, nullptr));
  }
  static_cast<void>(owner.release());
}

}  // namespace detail

// ---- cancel_token -------------------------------------------------------------------------------

// Asks many tasks to stop: those under it (task_options::token) and under its children. Tasks of
// any pools; move-only. Destroying it cancels nothing. With a stop token of the standard library:
// std::stop_callback stop(token, [&] { tasks.cancel(); });
class cancel_token {
 public:
  cancel_token() : cancel_token(pool_token_t{0}) {}
  cancel_token(cancel_token&& other) noexcept : handle_(std::exchange(other.handle_, 0)) {}
  cancel_token& operator=(cancel_token&& other) noexcept {
    cancel_token(std::move(other)).swap(*this);
    return *this;
  }
  ~cancel_token() {
    if (handle_ != 0) pool_token_release(handle_);
  }
  void swap(cancel_token& other) noexcept { std::swap(handle_, other.handle_); }

  // One that is cancelled with this one, and may be cancelled alone.
  cancel_token child() const { return under(handle_); }
  // The same for a token that somebody else owns, say task_context::token().
  static cancel_token under(pool_token_t parent) { return cancel_token(parent); }

  // Tasks that wait are cancelled, those that run are asked to stop, new ones are refused with
  // error CANCELLED. reason is the code of those cancelled: 0 for POOL_E_CANCELLED, or one of your
  // own, at most -1000. The first one stays.
  void cancel(std::int32_t reason = 0) { detail::check(pool_token_cancel(handle_, reason)); }
  // 0: it is not cancelled.
  std::int32_t reason() const {
    const std::int32_t reason = pool_token_reason(handle_);
    if (reason < 0 && reason > -1000 && reason != POOL_E_CANCELLED) detail::throw_status(reason);
    return reason;
  }
  bool cancelled() const { return reason() != 0; }

  pool_token_t native_handle() const noexcept { return handle_; }

 private:
  explicit cancel_token(pool_token_t parent) { detail::check(pool_token_create(parent, &handle_)); }

  pool_token_t handle_ = 0;
};

// ---- completion_queue ---------------------------------------------------------------------------

// The end of one task: the fields of pool_completion_t (outcome, code, attempts, ticket, value),
// with its times as durations. ticket is what ticket<R>::native_handle() says; 0 for posts, futures
// and groups. arg is the binding's own.
struct completion : pool_completion_t {
  std::chrono::nanoseconds wait_time() const noexcept { return std::chrono::nanoseconds(wait_ns); }
  std::chrono::nanoseconds run_time() const noexcept { return std::chrono::nanoseconds(run_ns); }
};

// The ends of at most capacity tasks at a time (task_options::completions), of any pools, for one
// reader. A submit that finds no place is refused with error FULL, so that no completion is ever
// lost. Move-only. Destroying it lets the tasks go on.
class completion_queue {
 public:
  explicit completion_queue(std::uint32_t capacity) {
    detail::check(pool_cq_create(capacity, &handle_));
  }
  completion_queue(completion_queue&& other) noexcept : handle_(std::exchange(other.handle_, 0)) {}
  completion_queue& operator=(completion_queue&& other) noexcept {
    completion_queue(std::move(other)).swap(*this);
    return *this;
  }
  ~completion_queue() {
    if (handle_ != 0) pool_cq_release(handle_);
  }
  void swap(completion_queue& other) noexcept { std::swap(handle_, other.handle_); }

  // Readable while completions wait, for epoll and its like; neither to be read nor closed.
  int fd() const {
    const std::int32_t fd = pool_cq_fd(handle_);
    if (fd < 0) detail::throw_status(fd);
    return fd;
  }

  // Takes the oldest completions, at most as many as fit, and tells how many. Waits for the first;
  // 0 if the timeout came before it. Throws error CLOSED once it is detached.
  std::size_t poll(completion* out, std::size_t most, std::chrono::nanoseconds timeout = {}) const {
    static_assert(sizeof(completion) == sizeof(pool_completion_t),
                  "an array of one is one of both");
    const std::uint32_t cap = most < UINT32_MAX ? static_cast<std::uint32_t>(most) : UINT32_MAX;
    std::uint32_t n = 0;
    detail::check_in_time(pool_cq_poll(handle_, out, sizeof *out, cap, timeout.count(), &n));
    return n;
  }
  // Into an array, a span or a vector, whose size says how many fit.
  template <class Buffer>
  auto poll(Buffer&& buffer, std::chrono::nanoseconds timeout = {}) const
      -> decltype(static_cast<void>(std::data(buffer)), std::size_t{}) {
    return poll(std::data(buffer), std::size(buffer), timeout);
  }

  // Gives up what is to come: completions are thrown away, submits that name it are refused. The
  // tasks go on.
  void detach() { detail::check(pool_cq_detach(handle_)); }

  pool_cq_t native_handle() const noexcept { return handle_; }

 private:
  pool_cq_t handle_ = 0;
};

// ---- task_context -----------------------------------------------------------------------------

// A running task's view of itself. Valid during that run and on its thread only, also as a copy.
class task_context {
 public:
  task_context(pool_ctx_t* ctx, detail::target where) noexcept : ctx_(ctx), where_(where) {}

  // True if the task was asked to stop: by its ticket, group or token, its run_timeout, or
  // close_mode::cancel_all.
  bool should_stop() const noexcept { return pool_ctx_should_stop(ctx_) != 0; }

  // Which run of the task this is, from 1.
  std::uint32_t attempt() const noexcept { return pool_ctx_attempt(ctx_); }
  // The task's deadline; time_point::max() if it has none.
  std::chrono::steady_clock::time_point deadline() const noexcept {
    using clock = std::chrono::steady_clock;
    const std::uint64_t ns = pool_ctx_deadline_ns(ctx_);
    if (ns > static_cast<std::uint64_t>(INT64_MAX)) return clock::time_point::max();
    return clock::time_point(
        std::chrono::duration_cast<clock::duration>(std::chrono::nanoseconds(ns)));
  }
  // The task's token, or 0; its creator owns it. cancel_token::under makes a child of it.
  pool_token_t token() const noexcept { return pool_ctx_token(ctx_); }

  // The 64-bit value in the task's result.
  void set_value(std::uint64_t value) { detail::check(pool_ctx_set_value(ctx_, value)); }

  // A child that nobody waits for, on this worker's own queue, exempt from the queue limit.
  template <class F, class... Args>
  void post(F&& f, Args&&... args);

  // Calls f here while g may run on another worker, and returns when both have ended: a std::pair
  // of their values (std::monostate for void), or nothing if both return void. If either throws, so
  // does this call, still after both have ended; f's exception goes first. Allocates nothing. f and
  // g may take a task_context& of their own to fork further.
  template <class F, class G>
  auto fork_join(F&& f, G&& g);

  pool_ctx_t* native_handle() const noexcept { return ctx_; }

 private:
  pool_ctx_t* ctx_;
  detail::target where_;
};

namespace detail {

// Calls f(args...), or f(ctx, args...) if that is the way it can be called.
template <class F, class... Args>
decltype(auto) call_task(task_context& ctx, F&& f, Args&&... args) {
  if constexpr (std::is_invocable_v<F, Args...>) {
    return std::invoke(std::forward<F>(f), std::forward<Args>(args)...);
  } else {
    static_assert(std::is_invocable_v<F, task_context&, Args...>,
                  "a task is called as f(args...) or f(task_context&, args...)");
    return std::invoke(std::forward<F>(f), ctx, std::forward<Args>(args)...);
  }
}

template <class F, class... Args>
using call_result_t =
    decltype(call_task(std::declval<task_context&>(), std::declval<F>(), std::declval<Args>()...));

// A callable with its arguments, called once.
template <class F, class... Args>
class bound_call {
 public:
  using result = call_result_t<F, Args...>;

  template <class... Parts>
  explicit bound_call(std::in_place_t, Parts&&... parts) : parts_(std::forward<Parts>(parts)...) {}

  result operator()(task_context& ctx) {
    return std::apply(
        [&ctx](F& f, Args&... args) -> result {
          return call_task(ctx, std::move(f), std::move(args)...);
        },
        parts_);
  }

 private:
  std::tuple<F, Args...> parts_;
};

template <class F, class... Args>
using bound_t = bound_call<std::decay_t<F>, std::decay_t<Args>...>;

// A task whose result nobody takes. Its exceptions leave it, and the pool handles them.
template <class Call>
struct post_box final : box {
  template <class... Parts>
  explicit post_box(target t, Parts&&... parts)
      : box{&post_box::end_it}, where(t), call(std::in_place, std::forward<Parts>(parts)...) {}

  static std::int32_t run(void* arg, pool_ctx_t* ctx) {
    post_box* self = static_cast<post_box*>(static_cast<box*>(arg));
    task_context context(ctx, self->where);
    static_cast<void>(self->call(context));
    return POOL_OK;
  }
  static void end_it(box* b, std::int32_t) noexcept { delete static_cast<post_box*>(b); }

  target where;
  Call call;
};

// A task whose result goes to a future.
template <class Call>
struct promise_box final : box {
  using result = typename Call::result;

  template <class... Parts>
  explicit promise_box(target t, Parts&&... parts)
      : box{&promise_box::end_it},
        where(t),
        call(std::in_place, std::in_place, std::forward<Parts>(parts)...) {}

  static std::int32_t run(void* arg, pool_ctx_t* ctx) {
    promise_box* self = static_cast<promise_box*>(static_cast<box*>(arg));
    attempt made = tried([self, ctx] { self->run_call(ctx); });
    if (!made.thrown) return POOL_OK;
    // The handler is left already, so that the last reference to the exception is the taker's.
    self->call.reset();
    self->fail(std::move(made.thrown));
    return made.code;
  }

  // Tells why a task that never ran, or did not come back, has ended.
  static void done(void* arg, const pool_result_t* r) {
    promise_box* self = static_cast<promise_box*>(static_cast<box*>(arg));
    if (r->code != POOL_OK) self->cause = r->code;
  }

  static void end_it(box* b, std::int32_t outcome) noexcept {
    promise_box* self = static_cast<promise_box*>(b);
    if (!self->settled) {
      // A plain task is cancelled only by the end of its pool.
      if (self->cause == POOL_OK) self->cause = cause_of(outcome, POOL_E_CLOSED);
      self->call.reset();
      // Without memory for the error, the promise's end leaves a broken_promise.
      static_cast<void>(caught([self, outcome] {
        self->fail(kept(std::make_exception_ptr(end_error(outcome, self->cause))));
      }));
    }
    delete self;
  }

  void run_call(pool_ctx_t* ctx) {
    task_context context(ctx, where);
    if constexpr (std::is_void_v<result>) {
      (*call)(context);
      call.reset();
      promise.set_value();
    } else {
      result value = (*call)(context);
      call.reset();
      promise.set_value(std::forward<result>(value));
    }
    settled = true;
  }

  void fail(std::exception_ptr thrown) {
    settled = true;
    promise.set_exception(std::move(thrown));
  }

  target where;
  bool settled = false;          // the promise has its value or exception
  std::int32_t cause = POOL_OK;  // error code if the task never comes to a result, if known
  std::optional<Call> call;      // empty once called
  std::promise<result> promise;
};

// ---- tasks with options -------------------------------------------------------------------------

// A callable with its arguments, called as often as need be.
template <class F, class... Args>
class kept_call {
 public:
  using result = call_result_t<F&, Args&...>;

  template <class... Parts>
  explicit kept_call(std::in_place_t, Parts&&... parts) : parts_(std::forward<Parts>(parts)...) {}

  result operator()(task_context& ctx) {
    return std::apply([&ctx](F& f, Args&... args) -> result { return call_task(ctx, f, args...); },
                      parts_);
  }

 private:
  std::tuple<F, Args...> parts_;
};

template <class F, class... Args>
using kept_t = kept_call<std::decay_t<F>, std::decay_t<Args>...>;

// What all boxes of tasks with options have.
struct rules_box : box {
  rules_box(void (*e)(box*, std::int32_t) noexcept, target t, const task_options& o)
      : box{e}, where(t), retry_if(o.retry_if) {}

  static rules_box& of(void* arg) { return *static_cast<rules_box*>(static_cast<box*>(arg)); }
  static void done(void* arg, const pool_result_t* r) { of(arg).cause = r->code; }
  static std::int32_t may_retry(void* arg, std::int32_t code, std::uint32_t attempt_number) {
    bool wanted = false;
    const rules_box& self = of(arg);
    static_cast<void>(caught([&] {
      wanted = self.retry_if(failed_attempt{code, attempt_number, self.thrown});
    }));
    return wanted ? 1 : 0;
  }

  // One attempt of a task whose exception has a taker. It is kept for him, and also passes on to
  // the pool, which keeps its text; not where the pool would terminate, and codes have no text.
  template <class F>
  std::int32_t attempt_kept(F&& f) {
    thrown = nullptr;
    attempt made = tried(std::forward<F>(f));
    thrown = std::move(made.thrown);
    if (made.code == POOL_E_EXCEPTION && !where.terminates) std::rethrow_exception(thrown);
    return made.code;
  }

  // The cause of an outcome that is none of the last attempt's.
  std::int32_t cause_for(std::int32_t outcome) const {
    return cause != POOL_OK ? cause : cause_of(outcome, POOL_E_CANCELLED);
  }

  target where;
  std::function<bool(const failed_attempt&)> retry_if;
  std::exception_ptr thrown;     // by the last attempt
  std::int32_t cause = POOL_OK;  // code of the end, once known; a detached queue's tasks never know
};

// A task with options whose result nobody takes.
template <class Call>
struct kept_post_box final : rules_box {
  template <class... Parts>
  kept_post_box(target t, const task_options& o, Parts&&... parts)
      : rules_box(&kept_post_box::end_it, t, o),
        call(std::in_place, std::forward<Parts>(parts)...) {}

  static std::int32_t run(void* arg, pool_ctx_t* ctx) {
    kept_post_box* self = static_cast<kept_post_box*>(static_cast<box*>(arg));
    task_context context(ctx, self->where);
    if (!self->where.terminates) {
      return self->attempt_kept([&] { static_cast<void>(self->call(context)); });
    }
    // Other exceptions find no handler here, and the pool terminates where they were thrown.
    try {
      static_cast<void>(self->call(context));
      return POOL_OK;
    } catch (const error& e) {
      if (task_code(e.code()) == POOL_E_EXCEPTION) throw;
      return e.code();
    }
  }
  static void end_it(box* b, std::int32_t) noexcept { delete static_cast<kept_post_box*>(b); }

  Call call;
};

// A task with options whose result goes to a future.
template <class Call>
struct kept_promise_box final : rules_box {
  using result = typename Call::result;
  using value_t = std::conditional_t<
      std::is_void_v<result>, std::monostate,
      std::conditional_t<std::is_reference_v<result>, std::remove_reference_t<result>*, result>>;

  template <class... Parts>
  kept_promise_box(target t, const task_options& o, Parts&&... parts)
      : rules_box(&kept_promise_box::end_it, t, o),
        call(std::in_place, std::in_place, std::forward<Parts>(parts)...) {}

  static std::int32_t run(void* arg, pool_ctx_t* ctx) {
    kept_promise_box* self = static_cast<kept_promise_box*>(static_cast<box*>(arg));
    self->value.reset();
    return self->attempt_kept([self, ctx] {
      task_context context(ctx, self->where);
      if constexpr (std::is_void_v<result>) {
        (*self->call)(context);
        self->value.emplace();
      } else if constexpr (std::is_reference_v<result>) {
        self->value.emplace(std::addressof((*self->call)(context)));
      } else {
        self->value.emplace((*self->call)(context));
      }
    });
  }

  static void end_it(box* b, std::int32_t outcome) noexcept {
    const std::unique_ptr<kept_promise_box> self(static_cast<kept_promise_box*>(b));
    self->call.reset();
    // Without memory for the error, the promise's end leaves a broken_promise.
    static_cast<void>(caught([&] { self->settle(outcome); }));
  }

  void settle(std::int32_t outcome) {
    if (outcome == POOL_DONE && value) {
      thrown = caught([this] { give_value(); });
      if (!thrown) return;
    } else if (outcome != POOL_FAILED || !thrown) {
      thrown = kept(std::make_exception_ptr(end_error(outcome, cause_for(outcome))));
    }
    promise.set_exception(std::move(thrown));
  }

  void give_value() {
    if constexpr (std::is_void_v<result>) {
      promise.set_value();
    } else if constexpr (std::is_reference_v<result>) {
      promise.set_value(**value);
    } else {
      promise.set_value(*std::move(value));
    }
  }

  std::optional<Call> call;      // empty once it has ended
  std::optional<value_t> value;  // of the last attempt
  std::promise<result> promise;
};

// The C form of o; it points into o. What runs it is still to be set.
inline pool_task_t task_of(const task_options& o) {
  pool_task_t task;
  check(pool_task_init(&task, sizeof task));
  task.drop = drop_box;
  task.on_full = static_cast<std::int32_t>(o.when_full);
  task.submit_timeout_ns = o.submit_timeout.count();
  task.name = o.name.empty() ? nullptr : o.name.c_str();
  task.token = o.token != nullptr ? o.token->native_handle() : 0;
  task.cq = o.completions != nullptr ? o.completions->native_handle() : 0;
  task.key = o.key;
  task.priority = o.priority;
  task.class_id = o.class_id;
  task.cost_bytes = o.cost_bytes;
  task.deadline_ns = o.deadline.to_ns(pool_now_ns());
  task.queue_timeout_ns = o.queue_timeout.count();
  task.run_timeout_ns = o.run_timeout.count();
  task.delay_ns = o.delay.count();
  task.period_ns = o.period.count();
  task.period_mode = static_cast<std::int32_t>(o.period_by);
  task.on_rate = static_cast<std::int32_t>(o.when_rate);
  task.retries_max = o.retry.max;
  task.backoff_factor_percent = o.retry.factor_percent;
  task.backoff_first_ns = o.retry.first_delay.count();
  task.backoff_max_ns = o.retry.max_delay.count();
  task.backoff_jitter = static_cast<std::int32_t>(o.retry.spread);
  task.retry_on = static_cast<std::int32_t>(o.retry.when);
  if (o.retry_if) task.retry_if = &rules_box::may_retry;
  return task;
}

// Submits one box with options. done: somebody asks for the cause of its end.
inline void submit_box(target where, const task_options& o, pool_run_fn run, pool_done_fn done,
                       box_owner owner, pool_group_t group = 0, pool_ticket_t* ticket = nullptr) {
  pool_task_t task = task_of(o);
  task.run = run;
  task.done = done;
  task.arg = owner.get();
  task.group = group;
  check(pool_submit_task(where.handle, &task, ticket));
  static_cast<void>(owner.release());
}

// So that options are not taken for a callable.
template <class F>
using require_task = std::enable_if_t<!std::is_same_v<std::decay_t<F>, task_options>, int>;
template <class F, class... Args>
using bound_result_t = call_result_t<std::decay_t<F>, std::decay_t<Args>...>;
template <class F, class... Args>
using kept_result_t = call_result_t<std::decay_t<F>&, std::decay_t<Args>&...>;

// Boxes for one batch call. What was not accepted is ended by the destructor.
class box_list {
 public:
  box_list() = default;
  box_list(const box_list&) = delete;
  box_list& operator=(const box_list&) = delete;
  ~box_list() {
    for (; begin_ < boxes_.size(); ++begin_) drop_box(boxes_[begin_], kNotAccepted);
  }

  void push(box_owner owner) {
    boxes_.push_back(owner.get());
    static_cast<void>(owner.release());
  }
  box* at(std::size_t i) const { return static_cast<box*>(boxes_[i]); }
  std::size_t size() const { return boxes_.size(); }
  std::size_t accepted() const { return begin_; }

  // Submits all of them; what stopped it is returned. Without options by the cheapest call that
  // knows how to drop them.
  pool_status_t submit(target where, const task_options* o, pool_run_fn run, pool_done_fn done) {
    while (begin_ < boxes_.size()) {
      const std::size_t left = boxes_.size() - begin_;
      const std::uint32_t n = left < UINT32_MAX ? static_cast<std::uint32_t>(left) : UINT32_MAX;
      std::uint32_t accepted = 0;
      const pool_status_t status =
          o == nullptr && where.calls_drop
              ? pool_submit_many(where.handle, run, &boxes_[begin_], n, &accepted)
              : submit_tasks(where, task_of(o != nullptr ? *o : task_options{}), run, done, n,
                             &accepted);
      begin_ += accepted;
      if (status != POOL_OK) return status;
    }
    return POOL_OK;
  }

 private:
  pool_status_t submit_tasks(target where, pool_task_t task, pool_run_fn run, pool_done_fn done,
                             std::uint32_t n, std::uint32_t* accepted) {
    task.run = run;
    task.done = done;
    std::vector<pool_task_t> tasks(n, task);
    for (std::uint32_t i = 0; i < n; ++i) tasks[i].arg = boxes_[begin_ + i];
    return pool_submit_batch(where.handle, tasks.data(), sizeof task, n, nullptr, accepted);
  }

  std::vector<void*> boxes_;
  std::size_t begin_ = 0;  // accepted so far
};

// ---- fork and join ------------------------------------------------------------------------------

// A result as a value: void is std::monostate.
template <class R>
using stored_t = std::conditional_t<std::is_void_v<R>, std::monostate, std::decay_t<R>>;

template <class F>
stored_t<call_result_t<F>> stored_call(task_context& ctx, F&& f) {
  if constexpr (std::is_void_v<call_result_t<F>>) {
    call_task(ctx, std::forward<F>(f));
    return {};
  } else {
    return call_task(ctx, std::forward<F>(f));
  }
}

// One fork in its parent's frame. The destructor joins, also when the parent unwinds: nobody may
// still use the frame then.
template <class G>
class fork_frame {
 public:
  fork_frame(pool_ctx_t* ctx, target where, G&& g)
      : ctx_(ctx), where_(where), g_(std::forward<G>(g)) {
    check(pool_ctx_fork(ctx_, &fork_, &fork_frame::run, this));
  }
  fork_frame(const fork_frame&) = delete;
  fork_frame& operator=(const fork_frame&) = delete;
  ~fork_frame() {
    if (!joined_) static_cast<void>(pool_ctx_join(ctx_, &fork_, nullptr));
  }

  stored_t<call_result_t<G>> join() {
    std::int32_t code = POOL_OK;
    joined_ = true;
    check(pool_ctx_join(ctx_, &fork_, &code));
    if (thrown_) std::rethrow_exception(std::move(thrown_));
    if (!value_) throw error(code);  // it ended its thread
    return *std::move(value_);
  }

 private:
  static std::int32_t run(void* arg, pool_ctx_t* ctx) {
    fork_frame* self = static_cast<fork_frame*>(arg);
    self->thrown_ = caught([self, ctx] {
      task_context context(ctx, self->where_);
      self->value_.emplace(stored_call(context, std::forward<G>(self->g_)));
    });
    return self->thrown_ ? POOL_E_EXCEPTION : POOL_OK;
  }

  pool_ctx_t* const ctx_;
  const target where_;
  G&& g_;
  bool joined_ = false;
  std::optional<stored_t<call_result_t<G>>> value_;
  std::exception_ptr thrown_;
  pool_fork_t fork_;
};

// ---- loops --------------------------------------------------------------------------------------

// The arg of one parallel loop, in its caller's frame.
template <class Body>
struct loop_frame {
  static std::int32_t run(void* arg, std::uint64_t begin, std::uint64_t end,
                          std::uint32_t participant, pool_ctx_t*) {
    loop_frame* self = static_cast<loop_frame*>(arg);
    std::exception_ptr thrown = caught([&] { self->body(begin, end, participant); });
    if (!thrown) return POOL_OK;
    // The end of pool_parallel_for orders the write before the caller's read.
    if (!self->taken.exchange(true)) self->first = std::move(thrown);
    return POOL_E_EXCEPTION;
  }

  Body& body;
  std::atomic<bool> taken{false};
  std::exception_ptr first = nullptr;
};

// Calls f(x) or f(x, participant).
template <class F, class X>
void call_body(F& f, X&& x, std::uint32_t participant) {
  if constexpr (std::is_invocable_v<F&, X>) {
    static_cast<void>(participant);
    static_cast<void>(std::invoke(f, std::forward<X>(x)));
  } else {
    static_assert(std::is_invocable_v<F&, X, std::uint32_t>,
                  "a loop body is called as f(x) or f(x, participant)");
    static_cast<void>(std::invoke(f, std::forward<X>(x), participant));
  }
}

template <class It, class = void>
struct is_random_access : std::false_type {};
#if defined(__cpp_lib_concepts)
template <class It>
struct is_random_access<It, std::enable_if_t<std::random_access_iterator<It>>> : std::true_type {};
#else
template <class It>
struct is_random_access<It, std::void_t<typename std::iterator_traits<It>::iterator_category>>
    : std::is_base_of<std::random_access_iterator_tag,
                      typename std::iterator_traits<It>::iterator_category> {};
#endif

// A type that another argument decides: an empty {} first is options, not an iterator.
template <class T>
struct same {
  using type = T;
};
template <class T>
using same_t = typename same<T>::type;
template <class It>
using require_iterator =
    std::enable_if_t<std::is_convertible_v<typename std::iterator_traits<It>::iterator_category,
                                           std::input_iterator_tag>,
                     int>;
template <class... Ints>
using require_integers = std::enable_if_t<(std::is_integral_v<Ints> && ...), int>;
template <class It>
using require_random_access = std::enable_if_t<is_random_access<It>::value, int>;

}  // namespace detail

template <class F, class... Args>
void task_context::post(F&& f, Args&&... args) {
  using box_t = detail::post_box<detail::bound_t<F, Args...>>;
  detail::box_owner owner(new box_t(where_, std::forward<F>(f), std::forward<Args>(args)...));
  if (!where_.calls_drop) return detail::submit_box(where_, &box_t::run, std::move(owner));
  detail::check(pool_ctx_submit(ctx_, &box_t::run, owner.get()));
  static_cast<void>(owner.release());
}

template <class F, class G>
auto task_context::fork_join(F&& f, G&& g) {
  detail::fork_frame<G> fork(ctx_, where_, std::forward<G>(g));
  using r_f = detail::call_result_t<F>;
  using r_g = detail::call_result_t<G>;
  auto left = detail::stored_call(*this, std::forward<F>(f));
  if constexpr (std::is_void_v<r_f> && std::is_void_v<r_g>) {
    static_cast<void>(left);
    static_cast<void>(fork.join());
  } else {
    auto right = fork.join();
    return std::pair<detail::stored_t<r_f>, detail::stored_t<r_g>>(std::move(left),
                                                                   std::move(right));
  }
}

// ---- ticket -------------------------------------------------------------------------------------

// One submitted task, to wait for (safe in tasks), time or cancel. Destroying it lets the task go
// on. With a stop token: std::stop_callback stop(token, [&] { t.cancel(); });
template <class R>
class ticket {
 public:
  ticket() noexcept = default;
  ticket(ticket&& other) noexcept
      : handle_(std::exchange(other.handle_, 0)), future_(std::move(other.future_)) {}
  ticket& operator=(ticket&& other) noexcept {
    ticket(std::move(other)).swap(*this);
    return *this;
  }
  ~ticket() {
    if (handle_ != 0) pool_ticket_release(handle_);
  }
  void swap(ticket& other) noexcept {
    std::swap(handle_, other.handle_);
    std::swap(future_, other.future_);
  }

  // Waits and returns the task's value or throws its exception; error CANCELLED, CLOSED, EXPIRED or
  // FULL (shed) if it never ran or was stopped between attempts, THREADEXIT if it ended its thread.
  // Once only. In a task of the pool, a task that has not started is run on the spot. Throws error
  // DEADLOCK in the task itself.
  R get() {
    wait();
    return future_.get();
  }
  void wait() const { detail::check(pool_wait(handle_, 0, POOL_FOREVER, nullptr, 0)); }
  // False if the timeout came first.
  bool wait_for(std::chrono::nanoseconds timeout) const {
    return detail::check_in_time(pool_wait(handle_, 0, timeout.count(), nullptr, 0));
  }
  // Waits; outcome, code, attempts, worker, times.
  workpool::result result() const {
    workpool::result r;
    detail::check(pool_wait(handle_, 0, POOL_FOREVER, &r, sizeof(pool_result_t)));
    return r;
  }
  // True: the task will not run (again), its callable is destroyed. False: it runs (is asked to
  // stop, and gets no further attempt) or is over.
  bool cancel() {
    const pool_status_t status = pool_cancel(handle_);
    if (status == POOL_E_ALREADY) return false;
    detail::check(status);
    return true;
  }

  bool valid() const noexcept { return handle_ != 0; }
  pool_ticket_t native_handle() const noexcept { return handle_; }

 private:
  friend class pool;
  ticket(pool_ticket_t handle, std::future<R> future) noexcept
      : handle_(handle), future_(std::move(future)) {}

  pool_ticket_t handle_ = 0;
  std::future<R> future_;
};

namespace detail {
template <class Range>
std::vector<pool_ticket_t> handles_of(const Range& tickets) {
  std::vector<pool_ticket_t> handles;
  for (const auto& t : tickets) handles.push_back(t.native_handle());
  return handles;
}
}  // namespace detail

// Waits until every task of a range of tickets has ended. False if the timeout came first.
template <class Range>
bool wait_all(const Range& tickets, std::chrono::nanoseconds timeout = forever) {
  const std::vector<pool_ticket_t> all = detail::handles_of(tickets);
  if (all.empty()) return true;
  return detail::check_in_time(pool_wait_many(all.data(), static_cast<std::uint32_t>(all.size()), 1,
                                              timeout.count(), nullptr));
}
// Waits until one of them has ended, and tells which, by its place. Nothing if the timeout came
// first.
template <class Range>
std::optional<std::size_t> wait_any(const Range& tickets,
                                    std::chrono::nanoseconds timeout = forever) {
  const std::vector<pool_ticket_t> all = detail::handles_of(tickets);
  std::uint32_t index = 0;
  const bool in_time = detail::check_in_time(pool_wait_many(
      all.data(), static_cast<std::uint32_t>(all.size()), 0, timeout.count(), &index));
  return in_time ? std::optional<std::size_t>(index) : std::nullopt;
}

// All options that have a name: type, default, range, a sentence or two, and whether pool::set may
// change it.
inline std::vector<pool_option_t> option_list() {
  std::vector<pool_option_t> all;
  pool_option_t option;
  while (pool_option_list(static_cast<std::uint32_t>(all.size()), &option, sizeof option) ==
         POOL_OK) {
    all.push_back(option);
  }
  return all;
}

// ---- pool ---------------------------------------------------------------------------------------

// An elastic pool of workers. Owns its handle; move-only. The destructor runs what was accepted,
// joins all workers and frees the pool; in one of the pool's own tasks it cannot wait and releases
// it instead.
class pool {
 public:
  pool() : pool(options{}) {}
  explicit pool(const options& o) : where_{0, true, false}, callbacks_(detail::callbacks_of(o)) {
    pool_options_t c = detail::options_of(o, callbacks_.get());
    c.drop = detail::drop_box;
    where_.terminates = c.on_exception == POOL_EXC_TERMINATE;  // it may have been set by name
    detail::check(pool_create(&c, &where_.handle));
  }

  // The one pool that all libraries of the process share. This object is one count of it. It cannot
  // be closed, paused or tuned.
  static pool shared() {
    pool p{detail::target{}};
    detail::check(pool_shared(&p.where_.handle));
    return p;
  }

  pool(pool&& other) noexcept
      : where_(std::exchange(other.where_, {})), callbacks_(std::move(other.callbacks_)) {}
  // Ends the pool that is held so far, as the destructor does.
  pool& operator=(pool&& other) noexcept {
    pool(std::move(other)).swap(*this);
    return *this;
  }
  ~pool() {
    if (where_.handle == 0) return;
    const bool may_wait = where_.calls_drop && pool_worker_index(where_.handle) < 0;
    if (may_wait && pool_destroy(where_.handle) == POOL_OK) return;
    pool_release(where_.handle);
    detail::keep_for_good(std::move(callbacks_));
  }
  void swap(pool& other) noexcept {
    std::swap(where_, other.where_);
    std::swap(callbacks_, other.callbacks_);
  }

  // -- one task --

  // Runs f(args...) on a worker; its value or exception arrives through the future, as does error
  // CLOSED if the pool is closed or released before it has run, and FULL if it was shed. Throws
  // error FULL, TIMEOUT, RATE, CLOSED, THREAD, NOMEM.
  template <class F, class... Args, detail::require_task<F> = 0>
  std::future<detail::bound_result_t<F, Args...>> submit(F&& f, Args&&... args) {
    using box_t = detail::promise_box<detail::bound_t<F, Args...>>;
    auto b = std::make_unique<box_t>(where_, std::forward<F>(f), std::forward<Args>(args)...);
    auto future = b->promise.get_future();
    detail::submit_box(where_, &box_t::run, detail::box_owner(b.release()));
    return future;
  }
  // The same by rules. The future has the last attempt's or period's end, or an error that tells
  // why there is none: CANCELLED or the token's reason, EXPIRED, FULL (shed). Throws also error
  // CANCELLED (by the token), EXPIRED, INVALID, NOTFOUND (class).
  template <class F, class... Args>
  std::future<detail::kept_result_t<F, Args...>> submit(const task_options& o, F&& f,
                                                        Args&&... args) {
    return submit_kept(o, nullptr, std::forward<F>(f), std::forward<Args>(args)...);
  }

  // As submit, for a task that is to be waited for inside tasks, timed or cancelled.
  template <class F, class... Args>
  ticket<detail::kept_result_t<F, Args...>> submit_ticket(const task_options& o, F&& f,
                                                          Args&&... args) {
    pool_ticket_t handle = 0;
    auto future = submit_kept(o, &handle, std::forward<F>(f), std::forward<Args>(args)...);
    return {handle, std::move(future)};
  }
  template <class F, class... Args, detail::require_task<F> = 0>
  ticket<detail::bound_result_t<F, Args...>> submit_ticket(F&& f, Args&&... args) {
    using box_t = detail::promise_box<detail::bound_t<F, Args...>>;
    auto b = std::make_unique<box_t>(where_, std::forward<F>(f), std::forward<Args>(args)...);
    auto future = b->promise.get_future();
    detail::box_owner owner(b.release());
    pool_task_t task;
    detail::check(pool_task_init(&task, sizeof task));
    task.run = &box_t::run;
    task.done = &box_t::done;
    task.drop = detail::drop_box;
    task.arg = owner.get();
    pool_ticket_t handle = 0;
    detail::check(pool_submit_task(where_.handle, &task, &handle));
    static_cast<void>(owner.release());
    return {handle, std::move(future)};
  }

  // Runs f(args...) on a worker; nobody waits for it. The cheapest way in. Throws as submit.
  template <class F, class... Args, detail::require_task<F> = 0>
  void post(F&& f, Args&&... args) {
    using box_t = detail::post_box<detail::bound_t<F, Args...>>;
    detail::submit_box(
        where_, &box_t::run,
        detail::box_owner(new box_t(where_, std::forward<F>(f), std::forward<Args>(args)...)));
  }
  template <class F, class... Args>
  void post(const task_options& o, F&& f, Args&&... args) {
    using box_t = detail::kept_post_box<detail::kept_t<F, Args...>>;
    detail::submit_box(
        where_, o, &box_t::run, nullptr,
        detail::box_owner(new box_t(where_, o, std::forward<F>(f), std::forward<Args>(args)...)));
  }

  // Makes class class_id (1 ... POOL_CLASS_MAX), or changes it for tasks submitted from now on; its
  // limits hold for those that wait, too.
  void set_class(std::uint32_t class_id, const class_options& o) {
    pool_class_options_t c;
    detail::check(pool_class_options_init(&c, sizeof c));
    c.concurrency_max = o.concurrency_max;
    c.rate_count = o.rate.count;
    c.rate_period_ns = o.rate.period.count();
    c.rate_burst = o.rate.burst;
    c.on_rate = static_cast<std::int32_t>(o.when_rate);
    c.retries_max = o.retry.max;
    c.backoff_factor_percent = o.retry.factor_percent;
    c.backoff_first_ns = o.retry.first_delay.count();
    c.backoff_max_ns = o.retry.max_delay.count();
    c.backoff_jitter = static_cast<std::int32_t>(o.retry.spread);
    c.retry_on = static_cast<std::int32_t>(o.retry.when);
    c.retry_if = o.retry_if;
    detail::check(pool_class_set(where_.handle, class_id, &c));
  }

  // -- many tasks in one call --

  // A task f(x) for every element x of [first, last), each with its own copy of f and x (move
  // iterators move x). Futures in the order of the elements; those of tasks that were not accepted
  // throw error with the reason, FULL for instance.
  template <class It, class F, detail::require_iterator<It> = 0>
  auto submit_batch(It first, detail::same_t<It> last, F&& f) {
    using value = typename std::iterator_traits<It>::value_type;
    return submit_all<detail::promise_box<detail::bound_t<F, value>>>(first, last, f);
  }
  template <class Range, class F>
  auto submit_batch(Range&& range, F&& f) {
    return submit_batch(std::begin(range), std::end(range), std::forward<F>(f));
  }
  // The same by rules, one and the same for all.
  template <class It, class F, detail::require_iterator<It> = 0>
  auto submit_batch(const task_options& o, It first, detail::same_t<It> last, F&& f) {
    using value = typename std::iterator_traits<It>::value_type;
    return submit_all<detail::kept_promise_box<detail::kept_t<F, value>>>(first, last, f, o);
  }
  template <class Range, class F>
  auto submit_batch(const task_options& o, Range&& range, F&& f) {
    return submit_batch(o, std::begin(range), std::end(range), std::forward<F>(f));
  }

  // As submit_batch, and nobody waits. Returns how many tasks were accepted, a prefix of the
  // elements: fewer than all of them only when a queue is full or a rate limit refuses. Throws
  // error for any other reason.
  template <class It, class F, detail::require_iterator<It> = 0>
  [[nodiscard]] std::size_t post_batch(It first, detail::same_t<It> last, F&& f) {
    using value = typename std::iterator_traits<It>::value_type;
    return post_all<detail::post_box<detail::bound_t<F, value>>>(first, last, f);
  }
  template <class Range, class F>
  [[nodiscard]] std::size_t post_batch(Range&& range, F&& f) {
    return post_batch(std::begin(range), std::end(range), std::forward<F>(f));
  }
  template <class It, class F, detail::require_iterator<It> = 0>
  [[nodiscard]] std::size_t post_batch(const task_options& o, It first, detail::same_t<It> last,
                                       F&& f) {
    using value = typename std::iterator_traits<It>::value_type;
    return post_all<detail::kept_post_box<detail::kept_t<F, value>>>(first, last, f, o);
  }
  template <class Range, class F>
  [[nodiscard]] std::size_t post_batch(const task_options& o, Range&& range, F&& f) {
    return post_batch(o, std::begin(range), std::end(range), std::forward<F>(f));
  }

  // -- parallel loops: the caller takes part, they nest, and they need no free worker --

  // f(i) for every integer of [begin, end), or f(i, participant), where a participant is below
  // participants() (or o.participants_max) and never shared by two bodies that run at once: an
  // index into per-thread sums or buffers. Returns when all are done. The first exception of a body
  // skips what has not begun and is rethrown here. f is not copied; it is called by several threads
  // at once.
  template <class Begin, class End, class F, detail::require_integers<Begin, End> = 0>
  void parallel_for(Begin begin, End end, F&& f, loop_options o = {}) {
    using integer = std::common_type_t<Begin, End>;
    const integer first = static_cast<integer>(begin);
    const integer last = static_cast<integer>(end);
    if (last < first) throw error(POOL_E_INVALID, "parallel_for: begin is above end; swap them");
    // Differences are exact in uint64_t, also where the signed ones would overflow.
    const std::uint64_t n = static_cast<std::uint64_t>(last) - static_cast<std::uint64_t>(first);
    auto body = [first, &f](std::uint64_t b, std::uint64_t e, std::uint32_t participant) {
      for (std::uint64_t i = b; i != e; ++i) {
        detail::call_body(f, static_cast<integer>(static_cast<std::uint64_t>(first) + i),
                          participant);
      }
    };
    run_loop(n, body, o);
  }

  // f(*it) or f(*it, participant) for every it of [first, last).
  template <class It, class F, detail::require_random_access<It> = 0>
  void parallel_for(It first, It last, F&& f, loop_options o = {}) {
    using difference = typename std::iterator_traits<It>::difference_type;
    if (last < first) throw error(POOL_E_INVALID, "parallel_for: begin is above end; swap them");
    auto body = [first, &f](std::uint64_t b, std::uint64_t e, std::uint32_t participant) {
      It it = first + static_cast<difference>(b);
      for (std::uint64_t i = b; i != e; ++i, ++it) detail::call_body(f, *it, participant);
    };
    run_loop(static_cast<std::uint64_t>(last - first), body, o);
  }

  // The same for a range with random access: a vector, an array, a span.
  template <class Range, class F>
  auto parallel_for(Range&& range, F&& f, loop_options o = {})
      -> decltype(static_cast<void>(std::begin(range))) {
    parallel_for(std::begin(range), std::end(range), std::forward<F>(f), o);
  }

  // f(b, e) or f(b, e, participant) for pieces [b, e) of [0, n): loops of the caller's own inside a
  // piece. With o.grain every piece begins at a multiple of it.
  template <class F>
  void parallel_pieces(std::uint64_t n, F&& f, loop_options o = {}) {
    auto body = [&f](std::uint64_t b, std::uint64_t e, std::uint32_t participant) {
      if constexpr (std::is_invocable_v<F&, std::uint64_t, std::uint64_t>) {
        static_cast<void>(participant);
        f(b, e);
      } else {
        f(b, e, participant);
      }
    };
    run_loop(n, body, o);
  }

  // Most bodies of one loop that run at once; fixed for the life of the pool.
  std::uint32_t participants() const {
    const std::int32_t n = pool_participants(where_.handle);
    if (n < 0) detail::throw_status(n);
    return static_cast<std::uint32_t>(n);
  }

  // -- run time --

  pool_stats_t stats() const {
    pool_stats_t s;
    detail::check(pool_stats(where_.handle, &s, sizeof s));
    return s;
  }
  // Tasks that run for at least so long, the longest first. The pool needs options::stuck_after.
  std::vector<running_task> running(std::chrono::nanoseconds longer_than = {}) const {
    std::vector<running_task> found(64);
    for (;;) {
      std::uint32_t n = 0;
      detail::check(pool_running(where_.handle, longer_than.count(), found.data(),
                                 sizeof(running_task), static_cast<std::uint32_t>(found.size()),
                                 &n));
      const bool all = n < found.size();
      found.resize(all ? n : 2 * found.size());
      if (all) return found;
    }
  }
  // Changes an option while the pool runs, or tells it: set("aging_ms", "50"). See option_list().
  void set(const std::string& name, const std::string& value) {
    detail::check(pool_set(where_.handle, name.c_str(), value.c_str()));
  }
  std::string get(const std::string& name) const {
    std::string value(32, '\0');
    std::size_t needed = 0;
    for (;;) {
      detail::check(pool_get(where_.handle, name.c_str(), &value[0], value.size(), &needed));
      const bool all = needed <= value.size();
      value.resize(all ? needed - 1 : needed);
      if (all) return value;
    }
  }
  // Sets the number of workers by hand; 0 hands back to the pool.
  void tune(std::uint32_t workers) { detail::check(pool_tune(where_.handle, workers)); }
  void pause() { detail::check(pool_pause(where_.handle)); }
  void resume() { detail::check(pool_resume(where_.handle)); }
  // Waits until nothing is queued or running. False if the timeout came first.
  bool wait_idle(std::chrono::nanoseconds timeout = forever) {
    return detail::check_in_time(pool_wait_idle(where_.handle, timeout.count()));
  }
  // Refuses new tasks and waits for those accepted. False if the timeout came first: it is still
  // closing.
  bool close(close_mode mode = close_mode::drain, std::chrono::nanoseconds timeout = forever) {
    return detail::check_in_time(
        pool_close(where_.handle, static_cast<std::int32_t>(mode), timeout.count()));
  }
  // Gives the pool up without waiting: what is queued is cancelled, what runs ends, the last worker
  // frees it.
  void release() {
    detail::keep_for_good(std::move(callbacks_));
    detail::check(pool_release(std::exchange(where_, {}).handle));
  }

  // Index of the calling worker of this pool; -1 on any other thread.
  std::int32_t worker_index() const noexcept { return pool_worker_index(where_.handle); }
  pool_t native_handle() const noexcept { return where_.handle; }

#if defined(__cpp_impl_coroutine)
  // co_await p.schedule(): the coroutine goes on, on a worker. Throws as submit, and error CLOSED,
  // on the thread that closes, if the pool is closed before a worker has taken it; FULL, if it is
  // shed.
  auto schedule() noexcept;
#endif

 private:
  friend class group;
  explicit pool(detail::target where) noexcept : where_(where) {}

  template <class F, class... Args>
  std::future<detail::kept_result_t<F, Args...>> submit_kept(const task_options& o,
                                                             pool_ticket_t* ticket, F&& f,
                                                             Args&&... args) {
    using box_t = detail::kept_promise_box<detail::kept_t<F, Args...>>;
    auto b = std::make_unique<box_t>(where_, o, std::forward<F>(f), std::forward<Args>(args)...);
    auto future = b->promise.get_future();
    detail::submit_box(where_, o, &box_t::run, &box_t::done, detail::box_owner(b.release()), 0,
                       ticket);
    return future;
  }

  // o: a task_options or nothing.
  template <class Box, class It, class F, class... Options>
  auto submit_all(It first, It last, F& f, const Options&... o) {
    std::vector<std::future<typename Box::result>> futures;
    detail::box_list boxes;
    for (; first != last; ++first) {
      auto b = std::make_unique<Box>(where_, o..., f, *first);
      futures.push_back(b->promise.get_future());
      boxes.push(detail::box_owner(b.release()));
    }
    const pool_status_t status = boxes.submit(where_, address_of(o...), &Box::run, &Box::done);
    for (std::size_t i = boxes.accepted(); i < boxes.size(); ++i) {
      static_cast<Box*>(boxes.at(i))->cause = status;
    }
    return futures;
  }
  template <class Box, class It, class F, class... Options>
  std::size_t post_all(It first, It last, F& f, const Options&... o) {
    detail::box_list boxes;
    for (; first != last; ++first) {
      boxes.push(detail::box_owner(new Box(where_, o..., f, *first)));
    }
    const pool_status_t status = boxes.submit(where_, address_of(o...), &Box::run, nullptr);
    if (status != POOL_E_FULL && status != POOL_E_TIMEOUT && status != POOL_E_RATE) {
      detail::check(status);
    }
    return boxes.accepted();
  }
  static const task_options* address_of() { return nullptr; }
  static const task_options* address_of(const task_options& o) { return &o; }

  template <class Body>
  void run_loop(std::uint64_t n, Body& body, loop_options o) {
    detail::loop_frame<Body> frame{body};
    std::int32_t code = POOL_OK;
    detail::check(pool_parallel_for(where_.handle, 0, n, o.grain, o.participants_max,
                                    &detail::loop_frame<Body>::run, &frame, &code));
    if (frame.first) std::rethrow_exception(std::move(frame.first));
    if (code != POOL_OK) throw error(code);
  }

  detail::target where_;
  std::unique_ptr<detail::pool_callbacks> callbacks_;
};

// ---- group --------------------------------------------------------------------------------------

// A set of tasks of one pool that is waited for as one. Members may add members. It nests: a task
// may make its own group and wait for it. The destructor waits for the members, whose captured
// references would dangle otherwise; when it runs because of an exception, it cancels those that
// have not started first. It must not be destroyed by its own members.
class group {
 public:
  explicit group(pool& p)
      : where_(p.where_),
        unwinding_(std::uncaught_exceptions()),
        state_(std::make_unique<state>()) {
    detail::check(pool_group_create(where_.handle, nullptr, &handle_));
  }
  group(const group&) = delete;
  group& operator=(const group&) = delete;
  ~group() {
    if (std::uncaught_exceptions() > unwinding_) static_cast<void>(pool_group_cancel(handle_));
    // A refused wait (in a forked child, or in a member) leaves state_ to the members, for ever.
    if (pool_group_wait(handle_, POOL_FOREVER, nullptr) != POOL_OK)
      static_cast<void>(state_.release());
    static_cast<void>(pool_group_release(handle_));
  }

  // Adds the task f(args...). Throws as pool::submit, and error CANCELLED after cancel().
  template <class F, class... Args, detail::require_task<F> = 0>
  void run(F&& f, Args&&... args) {
    using box_t = member_box<detail::bound_t<F, Args...>>;
    detail::box_owner owner(
        new box_t(*state_, where_, std::forward<F>(f), std::forward<Args>(args)...));
    if (!where_.calls_drop) {
      detail::submit_box(where_, task_options{}, &box_t::run, nullptr, std::move(owner), handle_);
      return;
    }
    detail::check(pool_group_submit(handle_, &box_t::run, owner.get()));
    static_cast<void>(owner.release());
  }
  // The same by rules; it counts against the queue limit.
  template <class F, class... Args>
  void run(const task_options& o, F&& f, Args&&... args) {
    using box_t = kept_member_box<detail::kept_t<F, Args...>>;
    detail::submit_box(where_, o, &box_t::run, &box_t::done,
                       detail::box_owner(new box_t(*state_, where_, o, std::forward<F>(f),
                                                   std::forward<Args>(args)...)),
                       handle_);
  }

  // Waits for all members, then rethrows the first exception that one of them threw, of several
  // attempts the last one's. Throws error CANCELLED, CLOSED, EXPIRED or FULL (shed) if a member
  // never ran, DEADLOCK in a member. Returns normally only if all of them ran well.
  void wait() { static_cast<void>(wait_for(forever)); }
  // As wait; false if the timeout came first.
  bool wait_for(std::chrono::nanoseconds timeout) {
    if (!detail::check_in_time(pool_group_wait(handle_, timeout.count(), nullptr))) return false;
    if (std::exception_ptr thrown = state_->take()) std::rethrow_exception(std::move(thrown));
    if (const std::int32_t code = state_->cause.exchange(POOL_OK)) throw error(code);
    return true;
  }

  // Cancels members that have not started, asks the others to stop, refuses new ones.
  void cancel() {
    state_->cancelled = true;
    detail::check(pool_group_cancel(handle_));
  }

  pool_group_t native_handle() const noexcept { return handle_; }

 private:
  // What members leave behind. Outlives them: wait returns after their drop.
  struct state {
    void keep(std::exception_ptr thrown) {
      const std::lock_guard<std::mutex> lock(mu);
      if (!first) first = std::move(thrown);
    }
    std::exception_ptr take() {
      const std::lock_guard<std::mutex> lock(mu);
      return std::exchange(first, nullptr);
    }

    std::mutex mu;
    std::exception_ptr first;                  // guarded by mu
    std::atomic<std::int32_t> cause{POOL_OK};  // of a member that neither ended well nor threw
    std::atomic<bool> cancelled{false};        // by cancel()
  };

  template <class Call>
  struct member_box final : detail::box {
    template <class... Parts>
    member_box(state& s, detail::target t, Parts&&... parts)
        : detail::box{&member_box::end_it},
          owner(s),
          where(t),
          call(std::in_place, std::forward<Parts>(parts)...) {}

    static std::int32_t run(void* arg, pool_ctx_t* ctx) {
      member_box* self = static_cast<member_box*>(static_cast<detail::box*>(arg));
      detail::attempt made = detail::tried([self, ctx] {
        task_context context(ctx, self->where);
        static_cast<void>(self->call(context));
      });
      self->returned = true;
      if (made.thrown) self->owner.keep(std::move(made.thrown));
      return made.code;
    }
    static void end_it(detail::box* b, std::int32_t outcome) noexcept {
      member_box* self = static_cast<member_box*>(b);
      if (!self->returned && outcome != detail::kNotAccepted) {
        // Besides cancel(), only the end of the pool cancels a member without options.
        const std::int32_t if_cancelled = self->owner.cancelled ? POOL_E_CANCELLED : POOL_E_CLOSED;
        self->owner.cause = detail::cause_of(outcome, if_cancelled);
      }
      delete self;
    }

    state& owner;
    detail::target where;
    bool returned = false;  // or threw
    Call call;
  };

  template <class Call>
  struct kept_member_box final : detail::rules_box {
    template <class... Parts>
    kept_member_box(state& s, detail::target t, const task_options& o, Parts&&... parts)
        : rules_box(&kept_member_box::end_it, t, o),
          owner(s),
          call(std::in_place, std::forward<Parts>(parts)...) {}

    static std::int32_t run(void* arg, pool_ctx_t* ctx) {
      kept_member_box* self = static_cast<kept_member_box*>(static_cast<detail::box*>(arg));
      return self->attempt_kept([self, ctx] {
        task_context context(ctx, self->where);
        static_cast<void>(self->call(context));
      });
    }
    static void end_it(detail::box* b, std::int32_t outcome) noexcept {
      kept_member_box* self = static_cast<kept_member_box*>(b);
      if (outcome == POOL_FAILED && self->thrown) {
        self->owner.keep(std::move(self->thrown));
      } else if (outcome != POOL_DONE && outcome != detail::kNotAccepted) {
        self->owner.cause = self->cause_for(outcome);
      }
      delete self;
    }

    state& owner;
    Call call;
  };

  detail::target where_;
  int unwinding_;
  std::unique_ptr<state> state_;
  pool_group_t handle_ = 0;
};

// ---- coroutines ---------------------------------------------------------------------------------

#if defined(__cpp_impl_coroutine)
namespace detail {

class schedule_awaiter {
 public:
  explicit schedule_awaiter(target where) noexcept : where_(where) {}

  bool await_ready() const noexcept { return false; }
  void await_suspend(std::coroutine_handle<> coroutine) {
    // Not the awaiter itself: it may be gone with its coroutine before drop is called.
    submit_box(where_, &resume_box::run, box_owner(new resume_box(*this, coroutine)));
  }
  void await_resume() const {
    if (code_ != POOL_OK) throw error(code_);
  }

 private:
  struct resume_box final : box {
    resume_box(schedule_awaiter& a, std::coroutine_handle<> c)
        : box{&resume_box::end_it}, awaiter(a), coroutine(c) {}
    static std::int32_t run(void* arg, pool_ctx_t*) {
      std::exchange(static_cast<resume_box*>(static_cast<box*>(arg))->coroutine, nullptr).resume();
      return POOL_OK;
    }
    static void end_it(box* b, std::int32_t outcome) noexcept {
      const std::unique_ptr<resume_box> self(static_cast<resume_box*>(b));
      if (!self->coroutine || outcome == kNotAccepted) return;
      self->awaiter.code_ = cause_of(outcome, POOL_E_CLOSED);
      self->coroutine.resume();
    }
    schedule_awaiter& awaiter;
    std::coroutine_handle<> coroutine;  // null once resumed
  };

  target where_;
  std::int32_t code_ = POOL_OK;
};

}  // namespace detail

inline auto pool::schedule() noexcept { return detail::schedule_awaiter(where_); }
#endif

}  // namespace workpool

#undef WORKPOOL_THREAD_SANITIZER
#endif  // WORKPOOL_WORKPOOL_HPP_
