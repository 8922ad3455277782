// The atomics and fences that the library's sources get in the explorer's build (base/atomic.h
// includes this file when WORKPOOL_MODEL is defined). An Atomic is as large as its value; what the
// explorer knows about it is kept beside it, by address (memory_model.h). Outside a schedule it is
// a plain variable.
#pragma once

#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <type_traits>

#include "model/site.h"

namespace workpool {
namespace model {

// What the kinds of operations are called in lists of sites.
enum class Operation {
  kLoad,
  kStore,
  kReadModifyWrite,
  kCompareExchange,
  kFullFence,
  kLightFence,
  kHeavyFence
};

using Order = std::memory_order;

// The operations on a cell of size bytes; values travel as 64 bits. Each is a point at which the
// explorer may let another thread run first.
void Construct(const void* cell, size_t size);
void Destroy(const void* cell);
uint64_t Load(const void* cell, size_t size, Order order, const Site& site);
void Store(const void* cell, size_t size, uint64_t value, Order order, const Site& site);
// After Begin and until End no other thread runs, and the cell itself holds the newest value.
Order BeginModify(const void* cell, size_t size, Order order, const Site& site);
void EndModify(const void* cell, uint64_t value, Order order);
// Returns true if desired has to be written to the cell; *expected is what was read.
bool CompareExchange(const void* cell, size_t size, uint64_t* expected, uint64_t desired, bool weak,
                     Order success, Order failure, const Site& site);

void FullFence(Site site = Site::current());
void LightFence(Site site = Site::current());
void HeavyFence(Site site = Site::current());
// The caller waits for another thread: it is not chosen again before others could do something.
void SpinPause();
int SpinRounds(int usual);

constexpr Order FailureOrder(Order order) {
  if (order == std::memory_order_acq_rel) return std::memory_order_acquire;
  if (order == std::memory_order_release) return std::memory_order_relaxed;
  return order;
}

}  // namespace model

template <typename T>
class Atomic {
  static_assert(std::is_trivially_copyable_v<T> && sizeof(T) <= 8);
  using Order = model::Order;
  using Site = model::Site;
  template <typename U>
  static constexpr bool kIsArithmetic = std::is_integral_v<U> && !std::is_same_v<U, bool>;

 public:
  using value_type = T;
  static constexpr bool is_always_lock_free = true;

  constexpr Atomic() : Atomic(T()) {}
  constexpr Atomic(T value) : value_(value) {  // implicit, as in std::atomic
    if (!std::is_constant_evaluated()) model::Construct(this, sizeof(T));
  }
  ~Atomic() { model::Destroy(this); }
  Atomic(const Atomic&) = delete;
  Atomic& operator=(const Atomic&) = delete;

  T load(Order order = std::memory_order_seq_cst, Site site = Site::current()) const {
    return FromBits(model::Load(this, sizeof(T), order, site));
  }

  void store(T value, Order order = std::memory_order_seq_cst, Site site = Site::current()) {
    model::Store(this, sizeof(T), ToBits(value), order, site);
    value_ = value;
  }

  T exchange(T value, Order order = std::memory_order_seq_cst, Site site = Site::current()) {
    return Modify([value](T) { return value; }, order, site);
  }

  bool compare_exchange_strong(T& expected, T desired, Order success, Order failure,
                               Site site = Site::current()) {
    return CompareExchange(expected, desired, false, success, failure, site);
  }
  bool compare_exchange_strong(T& expected, T desired, Order order = std::memory_order_seq_cst,
                               Site site = Site::current()) {
    return CompareExchange(expected, desired, false, order, model::FailureOrder(order), site);
  }
  bool compare_exchange_weak(T& expected, T desired, Order success, Order failure,
                             Site site = Site::current()) {
    return CompareExchange(expected, desired, true, success, failure, site);
  }
  bool compare_exchange_weak(T& expected, T desired, Order order = std::memory_order_seq_cst,
                             Site site = Site::current()) {
    return CompareExchange(expected, desired, true, order, model::FailureOrder(order), site);
  }

  template <typename U = T>
  requires kIsArithmetic<U> T fetch_add(U delta, Order order = std::memory_order_seq_cst,
                                        Site site = Site::current()) {
    return Modify([delta](T old) { return static_cast<T>(old + delta); }, order, site);
  }
  template <typename U = T>
  requires kIsArithmetic<U> T fetch_sub(U delta, Order order = std::memory_order_seq_cst,
                                        Site site = Site::current()) {
    return Modify([delta](T old) { return static_cast<T>(old - delta); }, order, site);
  }
  template <typename U = T>
  requires kIsArithmetic<U> T fetch_or(U bits, Order order = std::memory_order_seq_cst,
                                       Site site = Site::current()) {
    return Modify([bits](T old) { return static_cast<T>(old | bits); }, order, site);
  }
  template <typename U = T>
  requires kIsArithmetic<U> T fetch_and(U bits, Order order = std::memory_order_seq_cst,
                                        Site site = Site::current()) {
    return Modify([bits](T old) { return static_cast<T>(old & bits); }, order, site);
  }
  template <typename U = T>
  requires kIsArithmetic<U> T fetch_xor(U bits, Order order = std::memory_order_seq_cst,
                                        Site site = Site::current()) {
    return Modify([bits](T old) { return static_cast<T>(old ^ bits); }, order, site);
  }

 private:
  static uint64_t ToBits(T value) {
    uint64_t bits = 0;
    std::memcpy(&bits, &value, sizeof(T));
    return bits;
  }
  static T FromBits(uint64_t bits) {
    T value;
    std::memcpy(&value, &bits, sizeof(T));
    return value;
  }

  template <typename F>
  T Modify(F f, Order order, const Site& site) {
    order = model::BeginModify(this, sizeof(T), order, site);
    const T old = value_;
    value_ = f(old);
    model::EndModify(this, ToBits(value_), order);
    return old;
  }

  bool CompareExchange(T& expected, T desired, bool weak, Order success, Order failure,
                       const Site& site) {
    uint64_t bits = ToBits(expected);
    const bool done = model::CompareExchange(this, sizeof(T), &bits, ToBits(desired), weak, success,
                                             failure, site);
    if (done) {
      value_ = desired;
    } else {
      expected = FromBits(bits);
    }
    return done;
  }

  T value_;  // the newest value
};

}  // namespace workpool
