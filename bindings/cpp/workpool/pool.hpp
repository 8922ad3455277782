// SPDX-License-Identifier: Apache-2.0
//
// pool: where tasks go in. What a task is made of stands in detail/.
#ifndef WORKPOOL_POOL_HPP_
#define WORKPOOL_POOL_HPP_

#include <workpool/workpool.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <future>
#include <iterator>
#include <memory>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>
#include <workpool/choices.hpp>
#include <workpool/detail/batch.hpp>
#include <workpool/detail/box.hpp>
#include <workpool/detail/callbacks.hpp>
#include <workpool/detail/lists.hpp>
#include <workpool/detail/loop.hpp>
#include <workpool/detail/plain_task.hpp>
#include <workpool/detail/policies.hpp>
#include <workpool/detail/ruled_task.hpp>
#include <workpool/error.hpp>
#include <workpool/options.hpp>
#include <workpool/policy.hpp>
#include <workpool/result.hpp>
#include <workpool/task_options.hpp>
#include <workpool/ticket.hpp>
#include <workpool/time.hpp>

namespace workpool {

class group;

// An elastic pool of workers. Owns its handle; move-only. The destructor runs what was accepted,
// joins all workers and frees the pool; in one of the pool's own tasks it cannot wait and releases
// it instead.
class pool {
 public:
  pool() : pool(options{}) {}
  explicit pool(const options& o) : where_{0, true}, callbacks_(detail::callbacks_of(o)) {
    pool_options_t c = detail::options_of(o, callbacks_.get());
    c.drop = detail::drop_box;
    if (o.dead_letter) where_.letters = callbacks_.get();
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
      : where_(std::exchange(other.where_, {})),
        callbacks_(std::move(other.callbacks_)),
        policies_(std::move(other.policies_)) {}
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
    std::swap(policies_, other.policies_);
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
    return submit_kept(o, nullptr, nullptr, std::forward<F>(f), std::forward<Args>(args)...);
  }

  // As submit, for a task that is to be waited for inside tasks, timed or cancelled.
  template <class F, class... Args>
  ticket<detail::kept_result_t<F, Args...>> submit_ticket(const task_options& o, F&& f,
                                                          Args&&... args) {
    pool_ticket_t handle = 0;
    const auto text = std::make_shared<std::string>();
    auto future = submit_kept(o, &handle, text, std::forward<F>(f), std::forward<Args>(args)...);
    return {handle, std::move(future), text};
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
    return {handle, std::move(future), nullptr};
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
    const pool_class_options_t c = detail::class_of(o);
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
    return detail::list_running(where_.handle, longer_than);
  }
  // Takes out the dead letters that the pool has kept, oldest first. *lost, if wanted: how many it
  // could not keep since that was last asked. The pool needs options::dead_letter_limit.
  std::vector<pool_dead_letter_t> dead_letters(std::uint64_t* lost = nullptr) {
    return detail::take_dead_letters(where_.handle, lost);
  }
  // Changes an option while the pool runs, or tells it: set("aging_ms", "50"). See option_list().
  void set(const std::string& name, const std::string& value) {
    detail::check(pool_set(where_.handle, name.c_str(), value.c_str()));
  }
  std::string get(const std::string& name) const { return detail::get_option(where_.handle, name); }
  // From now on. On return no function of the policy before runs, but one that makes this call.
  void set_policy(const policy& p) { detail::set_policy(where_.handle, policies_.get(), p); }
  void set_policy(const std::string& name) { set_policy(policy{name}); }
  // What the policy has learned, for policy::history; throws where it learns nothing.
  std::string policy_history() const { return detail::policy_history(where_.handle); }
  // The changes of the number of workers after number `after`, of the last 256; oldest first.
  std::vector<decision> decisions(std::uint64_t after = 0) const {
    return detail::list_decisions(where_.handle, after);
  }
  // Whether the pool does its work, to be asked at least once a second. False: it has been stalled,
  // and was woken; it must not be, please report it.
  bool healthy() { return detail::check_health(pool_health(where_.handle)); }
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
  explicit pool(detail::target where) : where_(where) {}

  template <class F, class... Args>
  std::future<detail::kept_result_t<F, Args...>> submit_kept(const task_options& o,
                                                             pool_ticket_t* ticket,
                                                             std::shared_ptr<std::string> text,
                                                             F&& f, Args&&... args) {
    using box_t = detail::kept_promise_box<detail::kept_t<F, Args...>>;
    auto b = std::make_unique<box_t>(where_, o, std::forward<F>(f), std::forward<Args>(args)...);
    b->text = std::move(text);
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
  std::unique_ptr<detail::policy_seats> policies_ = std::make_unique<detail::policy_seats>();
};

}  // namespace workpool
#endif  // WORKPOOL_POOL_HPP_
