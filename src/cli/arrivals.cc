#include "arrivals.h"

#include <algorithm>
#include <cmath>

namespace workpool_cli {
namespace {

// xoshiro256** seeded by splitmix64 (Blackman and Vigna, 2018).
class Generator {
 public:
  explicit Generator(uint64_t seed) {
    for (uint64_t& word : state_) {
      seed += 0x9E3779B97F4A7C15u;
      uint64_t z = seed;
      z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
      z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
      word = z ^ (z >> 31);
    }
  }

  // In (0, 1): never 0, so that its logarithm is finite.
  double Uniform() { return (static_cast<double>(Next() >> 11) + 0.5) * 0x1p-53; }
  double Exponential() { return -std::log(Uniform()); }

  // Marsaglia's polar method; the second number is not kept, so that each call stands for itself.
  double Normal() {
    for (;;) {
      const double u = 2 * Uniform() - 1, v = 2 * Uniform() - 1, s = u * u + v * v;
      if (s < 1 && s > 0) return u * std::sqrt(-2 * std::log(s) / s);
    }
  }

  // Mean = shape. Marsaglia and Tsang, 2000; below 1 by a power of a uniform number.
  double Gamma(double shape) {
    if (shape < 1) return Gamma(shape + 1) * std::pow(Uniform(), 1 / shape);
    const double d = shape - 1.0 / 3, c = 1 / std::sqrt(9 * d);
    for (;;) {
      const double x = Normal(), t = 1 + c * x;
      if (t <= 0) continue;
      const double v = t * t * t;
      if (std::log(Uniform()) < 0.5 * x * x + d - d * v + d * std::log(v)) return d * v;
    }
  }

 private:
  static uint64_t Rotated(uint64_t x, int bits) { return x << bits | x >> (64 - bits); }

  uint64_t Next() {
    const uint64_t result = Rotated(state_[1] * 5, 7) * 9, shifted = state_[1] << 17;
    state_[2] ^= state_[0];
    state_[3] ^= state_[1];
    state_[1] ^= state_[2];
    state_[0] ^= state_[3];
    state_[2] ^= shifted;
    state_[3] = Rotated(state_[3], 45);
    return result;
  }

  uint64_t state_[4];
};

uint64_t Ns(double s) { return static_cast<uint64_t>(std::llround(s * 1e9)); }

uint64_t Draw(const Distribution& time, Generator& random) {
  switch (time.shape) {
    case Distribution::Shape::kGamma: {
      const double shape = 1 / (time.cv * time.cv);
      return Ns(random.Gamma(shape) * time.mean_s / shape);
    }
    case Distribution::Shape::kUniform:
      return Ns(time.low_s + (time.high_s - time.low_s) * random.Uniform());
    case Distribution::Shape::kFixed:
      break;
  }
  return Ns(time.mean_s);
}

const TaskKind& Choose(const std::vector<TaskKind>& kinds, Generator& random) {
  if (kinds.size() == 1) return kinds[0];
  double all = 0;
  for (const TaskKind& kind : kinds) all += kind.share;
  double left = random.Uniform() * all;
  for (const TaskKind& kind : kinds) {
    left -= kind.share;
    if (left < 0) return kind;
  }
  return kinds.back();
}

Arrival Make(double t_s, const TaskKind& kind, Generator& random) {
  Arrival a;
  a.at_ns = Ns(t_s);
  a.cpu_ns = Draw(kind.cpu, random);
  a.locked_ns = Draw(kind.locked, random);
  a.blocked_ns = Draw(kind.blocked, random);
  a.cpu2_ns = Draw(kind.cpu2, random);
  a.downstream = static_cast<int16_t>(kind.downstream);
  a.mutex = static_cast<int16_t>(kind.mutex);
  a.retries = kind.retries;
  return a;
}

void AddPhase(const Phase& phase, Generator& random, std::vector<Arrival>* out) {
  const double most = phase.RateMax();
  if (most <= 0) return;
  double t_s = phase.from_s;
  if (phase.even) {
    // The next one is due when the rate has added up to 1; steps are fine enough to follow any rate.
    double due = 0;
    for (;;) {
      const double step_s = std::min(1 / most, 1e-3);
      const double rate = phase.RateAt(t_s);
      if (rate > 0 && due + rate * step_s >= 1 - 1e-9) {
        t_s += (1 - due) / rate;
        due = 0;
        if (t_s >= phase.to_s) return;
        out->push_back(Make(t_s, Choose(phase.tasks, random), random));
      } else {
        due += rate * step_s;
        t_s += step_s;
        if (t_s >= phase.to_s) return;
      }
    }
  }
  // Thinned from the highest rate.
  for (;;) {
    t_s += random.Exponential() / most;
    if (t_s >= phase.to_s) return;
    if (random.Uniform() * most < phase.RateAt(t_s)) out->push_back(Make(t_s, Choose(phase.tasks, random), random));
  }
}

}  // namespace

std::vector<Arrival> MakeArrivals(const Trace& trace, uint64_t seed) {
  std::vector<Arrival> out;
  for (size_t i = 0; i < trace.phases.size(); ++i) {
    // Each phase has its own numbers, so that a change in one leaves the others as they are.
    Generator random(seed * 0xD1342543DE82EF95u + i);
    AddPhase(trace.phases[i], random, &out);
  }
  for (const TraceRow& row : trace.rows) {
    out.push_back({Ns(row.t_s), Ns(row.cpu_s), Ns(row.locked_s), Ns(row.blocked_s), Ns(row.cpu2_s),
                   static_cast<int16_t>(row.downstream), static_cast<int16_t>(row.mutex), row.retries});
  }
  std::stable_sort(out.begin(), out.end(), [](const Arrival& a, const Arrival& b) { return a.at_ns < b.at_ns; });
  return out;
}

}  // namespace workpool_cli
