// LimitSearch: how many workers are worth having, by experiment. Open, it lets growth pass up to a free level, and beyond it
// in steps that must pay; where a step does not, or tasks begin to fail, it looks for the level with the most goodput: down
// while fewer do as much, then up and down again from time to time. It opens when nobody starves any more.
// Errors say only in which direction to look; goodput decides.
// Threads: one at a time.
#pragma once

#include <cstdint>

#include "scaling/decider.h"
#include "scaling/goodput.h"

namespace workpool {

struct LimitSearchOptions {
  double step = 1.5;              // beyond the free level
  double elasticity = 0.4;        // d log(goodput) / d log(workers) that a step must reach
  double persist_s = 0.1;         // a level is measured for at least so long,
  double ended_min = 60;          // and until so many runs have ended,
  double window_max_s = 1;        // but not longer than this; so long it also waits for tasks begun before
  double known = 2.5;             // times the level that was enough lately: beyond it growth waits for what it does
  double known_from = 1.25;       // times the base: a level below it says nothing of what tasks wait for
  double known_hold_s = 0.05;     // but not for longer than this
  double slack = 0.7;             // of the goodput before, that must still be there then
  double healthy_memory_s = 2;    // over which the level that was enough is remembered
  double cut = 0.7;
  double cut_on_errors = 0.5;
  double keep = 0.92;             // of the goodput before, or a cut is taken back
  double probe_up = 1.15;         // and one more
  double probe_down = 0.75;
  double probes_down_every = 4;
  double gain = 0.25;             // of the growth that a probe must give in goodput
  double backoff_first_s = 0.3;   // between probes
  double backoff_max_s = 4;
  double error_runs = 16;         // so many runs are looked back
  double error_share = 0.15;      // of failures makes it look,
  double error_ratio = 2;         // if it is so many times the usual
  double error_memory_s = 60;     // what is usual
  double relax_s = 2;             // nobody starves for so long: open
};

class LimitSearch {
 public:
  explicit LimitSearch(const LimitSearchOptions& options) : options_(options) {}

  // How many may be up, given that wanted would be good and base are always allowed; at most wanted. free_level: growth up
  // to there needs no proof. starved: tasks have waited too long.
  [[nodiscard]] Decision Allow(const LoadSample& sample, uint32_t wanted, uint32_t base, double free_level, bool starved);

  // The most workers at which a step has paid.
  [[nodiscard]] double proven() const { return proven_; }
  [[nodiscard]] bool open() const { return state_ == State::kOpen; }
  void Reset();

 private:
  enum class State {
    kOpen,   // no limit
    kDown,   // measures whether fewer do as much
    kRest,   // at the best known level
    kUp,     // measures whether more do more
  };
  struct Level {
    double workers = 0;
    double rate = 0;       // goodput there
    bool full = false;     // tasks waited all the time: more could not be done
    double errors = 0;     // share of runs that failed there
  };

  [[nodiscard]] Decision Open(const LoadSample& sample, uint32_t wanted, uint32_t base, double free_level);
  [[nodiscard]] Decision Search(const LoadSample& sample, uint32_t wanted, uint32_t base, bool starved);
  void NoteErrors(const LoadSample& sample);
  [[nodiscard]] bool ErrorsAreHigh() const;
  // More fail here than at the best level, and than usual.
  [[nodiscard]] bool ErrorsAreWorse() const;
  // The window at this level says something.
  [[nodiscard]] bool Measured() const;
  void MoveTo(double workers, State state);
  void Rest(uint64_t now_ns);
  // The next level to try above the best one.
  [[nodiscard]] double ProbeUp() const;

  const LimitSearchOptions options_;
  State state_ = State::kOpen;
  Goodput window_;       // at the level that holds now
  uint32_t target_ = 0;  // seen last
  Level before_;         // the level that the last step in the open came from
  Level best_;
  double bad_ = 0;       // a level above best_ that was worse; 0: none is known
  double limit_ = 0;
  double proven_ = 0;
  uint64_t healthy_ns_ = 0;  // when these were noted
  double usual_work_ = 0;    // workers at work, smoothed like
  double usual_rate_ = 0;  // goodput, smoothed like
  double healthy_ = 0;   // the target, smoothed, while nothing failed
  uint64_t rest_until_ns_ = 0;
  double backoff_s_ = 0;
  double content_s_ = 0;  // nobody has starved for so long
  uint32_t probes_ = 0;
  bool doubt_ = false;  // the cut only shows whether growth has paid
  double errors_usual_ = 0;
  double runs_lately_ = 0;     // fading with each run that ends, and
  double failed_lately_ = 0;   // those of them that failed
};

}  // namespace workpool
