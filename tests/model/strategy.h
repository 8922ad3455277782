// Who decides what happens next. Everything that may go one way or another in a schedule (which
// thread runs, which value a load returns, whether a wake-up is spurious) is one choice among n,
// made here. The sequence of choices is the schedule: taking the same ones again repeats it
// exactly.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "model/options.h"

namespace workpool::model {

class Random64 {  // splitmix64 (Steele, Lea and Flood, OOPSLA 2014)
 public:
  explicit Random64(uint64_t seed) : state_(seed) {}
  uint64_t Next() {
    uint64_t z = (state_ += 0x9E3779B97F4A7C15u);
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9u;
    z = (z ^ z >> 27) * 0x94D049BB133111EBu;
    return z ^ z >> 31;
  }
  uint32_t Below(uint32_t bound) { return static_cast<uint32_t>((Next() >> 32) * bound >> 32); }

 private:
  uint64_t state_;
};

// The threads that may run next. The one that has just run comes first if it can go on. Behind them
// stand events: spurious wake-ups and early time-outs.
struct Alternatives {
  uint32_t threads = 0;
  uint32_t events = 0;
  bool can_go_on = false;
  uint8_t thread[kThreadsMax];
};

class Strategy {
 public:
  enum class Mode { kDepthFirst, kRandom, kPct, kReplay };

  // All schedules with at most preemptions_max switches away from a thread that could go on.
  void StartDepthFirst(int preemptions_max);
  // Schedule i of a seed is schedule 0 of seed + i.
  void StartRandom(uint64_t seed);
  // Probabilistic concurrency testing (Burckhardt et al., ASPLOS 2010): random priorities, changed
  // at depth - 1 random steps out of about steps.
  void StartPct(uint64_t seed, int depth, uint32_t steps);
  void StartReplay(const std::string& choices);

  void BeginSchedule();
  // False when there is no further schedule. To be called after each.
  bool NextSchedule();

  // One of n, n > 0. Choice 0 is the plain one: the newest value, no injected event.
  uint32_t Choose(uint32_t n) { return n == 1 ? 0 : ChooseSlow(n); }
  // Index into threads, then events.
  uint32_t ChooseThread(const Alternatives& alternatives, uint32_t step);
  void ThreadStarted(uint32_t thread);
  // The thread spins: it goes behind all others.
  void ThreadWaits(uint32_t thread) { priority_[thread] = --lowest_; }

  Mode mode() const { return mode_; }
  // Choices so far of this schedule, as StartReplay takes them: "gap:pick" pairs, gap zeros before
  // each pick.
  std::string Choices() const;
  uint64_t seed() const { return seed_; }

 private:
  struct Choice {
    uint16_t pick;
    uint16_t count;   // picks are below it; 0 in a replay, which knows the picks only
    uint16_t second;  // the pick that the depth-first search tries after 0
  };

  uint32_t ChooseSlow(uint32_t n);
  uint32_t Follow(uint32_t n, uint32_t second);
  uint32_t Record(uint32_t pick, uint32_t n);
  uint32_t PickRandomThread(const Alternatives& alternatives);
  uint32_t PickByPriority(const Alternatives& alternatives, uint32_t step);

  Mode mode_ = Mode::kDepthFirst;
  std::vector<Choice> path_;
  size_t depth_ = 0;  // choices made in this schedule
  // Depth-first.
  int preemptions_max_ = 0;
  int preemptions_ = 0;
  // Random and PCT.
  uint64_t seed_ = 0;
  Random64 random_{0};
  uint32_t stay_ = 0;   // of 8: how often the running thread goes on
  uint32_t stale_ = 0;  // of 8: how often a choice is not the plain one
  int change_count_ = 0;
  uint32_t steps_ = 0;
  std::vector<uint32_t> change_at_;
  uint32_t priority_[kThreadsMax] = {};
  uint32_t lowest_ = 0;
};

extern Strategy g_strategy;

}  // namespace workpool::model
