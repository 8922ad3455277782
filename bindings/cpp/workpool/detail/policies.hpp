// SPDX-License-Identifier: Apache-2.0
//
// Policies that are in C++: how the library calls them, and how long they live.
#ifndef WORKPOOL_DETAIL_POLICIES_HPP_
#define WORKPOOL_DETAIL_POLICIES_HPP_

#include <workpool/workpool.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <iterator>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>
#include <workpool/detail/attempt.hpp>
#include <workpool/error.hpp>
#include <workpool/policy.hpp>

namespace workpool {
namespace detail {

// Those that the library may call, by the number that is their user. What is not here is not called
// any more: so a policy may set another one while it runs, and a pool be given up while it does.
class policy_table {
 public:
  struct entry {
    policy functions;
    bool stays = false;  // the signal of this look is missing; who is called
  };

  static policy_table& of_process() {
    static policy_table* const all = new policy_table;  // pools may outlive static objects
    return *all;
  }

  std::uintptr_t add(const policy& p) {
    auto made = std::make_shared<entry>(entry{p});
    const std::lock_guard<std::mutex> lock(mu_);
    entries_.emplace(++last_, std::move(made));
    return last_;
  }
  void remove(std::uintptr_t number) {
    std::shared_ptr<entry> gone;  // the user's functions are destroyed without the lock
    const std::lock_guard<std::mutex> lock(mu_);
    const auto found = entries_.find(number);
    if (found == entries_.end()) return;
    gone = std::move(found->second);
    entries_.erase(found);
  }
  std::shared_ptr<entry> find(void* user) {
    const std::lock_guard<std::mutex> lock(mu_);
    const auto found = entries_.find(reinterpret_cast<std::uintptr_t>(user));
    return found != entries_.end() ? found->second : nullptr;
  }

  // -- what the library calls --

  static double on_signal(void* user, const pool_load_t* load) {
    const std::shared_ptr<entry> own = of_process().find(user);
    double value = 0;
    if (own == nullptr) return value;
    own->stays = true;
    own->stays = caught([&] { value = own->functions.signal(sample_of(load)); }) != nullptr;
    return value;
  }
  static std::uint32_t on_decide(void* user, const pool_load_t* load, double signal) {
    const std::shared_ptr<entry> own = of_process().find(user);
    std::uint32_t workers = load->target;
    if (own == nullptr || std::exchange(own->stays, false)) return workers;
    static_cast<void>(caught([&] { workers = own->functions.decide(sample_of(load), signal); }));
    return workers;
  }
  static std::int32_t on_cooldown(void* user, const pool_load_t* load, std::uint32_t workers) {
    const std::shared_ptr<entry> own = of_process().find(user);
    bool may = false;
    if (own == nullptr) return may;
    static_cast<void>(caught([&] { may = own->functions.cooldown(sample_of(load), workers); }));
    return may;
  }

 private:
  static load_sample sample_of(const pool_load_t* load) {
    load_sample sample;
    static_cast<pool_load_t&>(sample) = *load;
    return sample;
  }

  std::mutex mu_;
  std::map<std::uintptr_t, std::shared_ptr<entry>> entries_;  // guarded by mu_
  std::uintptr_t last_ = 0;                                   // guarded by mu_
};

// A place in the table, until it is destroyed: also by code that has a table of its own.
class policy_place {
 public:
  explicit policy_place(const policy& p)
      : table_(&policy_table::of_process()), number_(table_->add(p)) {}
  policy_place(const policy_place&) = delete;
  policy_place& operator=(const policy_place&) = delete;
  ~policy_place() { table_->remove(number_); }
  void* user() const noexcept { return reinterpret_cast<void*>(number_); }

 private:
  policy_table* table_;
  std::uintptr_t number_;
};

// The C form of p, which it points into.
inline pool_policy_t policy_of(const policy& p, void* user) {
  pool_policy_t c;
  check(pool_policy_init(&c, sizeof c));
  c.flags = (p.shadow ? POOL_POLICY_SHADOW : 0) | (p.keep ? POOL_POLICY_KEEP : 0);
  c.name = p.name.empty() ? nullptr : p.name.c_str();
  c.signal = p.signal ? &policy_table::on_signal : nullptr;
  c.decide = p.decide ? &policy_table::on_decide : nullptr;
  c.cooldown = p.cooldown ? &policy_table::on_cooldown : nullptr;
  c.user = user;
  c.tick_ns = p.tick.count();
  c.patience_ns = p.patience.count();
  c.call_max_ns = p.call_max.count();
  c.history = p.history.empty() ? nullptr : p.history.c_str();
  return c;
}

// The policies of one pool: the one that holds, and the one in the shadow.
class policy_seats {
 public:
  void set(pool_t pool, const policy& p) {
    std::vector<std::unique_ptr<policy_place>>& seat = p.shadow ? shadow_ : holds_;
    std::vector<std::unique_ptr<policy_place>> gone;  // destroyed without the lock
    auto place = std::make_unique<policy_place>(p);
    policy_place* const mine = place.get();
    const pool_policy_t c = policy_of(p, mine->user());
    std::uint64_t number = 0;
    {
      const std::lock_guard<std::mutex> lock(mu_);
      seat.push_back(std::move(place));
      number = ++begun_;
      ++setting_;
    }
    const pool_status_t status = pool_set_policy(pool, &c);
    {
      const std::lock_guard<std::mutex> lock(mu_);
      --setting_;
      // Where others were set meanwhile nobody knows which came last: then they stay for now.
      const bool last = setting_ == 0 && begun_ == number;
      const auto goes = [&](const std::unique_ptr<policy_place>& one) {
        return status == POOL_OK ? last && one.get() != mine : one.get() == mine;
      };
      const auto rest = std::stable_partition(seat.begin(), seat.end(), std::not_fn(goes));
      std::move(rest, seat.end(), std::back_inserter(gone));
      seat.erase(rest, seat.end());
    }
    check(status);
  }

 private:
  std::mutex mu_;
  // guarded by mu_: those that the library may call
  std::vector<std::unique_ptr<policy_place>> holds_;
  std::vector<std::unique_ptr<policy_place>> shadow_;
  std::uint64_t begun_ = 0;
  std::uint64_t setting_ = 0;
};

// seats: none in a pool object that was moved from.
inline void set_policy(pool_t pool, policy_seats* seats, const policy& p) {
  if (seats == nullptr) throw error(POOL_E_BADHANDLE, "set_policy: the pool was moved from");
  seats->set(pool, p);
}

inline std::string policy_history(pool_t pool) {
  std::string text;
  for (std::size_t needed = 0;;) {
    check(pool_policy_history(pool, text.empty() ? nullptr : &text[0], text.size(), &needed));
    const bool whole = needed <= text.size();
    text.resize(whole ? needed - 1 : needed);
    if (whole) return text;
  }
}

// False for STALLED.
inline bool check_health(pool_status_t status) {
  if (status == POOL_E_STALLED) return false;
  check(status);
  return true;
}

}  // namespace detail
}  // namespace workpool
#endif  // WORKPOOL_DETAIL_POLICIES_HPP_
