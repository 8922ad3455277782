// SPDX-License-Identifier: Apache-2.0
//
// workpool.hpp: libworkpool for C++17 and later, in one header over the C interface, workpool.h.
//
//   workpool::pool          a worker pool: submit, post, batches, loops, stats, tune, close
//   workpool::ticket<R>     one submitted task, to wait for (in tasks too), to time, to cancel
//   workpool::group         a set of tasks that is waited for as one
//   workpool::task_context  a running task's view of itself: fork_join, post, should_stop
//   workpool::error         a refused call, or a task that never ran
//
// Tasks: any callables. One that takes a task_context& as its first parameter is given its own. A
// callable and its arguments are copied or moved into one allocation, called once, as rvalues (as
// by std::async), and destroyed exactly once: before the future is ready if they ran, and also if
// they never run.
//
// Exceptions: those of a task reach whoever waits for it: through the future, ticket::get,
// group::wait, parallel_for or fork_join. Those of post() have no taker: the pool counts the task
// as failed. The library's own refusals are thrown as workpool::error with code (POOL_E_...) and
// text; what the refused call took by value is gone then, and nothing of it has run.
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

// What a submit does when the queue limit is reached.
enum class on_full : std::int32_t {
  reject = POOL_ON_FULL_REJECT,  // throws error FULL at once
  block = POOL_ON_FULL_BLOCK,    // waits for room, at most submit_timeout
};

// What an exception that leaves a posted task does. (Those of submitted tasks go to their futures.)
enum class on_exception : std::int32_t {
  capture = POOL_EXC_CAPTURE,      // the task has failed
  terminate = POOL_EXC_TERMINATE,  // std::terminate, with the throwing frames on the stack
};

// How close() treats what is queued.
enum class close_mode : std::int32_t {
  drain = POOL_DRAIN,                  // run it all; own tasks may still submit
  cancel_queued = POOL_CANCEL_QUEUED,  // cancel what has not started
  cancel_all = POOL_CANCEL_ALL,        // and ask running tasks to stop
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
  on_full when_full = on_full::reject;
  std::chrono::nanoseconds submit_timeout{0};
  on_exception when_thrown = on_exception::capture;
  bool inherit_affinity = false;
  std::uint64_t stack_bytes = 0;
  std::string name = {};
  pool_log_fn log_fn = nullptr;  // must outlive the pool's threads
  void* log_user = nullptr;
  std::int32_t log_level = POOL_LOG_OFF;
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

// Calls f and returns what it threw. The unwinding of an ending thread (pthread_exit,
// pthread_cancel) is no exception that may be kept: it passes through.
template <class F>
std::exception_ptr caught(F&& f) {
  try {
    std::forward<F>(f)();
    return nullptr;
#if defined(__GLIBCXX__)
  } catch (const abi::__forced_unwind&) {
    throw;
#endif
  } catch (...) {
    return kept(std::current_exception());
  }
}

// A pool as tasks remember it. calls_drop: it was made here, so that its own drop is drop_box, and
// the calls that take no drop can be used.
struct target {
  pool_t handle = 0;
  bool calls_drop = false;
};

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

// ---- task_context -----------------------------------------------------------------------------

// A running task's view of itself. Valid during that run and on its thread only, also as a copy.
class task_context {
 public:
  task_context(pool_ctx_t* ctx, detail::target where) noexcept : ctx_(ctx), where_(where) {}

  // True if the task was asked to stop: ticket::cancel, group::cancel, close_mode::cancel_all.
  bool should_stop() const noexcept { return pool_ctx_should_stop(ctx_) != 0; }

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
    std::exception_ptr thrown = caught([self, ctx] { self->run_call(ctx); });
    if (!thrown) return POOL_OK;
    // The handler is left already, so that the last reference to the exception is the taker's.
    self->call.reset();
    self->fail(std::move(thrown));
    return POOL_E_EXCEPTION;
  }

  // Tells why a task that never ran, or did not come back, has ended.
  static void done(void* arg, const pool_result_t* r) {
    promise_box* self = static_cast<promise_box*>(static_cast<box*>(arg));
    if (r->code != POOL_OK) self->cause = r->code;
  }

  static void end_it(box* b, std::int32_t outcome) noexcept {
    promise_box* self = static_cast<promise_box*>(b);
    if (!self->settled) {
      // A plain task that failed without a result has ended its thread; one that never ran was
      // closed out.
      if (outcome == POOL_FAILED) self->cause = POOL_E_THREADEXIT;
      self->call.reset();
      // Without memory for the error, the promise's end leaves a broken_promise.
      static_cast<void>(
          caught([self] { self->fail(kept(std::make_exception_ptr(error(self->cause)))); }));
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
  bool settled = false;                // the promise has its value or exception
  std::int32_t cause = POOL_E_CLOSED;  // error code if the task never comes to a result
  std::optional<Call> call;            // empty once called
  std::promise<result> promise;
};

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

  // Submits all of them; what stopped it is returned.
  pool_status_t submit(target where, pool_run_fn run, pool_done_fn done) {
    while (begin_ < boxes_.size()) {
      const std::size_t left = boxes_.size() - begin_;
      const std::uint32_t n = left < UINT32_MAX ? static_cast<std::uint32_t>(left) : UINT32_MAX;
      std::uint32_t accepted = 0;
      const pool_status_t status =
          where.calls_drop ? pool_submit_many(where.handle, run, &boxes_[begin_], n, &accepted)
                           : submit_tasks(where, run, done, n, &accepted);
      begin_ += accepted;
      if (status != POOL_OK) return status;
    }
    return POOL_OK;
  }

 private:
  pool_status_t submit_tasks(target where, pool_run_fn run, pool_done_fn done, std::uint32_t n,
                             std::uint32_t* accepted) {
    pool_task_t task;
    check(pool_task_init(&task, sizeof task));
    task.run = run;
    task.done = done;
    task.drop = drop_box;
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

  // Waits and returns the task's value or throws its exception; error CANCELLED or CLOSED if it
  // never ran, THREADEXIT if it ended its thread. Once only. In a task of the pool, a task that has
  // not started is run on the spot. Throws error DEADLOCK in the task itself.
  R get() {
    wait();
    return future_.get();
  }
  void wait() const { detail::check(pool_wait(handle_, 0, POOL_FOREVER, nullptr, 0)); }
  // False if the timeout came first.
  bool wait_for(std::chrono::nanoseconds timeout) const {
    return detail::check_in_time(pool_wait(handle_, 0, timeout.count(), nullptr, 0));
  }
  // Waits; outcome, code, worker, times.
  pool_result_t result() const {
    pool_result_t r;
    detail::check(pool_wait(handle_, 0, POOL_FOREVER, &r, sizeof r));
    return r;
  }
  // True: the task will never run, its callable is destroyed. False: it runs (and is asked to stop)
  // or is over.
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

// ---- pool ---------------------------------------------------------------------------------------

// An elastic pool of workers. Owns its handle; move-only. The destructor runs what was accepted,
// joins all workers and frees the pool; in one of the pool's own tasks it cannot wait and releases
// it instead.
class pool {
 public:
  pool() : pool(options{}) {}
  explicit pool(const options& o) : where_{0, true} {
    pool_options_t c;
    detail::check(pool_options_init(&c, sizeof c));
    c.workers_min = o.workers_min;
    c.workers_max = o.workers_max;
    c.workers_limit = o.workers_limit;
    c.prestart = o.prestart;
    c.keep_alive_ns = o.keep_alive.count();
    c.queue_limit = o.queue_limit;
    c.on_full = static_cast<std::int32_t>(o.when_full);
    c.submit_timeout_ns = o.submit_timeout.count();
    c.on_exception = static_cast<std::int32_t>(o.when_thrown);
    c.inherit_affinity = o.inherit_affinity ? 1 : 0;
    c.stack_bytes = o.stack_bytes;
    c.name = o.name.empty() ? nullptr : o.name.c_str();
    c.log_fn = o.log_fn;
    c.log_user = o.log_user;
    c.log_level = o.log_level;
    c.drop = detail::drop_box;
    detail::check(pool_create(&c, &where_.handle));
  }

  // The one pool that all libraries of the process share. This object is one count of it. It cannot
  // be closed, paused or tuned.
  static pool shared() {
    pool p{detail::target{}};
    detail::check(pool_shared(&p.where_.handle));
    return p;
  }

  pool(pool&& other) noexcept : where_(std::exchange(other.where_, {})) {}
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
  }
  void swap(pool& other) noexcept { std::swap(where_, other.where_); }

  // -- one task --

  // Runs f(args...) on a worker; its value or exception arrives through the future, as does error
  // CLOSED if the pool is closed or released before it has run. Throws error FULL, TIMEOUT, CLOSED,
  // THREAD, NOMEM.
  template <class F, class... Args>
  std::future<detail::call_result_t<std::decay_t<F>, std::decay_t<Args>...>> submit(
      F&& f, Args&&... args) {
    using box_t = detail::promise_box<detail::bound_t<F, Args...>>;
    auto b = std::make_unique<box_t>(where_, std::forward<F>(f), std::forward<Args>(args)...);
    auto future = b->promise.get_future();
    detail::submit_box(where_, &box_t::run, detail::box_owner(b.release()));
    return future;
  }

  // As submit, for a task that is to be waited for inside tasks, timed or cancelled.
  template <class F, class... Args>
  ticket<detail::call_result_t<std::decay_t<F>, std::decay_t<Args>...>> submit_ticket(
      F&& f, Args&&... args) {
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
  template <class F, class... Args>
  void post(F&& f, Args&&... args) {
    using box_t = detail::post_box<detail::bound_t<F, Args...>>;
    detail::submit_box(
        where_, &box_t::run,
        detail::box_owner(new box_t(where_, std::forward<F>(f), std::forward<Args>(args)...)));
  }

  // -- many tasks in one call --

  // A task f(x) for every element x of [first, last), each with its own copy of f and x (move
  // iterators move x). Futures in the order of the elements; those of tasks that were not accepted
  // throw error with the reason, FULL for instance.
  template <class It, class F,
            class = std::enable_if_t<std::is_convertible_v<
                typename std::iterator_traits<It>::iterator_category, std::input_iterator_tag>>>
  auto submit_batch(It first, It last, F&& f) {
    using value = typename std::iterator_traits<It>::value_type;
    using box_t = detail::promise_box<detail::bound_t<F, value>>;
    std::vector<std::future<typename box_t::result>> futures;
    detail::box_list boxes;
    for (; first != last; ++first) {
      auto b = std::make_unique<box_t>(where_, f, *first);
      futures.push_back(b->promise.get_future());
      boxes.push(detail::box_owner(b.release()));
    }
    const pool_status_t status = boxes.submit(where_, &box_t::run, &box_t::done);
    for (std::size_t i = boxes.accepted(); i < boxes.size(); ++i) {
      static_cast<box_t*>(boxes.at(i))->cause = status;
    }
    return futures;
  }
  template <class Range, class F>
  auto submit_batch(Range&& range, F&& f) {
    return submit_batch(std::begin(range), std::end(range), std::forward<F>(f));
  }

  // As submit_batch, and nobody waits. Returns how many tasks were accepted, a prefix of the
  // elements: fewer than all of them only when the queue is full. Throws error for any other
  // reason.
  template <class It, class F,
            class = std::enable_if_t<std::is_convertible_v<
                typename std::iterator_traits<It>::iterator_category, std::input_iterator_tag>>>
  [[nodiscard]] std::size_t post_batch(It first, It last, F&& f) {
    using value = typename std::iterator_traits<It>::value_type;
    using box_t = detail::post_box<detail::bound_t<F, value>>;
    detail::box_list boxes;
    for (; first != last; ++first) boxes.push(detail::box_owner(new box_t(where_, f, *first)));
    const pool_status_t status = boxes.submit(where_, &box_t::run, nullptr);
    if (status != POOL_E_FULL && status != POOL_E_TIMEOUT) detail::check(status);
    return boxes.accepted();
  }
  template <class Range, class F>
  [[nodiscard]] std::size_t post_batch(Range&& range, F&& f) {
    return post_batch(std::begin(range), std::end(range), std::forward<F>(f));
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
  void release() { detail::check(pool_release(std::exchange(where_, {}).handle)); }

  // Index of the calling worker of this pool; -1 on any other thread.
  std::int32_t worker_index() const noexcept { return pool_worker_index(where_.handle); }
  pool_t native_handle() const noexcept { return where_.handle; }

#if defined(__cpp_impl_coroutine)
  // co_await p.schedule(): the coroutine goes on, on a worker. Throws as submit, and error CLOSED,
  // on the thread that closes, if the pool is closed before a worker has taken it.
  auto schedule() noexcept;
#endif

 private:
  friend class group;
  explicit pool(detail::target where) noexcept : where_(where) {}

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
  template <class F, class... Args>
  void run(F&& f, Args&&... args) {
    using box_t = member_box<detail::bound_t<F, Args...>>;
    detail::box_owner owner(
        new box_t(*state_, where_, std::forward<F>(f), std::forward<Args>(args)...));
    if (where_.calls_drop) {
      detail::check(pool_group_submit(handle_, &box_t::run, owner.get()));
    } else {
      pool_task_t task;
      detail::check(pool_task_init(&task, sizeof task));
      task.run = &box_t::run;
      task.drop = detail::drop_box;
      task.arg = owner.get();
      task.group = handle_;
      detail::check(pool_submit_task(where_.handle, &task, nullptr));
    }
    static_cast<void>(owner.release());
  }

  // Waits for all members, then rethrows the first exception that one of them threw. Throws error
  // CANCELLED or CLOSED if a member never ran, DEADLOCK in a member. Returns normally only if all
  // of them ran well.
  void wait() { static_cast<void>(wait_for(forever)); }
  // As wait; false if the timeout came first.
  bool wait_for(std::chrono::nanoseconds timeout) {
    if (!detail::check_in_time(pool_group_wait(handle_, timeout.count(), nullptr))) return false;
    if (std::exception_ptr thrown = state_->take()) std::rethrow_exception(std::move(thrown));
    const std::int32_t outcome = state_->worst.exchange(POOL_DONE);
    if (outcome == POOL_CANCELLED) {
      // Besides cancel(), only the end of the pool keeps a member from running.
      throw error(state_->cancelled ? POOL_E_CANCELLED : POOL_E_CLOSED);
    }
    if (outcome != POOL_DONE) throw error(POOL_E_THREADEXIT);
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
    std::exception_ptr first;                    // guarded by mu
    std::atomic<std::int32_t> worst{POOL_DONE};  // of members that neither ended well nor threw
    std::atomic<bool> cancelled{false};          // by cancel()
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
      std::exception_ptr thrown = detail::caught([self, ctx] {
        task_context context(ctx, self->where);
        static_cast<void>(self->call(context));
      });
      self->returned = true;
      if (!thrown) return POOL_OK;
      self->owner.keep(std::move(thrown));
      return POOL_E_EXCEPTION;
    }
    static void end_it(detail::box* b, std::int32_t outcome) noexcept {
      member_box* self = static_cast<member_box*>(b);
      if (!self->returned && outcome != detail::kNotAccepted) self->owner.worst = outcome;
      delete self;
    }

    state& owner;
    detail::target where;
    bool returned = false;  // or threw
    Call call;
  };

  detail::target where_;
  int unwinding_;
  std::unique_ptr<state> state_;
  pool_group_t handle_ = 0;
};

// ---- coroutines
// -----------------------------------------------------------------------------------

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
      self->awaiter.code_ = POOL_E_CLOSED;
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
