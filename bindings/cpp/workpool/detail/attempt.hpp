// SPDX-License-Identifier: Apache-2.0
//
// One run of a task: what it threw, and what code that is.
#ifndef WORKPOOL_DETAIL_ATTEMPT_HPP_
#define WORKPOOL_DETAIL_ATTEMPT_HPP_

#include <workpool/workpool.h>

#include <cstdint>
#include <exception>
#include <string>
#include <utility>
#include <workpool/error.hpp>

#if defined(__GLIBCXX__)
#include <cxxabi.h>
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
namespace detail {

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

// In the words of the library. "" if nothing was thrown.
inline std::string what_of(const std::exception_ptr& thrown) {
  if (!thrown) return {};
  try {
    std::rethrow_exception(thrown);
  } catch (const std::exception& e) {
    return e.what();
  } catch (...) {
    return "an exception that is no std::exception";
  }
}

// The library knows the text of exceptions that reach it. Those that stand for a code do not.
inline void add_text(pool_result_t& r, const std::string& what) {
  if (r.outcome != POOL_FAILED || r.text[0] != '\0') return;
  r.text[what.copy(r.text, sizeof r.text - 1)] = '\0';
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

}  // namespace detail
}  // namespace workpool

#undef WORKPOOL_THREAD_SANITIZER
#endif  // WORKPOOL_DETAIL_ATTEMPT_HPP_
