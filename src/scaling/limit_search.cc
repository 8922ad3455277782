#include "scaling/limit_search.h"

#include <algorithm>
#include <cmath>

namespace workpool {
namespace {

constexpr double kForgetMemories = 3;

uint32_t Whole(double workers) { return static_cast<uint32_t>(std::lround(workers)); }

}  // namespace

void LimitSearch::Reset() {
  state_ = State::kOpen;
  window_.Restart();
  before_ = {};
  best_ = {};
  bad_ = 0;
  content_s_ = 0;
  backoff_s_ = 0;
  probes_ = 0;
  doubt_ = false;
}

Decision LimitSearch::Allow(const LoadSample& sample, uint32_t wanted, uint32_t base, double free_level, bool starved) {
  // On the way down those that are too many end what they have begun: until then it is not that level.
  const uint32_t working = sample.busy() - std::min(sample.blocked, sample.busy());
  if (sample.target != target_ || working > sample.target + sample.target / 16) {
    window_.Restart();
    target_ = sample.target;
  }
  NoteErrors(sample);
  window_.Note(sample, options_.window_max_s);
  if (state_ == State::kOpen && !ErrorsAreHigh() && sample.dt_ns > 0) {
    // After a long time in which nobody had to look it begins anew.
    const double since_s = static_cast<double>(sample.now_ns - healthy_ns_) * 1e-9;
    const bool anew = healthy_ == 0 || since_s > kForgetMemories * options_.healthy_memory_s;
    const double kept = anew ? 0 : std::exp(-sample.dt_s() / options_.healthy_memory_s);
    healthy_ns_ = sample.now_ns;
    healthy_ = healthy_ * kept + target_ * (1 - kept);
    usual_work_ = usual_work_ * kept + working * (1 - kept);
    usual_rate_ = usual_rate_ * kept + static_cast<double>(sample.ended - sample.failed) / sample.dt_s() * (1 - kept);
  }
  if (state_ == State::kOpen && ErrorsAreHigh() && target_ > base) {
    // What was measured up here was begun with fewer: any goodput further down is better than none.
    best_ = {static_cast<double>(target_), 0, false};
    bad_ = best_.workers;
    doubt_ = false;
    backoff_s_ = options_.backoff_first_s;
    // To what was at work in the mean while all was well: at the bound of that time, workers that hang in slow calls would
    // keep what they call overloaded.
    const double cut = std::min<double>(target_, working) * options_.cut_on_errors;
    MoveTo(std::max<double>(base, std::clamp(usual_work_, cut / 2, cut)), State::kDown);
    return {Whole(limit_), Reason::kSearchDown};
  }
  return state_ == State::kOpen ? Open(sample, wanted, base, free_level) : Search(sample, wanted, base, starved);
}

Decision LimitSearch::Open(const LoadSample& sample, uint32_t wanted, uint32_t base, double free_level) {
  // Was the growth up to here worth it? Asked only while tasks wait all the same.
  if (before_.workers > 0 && Measured() && window_.starved() && window_.ended() > 0) {
    const double growth = std::log(target_ / before_.workers);
    const double gain = std::log(std::max(window_.rate(), 1e-9) / before_.rate);
    if (growth > 0 && gain < options_.elasticity * growth) {
      // What was done before may have been all there was to do, and a task may take longer now: one step back tells.
      doubt_ = !before_.full;
      best_ = doubt_ ? Level{static_cast<double>(target_), window_.rate(), true} : before_;
      backoff_s_ = options_.backoff_first_s;
      MoveTo(std::max<double>(base, doubt_ ? best_.workers * options_.cut : best_.workers), State::kDown);
      before_ = {};
      return {Whole(limit_), Reason::kSearchDown};
    }
    proven_ = std::max<double>(proven_, target_);
    before_ = {};
  }
  if (wanted <= target_) return {target_, Reason::kHold};
  // Where nobody starved the rate is what was asked for, and the workers could have done more: then a step has paid even
  // less than it seems.
  // Further than the level that was enough lately it goes a step at a time, and not while less is done than before.
  const uint32_t known_level = Whole(options_.known * healthy_);
  if (sample.service_s > 0 && healthy_ > options_.known_from * base && wanted > known_level) {
    if (target_ >= known_level) {
      // Not for long: fewer may end because those that run now take longer.
      if (window_.age_s() < std::min(sample.service_s, options_.known_hold_s) ||
          (window_.age_s() < options_.known_hold_s && window_.raw_rate() < options_.slack * usual_rate_)) {
        return {target_, Reason::kPaced};
      }
      wanted = std::min(wanted, 2 * target_);
    } else {
      wanted = known_level;
    }
  }
  const bool known = Measured() && window_.rate() > 0;
  if (wanted <= free_level || target_ < free_level) {
    if (known && before_.workers == 0) before_ = {static_cast<double>(target_), window_.rate(), window_.starved()};
    return {std::min(wanted, std::max(Whole(free_level), target_)), Reason::kStarved};
  }
  // Beyond it the last step must have paid, or nothing at all has ended that could tell.
  const bool silent = !window_.any() && window_.age_s() >= options_.persist_s &&
                      window_.age_s() >= std::min(sample.service_s, options_.window_max_s) + options_.persist_s * 0.2;
  if (!Measured() && !silent) return {target_, Reason::kPaced};
  before_ = known ? Level{static_cast<double>(target_), window_.rate(), window_.starved()} : Level{};
  const uint32_t next = std::max(target_ + 1, Whole(target_ * options_.step));
  return {std::min(wanted, next), Reason::kStarved};
}

Decision LimitSearch::Search(const LoadSample& sample, uint32_t wanted, uint32_t base, bool starved) {
  content_s_ = starved ? 0 : content_s_ + sample.dt_s();
  if (content_s_ >= options_.relax_s) {
    Reset();
    return {std::max(target_, base), Reason::kLetGo};
  }
  const double rate = window_.rate();
  switch (state_) {
    case State::kOpen: break;
    case State::kDown:
      // Nobody starves: fewer are enough.
      if (!Measured()) break;
      if (rate >= options_.keep * best_.rate) {
        doubt_ = false;
        const bool errors = window_.error_share() >= options_.error_share;
        const bool enough = best_.rate == 0 && !errors;  // what made it look is over
        best_ = {limit_, rate, window_.starved(), window_.error_share()};
        if (!starved || limit_ <= base || enough) {
          Rest(sample.now_ns);
        } else {
          MoveTo(std::max<double>(base, limit_ * (errors ? options_.cut_on_errors : options_.cut)), State::kDown);
        }
      } else if (doubt_) {
        const double paid = best_.workers;
        Reset();
        proven_ = std::max(proven_, paid);
        return {Whole(paid), Reason::kSearchUp};
      } else {
        MoveTo(best_.workers, State::kRest);
        Rest(sample.now_ns);
      }
      break;
    case State::kRest:
      if (Measured() && ErrorsAreWorse() && limit_ > base) {
        best_.rate = rate;
        best_.errors = window_.error_share();
        bad_ = limit_;
        MoveTo(std::max<double>(base, limit_ * options_.cut), State::kDown);
        break;
      }
      if (Measured() && window_.starved()) best_.rate = rate;
      if (!starved || sample.now_ns < rest_until_ns_ || !Measured()) break;
      if (static_cast<double>(++probes_) >= options_.probes_down_every && limit_ > base) {
        probes_ = 0;
        MoveTo(std::max<double>(base, limit_ * options_.probe_down), State::kDown);
      } else {
        MoveTo(ProbeUp(), State::kUp);
      }
      break;
    case State::kUp:
      if (!Measured() && !ErrorsAreWorse()) break;
      if (!ErrorsAreWorse() && rate >= best_.rate * (1 + options_.gain * (limit_ / best_.workers - 1))) {
        best_ = {limit_, rate, window_.starved(), window_.error_share()};
        backoff_s_ = options_.backoff_first_s;
        if (bad_ <= limit_) bad_ = 0;
        if (starved) {
          MoveTo(ProbeUp(), State::kUp);
        } else {
          Rest(sample.now_ns);
        }
      } else {
        backoff_s_ = std::min(backoff_s_ * 2, options_.backoff_max_s);
        bad_ = limit_;
        MoveTo(best_.workers, State::kRest);
        Rest(sample.now_ns);
      }
      break;
  }
  limit_ = std::max<double>(limit_, base);
  const uint32_t allowed = Whole(limit_);
  if (allowed < target_) return {allowed, Reason::kSearchDown};
  if (wanted <= target_) return {target_, Reason::kHold};
  return {std::min(wanted, std::max(allowed, target_)), allowed > target_ ? Reason::kSearchUp : Reason::kHold};
}

void LimitSearch::NoteErrors(const LoadSample& sample) {
  if (sample.ended == 0) return;
  const double runs_kept = std::exp(-static_cast<double>(sample.ended) / options_.error_runs);
  runs_lately_ = runs_lately_ * runs_kept + static_cast<double>(sample.ended);
  failed_lately_ = failed_lately_ * runs_kept + static_cast<double>(sample.failed);
  const double kept = std::exp(-sample.dt_s() / options_.error_memory_s);
  errors_usual_ = errors_usual_ * kept + sample.error_share() * (1 - kept);
}

bool LimitSearch::ErrorsAreHigh() const {
  const double share = runs_lately_ > 0 ? failed_lately_ / runs_lately_ : 0;
  return runs_lately_ >= options_.error_runs / 2 && share >= options_.error_share &&
         share >= options_.error_ratio * errors_usual_;
}

bool LimitSearch::ErrorsAreWorse() const {
  const double share = window_.error_share();
  return window_.ended() >= options_.error_runs / 2 && share >= options_.error_share &&
         share >= options_.error_ratio * std::max(errors_usual_, best_.errors);
}

bool LimitSearch::Measured() const {
  if (window_.span_s() < options_.persist_s) return false;
  return window_.ended() >= options_.ended_min || window_.span_s() >= options_.window_max_s;
}

void LimitSearch::MoveTo(double workers, State state) {
  limit_ = std::max(workers, 1.0);
  state_ = state;
  runs_lately_ = failed_lately_ = 0;
  content_s_ = 0;
}

double LimitSearch::ProbeUp() const {
  const double next = best_.workers * options_.probe_up + 1;
  if (bad_ <= best_.workers) return next;
  // Half way to what was bad; where there is nothing between them, whether it still is.
  return std::max(best_.workers + 1, std::min(next, (best_.workers + bad_) / 2));
}

void LimitSearch::Rest(uint64_t now_ns) {
  state_ = State::kRest;
  rest_until_ns_ = TimeAfter(now_ns, static_cast<uint64_t>(backoff_s_ * 1e9));
}

}  // namespace workpool
