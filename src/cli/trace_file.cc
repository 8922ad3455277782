#include "trace_file.h"

#include <algorithm>
#include <cmath>
#include <fstream>
#include <iterator>
#include <numbers>
#include <sstream>

#include "trace_fields.h"

namespace workpool_cli {
namespace {

constexpr double kRateMax = 1e6;
constexpr double kCoresMax = 1024;
constexpr double kCountMax = 100'000;

// Reads lines in order; what the header names is known to those below it.
class Reader {
 public:
  explicit Reader(Trace* trace) : trace_(*trace) {}

  void Header(const Json& json, const std::string& place) {
    TraceFields header(json, place, "the header");
    trace_.name = header.Text("trace");
    if (trace_.name.empty()) header.Refuse("the first line is the header and needs a name, \"trace\":\"...\"");
    trace_.note = header.Text("note");
    trace_.cores = header.Number("cores", 8, 0.01, kCoresMax);
    trace_.duration_s = header.Needed("duration_s", 1e-3, kTimeMaxS);
    trace_.wall_s = static_cast<int64_t>(header.Number("wall_s", 0, 0, 1e11));
    double before_s = -1;
    for (const Json& one : header.List("quota")) {
      TraceFields step = header.Inner(one, "a quota step");
      trace_.quota.push_back({Later(step, &before_s), step.Needed("cores", 0.01, kCoresMax)});
      step.Done();
    }
    before_s = -1;
    for (const Json& one : header.List("neighbours")) {
      TraceFields step = header.Inner(one, "a neighbours step");
      trace_.neighbours.push_back({Later(step, &before_s), step.Count("threads", kCountMax)});
      step.Done();
    }
    for (const Json& one : header.List("downstreams")) AddDownstream(header.Inner(one, "a downstream"));
    for (const Json& one : header.List("mutexes")) {
      if (!one.is_string()) header.Refuse("mutexes is a list of names");
      trace_.mutexes.push_back(one.get<std::string>());
    }
    tasks_ = Tasks(header);
    header.Done();
  }

  void Line(const Json& json, const std::string& place) {
    if (json.is_object() && json.contains("t")) {
      Row(TraceFields(json, place, "a row"));
    } else {
      AddPhase(TraceFields(json, place, "a phase"));
    }
  }

 private:
  static double Later(TraceFields& step, double* before_s) {
    const double t_s = step.Needed("t", 0, kTimeMaxS);
    if (t_s <= *before_s) step.Refuse("steps must ascend in t");
    return *before_s = t_s;
  }

  void AddDownstream(TraceFields fields) {
    Downstream d;
    d.name = fields.Text("name");
    if (d.name.empty()) fields.Refuse("a downstream needs a name");
    d.factor = fields.Number("factor", 1, 0, 1e6);
    d.knee = fields.Number("knee", 0, 0, kCountMax);
    d.power = fields.Number("power", 2, 0, 10);
    d.fail_beyond = fields.Number("fail_beyond", 1.5, 0, 1e6);
    d.timeout_s = fields.Number("timeout_s", 2, 0, kTimeMaxS);
    d.from_s = fields.Number("from_s", 0, 0, kTimeMaxS);
    d.to_s = fields.Number("to_s", kTimeMaxS, d.from_s, kTimeMaxS);
    d.connections = fields.Count("connections", kCountMax);
    fields.Done();
    downstream_names_.push_back(d.name);
    trace_.downstreams.push_back(std::move(d));
  }

  std::vector<TaskKind> Tasks(TraceFields& fields) {
    std::vector<TaskKind> kinds;
    for (const Json& one : fields.List("tasks")) {
      TraceFields inner = fields.Inner(one, "a kind of task");
      TaskKind kind;
      kind.share = inner.Number("share", 1, 0, 1e6);
      kind.cpu = inner.Time("cpu_s");
      kind.locked = inner.Time("locked_s");
      kind.blocked = inner.Time("blocked_s");
      kind.cpu2 = inner.Time("cpu2_s");
      kind.downstream = inner.Named("downstream", downstream_names_);
      kind.mutex = inner.Named("mutex", trace_.mutexes);
      kind.retries = inner.Count("retries", 100);
      inner.Done();
      if (kind.locked.mean_s > 0 && kind.mutex < 0) inner.Refuse("a kind of task with locked_s needs a mutex");
      kinds.push_back(kind);
    }
    return kinds;
  }

  void AddPhase(TraceFields fields) {
    Phase phase;
    phase.from_s = fields.Number("from_s", 0, 0, trace_.duration_s);
    phase.to_s = fields.Number("to_s", trace_.duration_s, phase.from_s, trace_.duration_s);
    const bool constant = fields.Has("rate"), line = fields.Has("rate_from") || fields.Has("rate_to");
    const bool sine = fields.Has("sine");
    if (constant + line + sine != 1) fields.Refuse("a phase needs one of: rate, rate_from with rate_to, sine");
    if (constant) phase.rate_from = phase.rate_to = fields.Needed("rate", 0, kRateMax);
    if (line) {
      phase.rate_from = fields.Needed("rate_from", 0, kRateMax);
      phase.rate_to = fields.Needed("rate_to", 0, kRateMax);
    }
    if (sine) {
      TraceFields inner = fields.Inner(fields.At("sine"), "sine");
      phase.period_s = inner.Needed("period_s", 1e-3, kTimeMaxS);
      phase.low = inner.Needed("low", 0, kRateMax);
      phase.high = inner.Needed("high", phase.low, kRateMax);
      inner.Done();
    }
    if (fields.Has("burst")) {
      TraceFields inner = fields.Inner(fields.At("burst"), "burst");
      phase.burst_every_s = inner.Needed("every_s", 1e-3, kTimeMaxS);
      phase.burst_for_s = inner.Needed("for_s", 0, phase.burst_every_s);
      phase.burst_first_s = inner.Number("first_s", phase.from_s, 0, kTimeMaxS);
      phase.burst_rate = inner.Needed("rate", 0, kRateMax);
      inner.Done();
    }
    const std::string spacing = fields.Text("spacing");
    if (!spacing.empty() && spacing != "poisson" && spacing != "even") {
      fields.Refuse("spacing is '" + spacing + "', allowed: poisson, even");
    }
    phase.even = spacing == "even";
    phase.tasks = Tasks(fields);
    if (phase.tasks.empty()) phase.tasks = tasks_;
    if (phase.tasks.empty()) fields.Refuse("neither the phase nor the header says which tasks");
    fields.Done();
    trace_.phases.push_back(std::move(phase));
  }

  void Row(TraceFields fields) {
    TraceRow row;
    row.t_s = fields.Needed("t", 0, trace_.duration_s);
    row.cpu_s = fields.Number("cpu_s", 0, 0, kTimeMaxS);
    row.locked_s = fields.Number("locked_s", 0, 0, kTimeMaxS);
    row.blocked_s = fields.Number("blocked_s", 0, 0, kTimeMaxS);
    row.cpu2_s = fields.Number("cpu2_s", 0, 0, kTimeMaxS);
    row.downstream = fields.Named("downstream", downstream_names_);
    row.mutex = fields.Named("mutex", trace_.mutexes);
    row.retries = fields.Count("retries", 100);
    fields.Done();
    if (row.locked_s > 0 && row.mutex < 0) fields.Refuse("a row with locked_s needs a mutex");
    trace_.rows.push_back(row);
  }

  Trace& trace_;
  std::vector<std::string> downstream_names_;
  std::vector<TaskKind> tasks_;  // of phases that name none
};

}  // namespace

double Phase::RateAt(double t_s) const {
  if (burst_every_s > 0 && t_s >= burst_first_s && std::fmod(t_s - burst_first_s, burst_every_s) < burst_for_s) {
    return burst_rate;
  }
  if (period_s > 0) return low + (high - low) * (1 - std::cos(2 * std::numbers::pi * (t_s - from_s) / period_s)) / 2;
  if (to_s <= from_s) return 0;
  return rate_from + (rate_to - rate_from) * (t_s - from_s) / (to_s - from_s);
}

double Phase::RateMax() const {
  const double base = period_s > 0 ? high : std::max(rate_from, rate_to);
  return burst_every_s > 0 ? std::max(base, burst_rate) : base;
}

double Downstream::CallS(double blocked_s, double t_s, double in_flight, bool* fails) const {
  double time_s = blocked_s;
  *fails = false;
  if (t_s >= from_s && t_s < to_s) {
    time_s *= factor;
    if (knee > 0 && in_flight > knee) {
      time_s *= std::pow(in_flight / knee, power);
      *fails = fail_beyond > 0 && in_flight > fail_beyond * knee;
    }
  }
  if (timeout_s > 0 && time_s > timeout_s) {
    time_s = timeout_s;
    *fails = true;
  }
  return time_s;
}

Trace ParseTrace(std::istream& in, const std::string& file_name) {
  Trace trace;
  trace.text.assign(std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>());
  std::istringstream lines(trace.text);
  Reader reader(&trace);
  std::string line;
  for (int number = 1; std::getline(lines, line); ++number) {
    if (line.find_first_not_of(" \t\r") == std::string::npos) continue;
    const std::string place = file_name + ":" + std::to_string(number);
    Json json;
    try {
      json = Json::parse(line);
    } catch (const Json::parse_error& e) {
      throw TraceError(place + ": not JSON, one object a line is allowed: " + e.what());
    }
    if (trace.name.empty()) {
      reader.Header(json, place);
    } else {
      reader.Line(json, place);
    }
  }
  if (trace.name.empty()) throw TraceError(file_name + ":1: empty, the first line is the header");
  return trace;
}

Trace ReadTrace(const std::string& path) {
  std::ifstream in(path);
  if (!in) throw TraceError(path + ": cannot be opened");
  return ParseTrace(in, path);
}

}  // namespace workpool_cli
