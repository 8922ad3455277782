#include <stdexcept>

#include "load.h"
#include "load_time.h"

namespace workpool_cli {
namespace {

constexpr char kFooter[] = R"(Examples:
  workpool load --shape ramp --from 100 --to 2000 --over 60s --hold 60s --down 60s --sleep 30ms..120ms
  workpool load --trace ramp.jsonl --policy ewma,alpha=0.2 --time-scale 0.2 --save ramp.json --live

Arrivals never wait for the pool: a thread of its own submits at the scheduled times. "wait" is from the submit to the
start of a task, "sojourn" from its scheduled arrival to its end, "submit late" how late the submits were themselves.

--emit-schedule prints one line for each arrival and runs nothing, so that other programs can replay the same load:
  t_us cpu_us blocked_us cpu2_us
t_us is the time of the arrival since the start, not descending; the task computes for cpu_us of CPU time, waits for
blocked_us, and computes for cpu2_us; all in whole microseconds.

Pools to compare with, small ones with the rules of others: threads-per-task, fixed:N, ants:CAP[,IDLE], pond:MAX.)";

CLI::Validator Within(double low, double high) {
  CLI::Range range(low, high);
  range.description("");  // the texts tell what is meant
  return range;
}

// A time option: "--over 60s".
template <typename Target>
void AddTime(CLI::App* load, const std::string& name, Target* out, const std::string& doc,
             const std::string& group = "Load") {
  load->add_option_function<std::string>(
          name,
          [name, out](const std::string& text) {
            try {
              *out = ParseTimeS(text);
            } catch (const std::invalid_argument& e) {
              throw CLI::ValidationError(name, e.what());
            }
          },
          doc)
      ->type_name("TIME")
      ->group(group);
}

void AddTaskTime(CLI::App* load, const std::string& name, std::string* out, const std::string& doc) {
  load->add_option_function<std::string>(
          name,
          [name, out](const std::string& text) {
            try {
              (void)ParseTaskTime(text);
            } catch (const std::invalid_argument& e) {
              throw CLI::ValidationError(name, e.what());
            }
            *out = text;
          },
          doc)
      ->type_name("TIME|A..B|gamma(MEAN,CV)")
      ->group("Load");
}

void AddLoadGroup(CLI::App* load, LoadOptions* o) {
  const CLI::Validator rates = Within(0, 1e6), scales = Within(1e-6, 1e6);
  ShapeOptions& shape = o->shape;
  load->add_option("--trace", o->traces, "Trace files, replayed one after another")->type_name("FILE")->group("Load");
  load->add_option("--shape", shape.shape, "Instead of a trace: constant, ramp, burst or step")->group("Load");
  load->add_option("--rate", shape.rate, "Arrivals per second: constant, burst")->check(rates)->group("Load");
  load->add_option("--from", shape.from, "First and last rate: ramp, step")->check(rates)->group("Load");
  load->add_option("--to", shape.to, "Highest rate: ramp, step")->check(rates)->group("Load");
  AddTime(load, "--over", &shape.over_s, "Time from --from to --to: ramp");
  AddTime(load, "--hold", &shape.hold_s, "Time at --to: ramp; of each of the three steps: step");
  AddTime(load, "--down", &shape.down_s, "Time back to --from: ramp");
  load->add_option("--burst-rate", shape.burst_rate, "Rate within a burst")->check(rates)->group("Load");
  AddTime(load, "--every", &shape.every_s, "From one burst to the next");
  AddTime(load, "--for", &shape.for_s, "How long a burst lasts");
  AddTime(load, "--duration", &shape.duration_s, "Time in all: constant, burst");
  AddTaskTime(load, "--cpu", &shape.cpu, "CPU time of a task of a shape");
  AddTaskTime(load, "--sleep", &shape.sleep, "Blocked time of a task of a shape");
  load->add_flag("--even", shape.even, "Evenly spaced arrivals instead of Poisson ones: shapes")->group("Load");
  load->add_option("--seed", o->plan.seed, "Other random numbers")->capture_default_str()->group("Load");
  load->add_option("--time-scale", o->plan.time_scale,
                   "Times of the trace x this, at the same rates: 0.1 is a tenth as long")
      ->check(scales)
      ->capture_default_str()
      ->group("Load");
  load->add_option("--rate-scale", o->plan.rate_scale,
                   "Rates x this, and connections and knees of what is called; if not given, a trace that computes is "
                   "scaled down to the cores there are")
      ->check(scales)
      ->group("Load");
  load->add_option("--cpu-scale", o->plan.cpu_scale,
                   "CPU time of each task x this; then rates are not scaled by themselves")
      ->check(Within(0, 1e6))
      ->group("Load");
  load->add_option("--cores", o->cores, "As if the machine had so many; 0: what this process may use")
      ->check(Within(0, 1024))
      ->group("Load");
}

void AddPoolGroup(CLI::App* load, LoadOptions* o) {
  WorkpoolOptions& pool = o->workpool;
  load->add_option("--pool", o->pool, "workpool, or a pool to compare with, see below")
      ->capture_default_str()
      ->group("Pool");
  load->add_option("--policy", pool.policy, "Scaling policy with its options, 'pid,setpoint=0.6'")->group("Pool");
  load->add_option("--workers-min", pool.workers_min, "Workers kept when idle")->group("Pool");
  load->add_option("--workers-max", pool.workers_max, "Most workers, 0 = automatic")->group("Pool");
  AddTime(load, "--keep-alive", &pool.keep_alive_s, "Idle time after which a worker above the minimum ends", "Pool");
  load->add_option("--set", pool.settings, "An option of the pool by its name; may be given again")
      ->type_name("NAME=VALUE")
      ->allow_extra_args(false)
      ->group("Pool");
  load->add_flag("--announce", o->run.announce, "Tasks tell the pool when they block")->group("Pool");
}

void AddRunGroup(CLI::App* load, LoadOptions* o) {
  load->add_flag("--server", o->run.server,
                 "Blocked time is a request to a TCP server on 127.0.0.1, which is started for it")
      ->group("Run");
  load->add_option("--connections", o->run.connections_max, "Most connections to it")
      ->check(Within(1, 8000))
      ->capture_default_str()
      ->group("Run");
  AddTime(load, "--drain", &o->run.drain_s,
          "How long tasks may take after the end of the trace, 30s if not given; then they are given up", "Run");
  load->add_flag("--live", o->run.live, "A line that tells where the run stands")->group("Run");
  load->add_option("--save", o->save, "Writes everything measured, over time too, as JSON")
      ->type_name("FILE")
      ->group("Run");
  load->add_flag("--emit-schedule", o->emit_schedule, "Only prints the arrivals, see below")->group("Run");
}

}  // namespace

CLI::App* AddLoad(CLI::App& app, LoadOptions* options) {
  CLI::App* load = app.add_subcommand("load", "Put an open load on a pool, from a trace or a shape, and measure it");
  AddLoadGroup(load, options);
  AddPoolGroup(load, options);
  AddRunGroup(load, options);
  load->footer(kFooter);
  return load;
}

}  // namespace workpool_cli
