#include "model/strategy.h"

#include <algorithm>
#include <cstdlib>

#include "model/scheduler.h"

namespace workpool::model {

Strategy g_strategy;

void Strategy::StartDepthFirst(int preemptions_max) {
  mode_ = Mode::kDepthFirst;
  preemptions_max_ = preemptions_max;
  path_.clear();
}

void Strategy::StartRandom(uint64_t seed) {
  mode_ = Mode::kRandom;
  seed_ = seed;
}

void Strategy::StartPct(uint64_t seed, int depth, uint32_t steps) {
  mode_ = Mode::kPct;
  seed_ = seed;
  change_count_ = depth - 1;
  steps_ = std::max(steps, 1u);
}

void Strategy::StartReplay(const std::string& choices) {
  mode_ = Mode::kReplay;
  path_.clear();
  const char* at = choices.c_str();
  while (*at != '\0') {
    char* end = nullptr;
    const unsigned long gap = std::strtoul(at, &end, 10);
    if (*end != ':') break;
    const unsigned long pick = std::strtoul(end + 1, &end, 10);
    path_.resize(path_.size() + gap, {0, 0, 1});
    path_.push_back({static_cast<uint16_t>(pick), 0, 1});
    at = *end == ',' ? end + 1 : end;
  }
}

std::string Strategy::Choices() const {
  std::string text;
  size_t gap = 0;
  for (size_t i = 0; i < depth_; ++i) {
    if (path_[i].pick == 0) {
      ++gap;
      continue;
    }
    if (!text.empty()) text += ',';
    text += std::to_string(gap) + ':' + std::to_string(path_[i].pick);
    gap = 0;
  }
  return text;
}

void Strategy::BeginSchedule() {
  depth_ = 0;
  preemptions_ = 0;
  if (mode_ != Mode::kRandom && mode_ != Mode::kPct) return;
  random_ = Random64(seed_);
  // Schedules that switch at every step and such that seldom do find different bugs.
  static constexpr uint32_t kStay[] = {0, 0, 4, 7};
  stay_ = kStay[random_.Below(4)];
  static constexpr uint32_t kStale[] = {4, 4, 1, 7};
  stale_ = kStale[random_.Below(4)];
  change_at_.clear();
  for (int i = 0; mode_ == Mode::kPct && i < change_count_; ++i) {
    change_at_.push_back(random_.Below(steps_));
  }
  lowest_ = 1u << 20;
}

bool Strategy::NextSchedule() {
  switch (mode_) {
    case Mode::kDepthFirst:
      path_.resize(depth_);
      for (; !path_.empty(); path_.pop_back()) {
        Choice& last = path_.back();
        const uint32_t next = last.pick == 0 ? last.second : last.pick + 1u;
        if (next >= last.count) continue;
        last.pick = static_cast<uint16_t>(next);
        return true;
      }
      return false;
    case Mode::kRandom:
    case Mode::kPct:
      ++seed_;
      return true;
    case Mode::kReplay:
      return false;
  }
  return false;
}

void Strategy::ThreadStarted(uint32_t thread) {
  if (mode_ == Mode::kPct) priority_[thread] = (1u << 21) + random_.Below(1u << 20);
}

uint32_t Strategy::Record(uint32_t pick, uint32_t n) {
  const Choice choice{static_cast<uint16_t>(pick), static_cast<uint16_t>(n), 1};
  if (depth_ < path_.size()) {
    path_[depth_] = choice;
  } else {
    path_.push_back(choice);
  }
  ++depth_;
  return pick;
}

// The choice that the path prescribes; where it ends, the plain one.
uint32_t Strategy::Follow(uint32_t n, uint32_t second) {
  if (depth_ == path_.size()) {
    path_.push_back({0, static_cast<uint16_t>(n), static_cast<uint16_t>(second)});
  }
  const Choice& choice = path_[depth_];
  if ((choice.count != 0 && choice.count != n) || choice.pick >= n) {
    Fail("this schedule cannot be repeated: choice %zu was %u of %u, is among %u", depth_,
         choice.pick, choice.count, n);
  }
  ++depth_;
  return choice.pick;
}

uint32_t Strategy::ChooseSlow(uint32_t n) {
  if (mode_ == Mode::kDepthFirst || mode_ == Mode::kReplay) return Follow(n, 1);
  return Record(random_.Below(8) < stale_ ? 1 + random_.Below(n - 1) : 0, n);
}

uint32_t Strategy::ChooseThread(const Alternatives& alternatives, uint32_t step) {
  const uint32_t n = alternatives.threads + alternatives.events;
  switch (mode_) {
    case Mode::kDepthFirst: {
      if (n == 1) return 0;
      // With all preemptions spent the running thread goes on, but events may still come.
      const bool spent = alternatives.can_go_on && preemptions_ == preemptions_max_;
      const uint32_t pick = Follow(n, spent ? alternatives.threads : 1);
      if (alternatives.can_go_on && pick > 0 && pick < alternatives.threads) ++preemptions_;
      return pick;
    }
    case Mode::kReplay:
      return n == 1 ? 0 : Follow(n, 1);
    case Mode::kRandom:
      return n == 1 ? 0 : Record(PickRandomThread(alternatives), n);
    case Mode::kPct:
      return n == 1 ? 0 : Record(PickByPriority(alternatives, step), n);
  }
  return 0;
}

uint32_t Strategy::PickRandomThread(const Alternatives& alternatives) {
  if (alternatives.events > 0 && random_.Below(16) == 0) {
    return alternatives.threads + random_.Below(alternatives.events);
  }
  if (alternatives.can_go_on && random_.Below(8) < stay_) return 0;
  return random_.Below(alternatives.threads);
}

uint32_t Strategy::PickByPriority(const Alternatives& alternatives, uint32_t step) {
  if (alternatives.events > 0 && random_.Below(16) == 0) {
    return alternatives.threads + random_.Below(alternatives.events);
  }
  if (alternatives.can_go_on) {
    const bool change = std::find(change_at_.begin(), change_at_.end(), step) != change_at_.end();
    if (change) priority_[alternatives.thread[0]] = --lowest_;
  }
  const uint8_t* begin = alternatives.thread;
  return static_cast<uint32_t>(
      std::max_element(begin, begin + alternatives.threads,
                       [this](uint8_t a, uint8_t b) { return priority_[a] < priority_[b]; }) -
      begin);
}

}  // namespace workpool::model
