// SPDX-License-Identifier: Apache-2.0
//
// How parallel loops call their bodies, and which iterators they and the batches take.
#ifndef WORKPOOL_DETAIL_LOOP_HPP_
#define WORKPOOL_DETAIL_LOOP_HPP_

#include <workpool/workpool.h>

#include <atomic>
#include <cstdint>
#include <exception>
#include <functional>
#include <iterator>
#include <type_traits>
#include <utility>
#include <workpool/detail/attempt.hpp>

namespace workpool {
namespace detail {

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
}  // namespace workpool
#endif  // WORKPOOL_DETAIL_LOOP_HPP_
