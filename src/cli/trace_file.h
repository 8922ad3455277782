// Trace: what is asked of a pool over time, as a file, so that the simulator and the load generator replay the same.
// The file is JSON lines: a header, then phases that generate arrivals, or rows that are arrivals; in any mix.
// tests/sim/README.md lists every field. A file that does not fit is refused with its line and what is allowed.
#pragma once

#include <cstdint>
#include <iosfwd>
#include <stdexcept>
#include <string>
#include <vector>

namespace workpool_cli {

// "FILE:LINE: what is wrong, and what is allowed".
struct TraceError : std::runtime_error {
  using std::runtime_error::runtime_error;
};

// A time that a task needs.
struct Distribution {
  enum class Shape : uint8_t { kFixed, kGamma, kUniform };
  Shape shape = Shape::kFixed;
  double mean_s = 0;
  double cv = 0;     // gamma: standard deviation / mean
  double low_s = 0;  // uniform
  double high_s = 0;
};

// A task is CPU, CPU under a mutex, a call or sleep that needs no CPU, and CPU again; each may be 0.
struct TaskKind {
  double share = 1;  // of the arrivals of its phase, relative to the other kinds
  Distribution cpu;
  Distribution locked;
  Distribution blocked;
  Distribution cpu2;
  int downstream = -1;   // index of what the blocked time is spent in; -1: a sleep
  int mutex = -1;        // index; -1: none
  uint32_t retries = 0;  // a task that failed runs again so often
};

// Arrivals for a while: Poisson at a rate that may change in time, or evenly spaced.
struct Phase {
  double from_s = 0;
  double to_s = 0;
  bool even = false;
  // Rate per second: a straight line, or a sine from low (at from_s) to high and back in a period.
  double rate_from = 0;
  double rate_to = 0;
  double period_s = 0;  // 0: a line
  double low = 0;
  double high = 0;
  // Within for_s after each first_s + k * every_s it is burst_rate instead.
  double burst_every_s = 0;  // 0: no bursts
  double burst_for_s = 0;
  double burst_first_s = 0;
  double burst_rate = 0;
  std::vector<TaskKind> tasks;

  [[nodiscard]] double RateAt(double t_s) const;
  [[nodiscard]] double RateMax() const;
};

// One arrival, written out.
struct TraceRow {
  double t_s = 0;
  double cpu_s = 0;
  double locked_s = 0;
  double blocked_s = 0;
  double cpu2_s = 0;
  int downstream = -1;
  int mutex = -1;
  uint32_t retries = 0;
};

// Something that tasks call. Between from_s and to_s a call that begins while n are in flight, itself counted, takes
// blocked * factor * max(1, n / knee)^power, and fails at its end if n > fail_beyond * knee. At any time one that would
// take longer than timeout_s fails then.
struct Downstream {
  std::string name;
  double factor = 1;
  double knee = 0;  // 0: none
  double power = 2;
  double fail_beyond = 1.5;  // 0: no call is refused for the number in flight
  double timeout_s = 2;      // 0: never; a wait for a connection counts
  double from_s = 0;
  double to_s = 0;
  uint32_t connections = 0;  // so many calls at once, later ones wait in order; 0: any number

  // The time of a call that begins at t_s as one of in_flight; *fails: it comes back as an error.
  [[nodiscard]] double CallS(double blocked_s, double t_s, double in_flight, bool* fails) const;
};

struct CoresStep {
  double t_s = 0;
  double cores = 0;
};

// Threads of other processes that always want to run.
struct NeighbourStep {
  double t_s = 0;
  uint32_t threads = 0;
};

struct Trace {
  std::string name;
  std::string note;
  double cores = 8;
  double duration_s = 0;                  // arrivals end here
  int64_t wall_s = 0;                     // the time of day at its start, seconds since the epoch
  std::vector<CoresStep> quota;           // ascending in time
  std::vector<NeighbourStep> neighbours;  // ascending in time
  std::vector<Downstream> downstreams;
  std::vector<std::string> mutexes;
  std::vector<Phase> phases;
  std::vector<TraceRow> rows;
  std::string text;  // the file, for whoever wants to know whether it is the same
};

// Throw TraceError.
[[nodiscard]] Trace ReadTrace(const std::string& path);
[[nodiscard]] Trace ParseTrace(std::istream& in, const std::string& file_name);

}  // namespace workpool_cli
