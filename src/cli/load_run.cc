#include "load_run.h"

#include <algorithm>
#include <cinttypes>
#include <cstdio>
#include <exception>
#include <memory>
#include <optional>
#include <thread>

#include "live_line.h"
#include "load_clock.h"
#include "load_neighbours.h"
#include "load_server.h"

namespace workpool_cli {
namespace {

constexpr uint64_t kSampleNs = 100'000'000;
// Once all has arrived the end is looked for as often.
constexpr uint64_t kDrainStepNs = 10'000'000;
// For everything to stand ready.
constexpr uint64_t kHeadStartNs = 20'000'000;
// Between two lines where none can be written over.
constexpr std::chrono::milliseconds kPlainInterval{1000};

// Submits the tasks when they are due. It is late where the machine is: that is measured, and no task is left out.
class Submitter {
 public:
  Submitter(std::vector<LoadTask>& tasks, uint64_t start_ns, LoadSubject& subject)
      : thread_([this, &tasks, start_ns, &subject] {
          try {
            SubmitAll(tasks, start_ns, subject);
          } catch (...) {
            thrown_ = std::current_exception();
          }
          cpu_ns_ = ThreadCpuNs();
          over_ = true;
        }) {}
  ~Submitter() {
    End();
    if (thread_.joinable()) thread_.join();
  }

  // No further task from now on.
  void End() { end_ = true; }
  bool over() const { return over_; }
  uint64_t arrived() const { return arrived_; }
  uint64_t accepted() const { return accepted_; }
  // After over(). Throws what it ended with.
  double CpuS() {
    thread_.join();
    if (thrown_) std::rethrow_exception(thrown_);
    return static_cast<double>(cpu_ns_) / 1e9;
  }

 private:
  void SubmitAll(std::vector<LoadTask>& tasks, uint64_t start_ns, LoadSubject& subject) {
    for (LoadTask& task : tasks) {
      if (!WaitUntilExactly(start_ns + task.plan->at_ns, end_)) return;
      task.submit_ns = NowNs();
      // First, so that nobody sees more tasks ended than accepted.
      ++accepted_;
      if (!subject.Submit(task)) {
        task.end = LoadTask::End::kRefused;
        --accepted_;
      }
      ++arrived_;
    }
  }

  std::atomic<bool> end_{false};
  std::atomic<uint64_t> arrived_{0};
  std::atomic<uint64_t> accepted_{0};
  std::atomic<bool> over_{false};
  uint64_t cpu_ns_ = 0;
  std::exception_ptr thrown_;
  std::thread thread_;
};

class Sampler {
 public:
  Sampler(uint64_t start_ns, LoadSubject& subject, LoadWorld& world, bool live)
      : start_ns_(start_ns), last_ns_(start_ns), subject_(subject), world_(world) {
    if (live) line_ = std::make_unique<LiveLine>(0, false, kPlainInterval);
  }

  void Sample(uint64_t now_ns, const Submitter& submitter, std::vector<SeriesRow>* series) {
    const LoadSubject::State state = subject_.Now();
    const uint64_t arrived = submitter.arrived(), ended = world_.ended();
    const double dt_s = static_cast<double>(now_ns - last_ns_) / 1e9;
    SeriesRow row;
    row.t_s = static_cast<double>(now_ns - start_ns_) / 1e9;
    row.arrivals_per_s = static_cast<double>(arrived - arrived_) / dt_s;
    row.ended_per_s = static_cast<double>(ended - ended_) / dt_s;
    row.wait_max_ms = static_cast<double>(world_.TakeWaitMaxNs()) / 1e6;
    row.workers = state.live;
    row.busy = state.busy;
    row.target = state.target;
    row.queued = state.queued;
    series->push_back(row);
    last_ns_ = now_ns;
    arrived_ = arrived;
    ended_ = ended;
    if (line_ != nullptr && std::chrono::steady_clock::now() >= next_line_) Show(row);
  }
  void Keep() {
    if (line_ != nullptr) line_->Keep();
  }

 private:
  void Show(const SeriesRow& row) {
    char target[16] = "";
    if (row.target) std::snprintf(target, sizeof target, " of %" PRIu32, *row.target);
    char text[200];
    std::snprintf(text, sizeof text,
                  "%6.1f s  %6.0f/s in  %6.0f/s out  workers %4" PRIu32 "%s (%" PRIu32 " busy)  queue %6" PRIu64
                  "  wait %8.2f ms",
                  row.t_s, row.arrivals_per_s, row.ended_per_s, row.workers, target, row.busy, row.queued,
                  row.wait_max_ms);
    line_->ShowText(text);
    next_line_ = std::chrono::steady_clock::now() + line_->interval();
  }

  const uint64_t start_ns_;
  uint64_t last_ns_;
  uint64_t arrived_ = 0;
  uint64_t ended_ = 0;
  LoadSubject& subject_;
  LoadWorld& world_;
  std::unique_ptr<LiveLine> line_;
  std::chrono::steady_clock::time_point next_line_{};
};

// Ends all that tasks do: before anything that they use is gone, whatever happens.
struct Ending {
  Ending(LoadWorld& of_world, LoadServer* of_server, LoadSubject& of_subject)
      : world(of_world), server(of_server), subject(of_subject) {}
  ~Ending() {
    world.Hurry();
    if (server != nullptr) server->Hurry();
    subject.Close();
  }
  LoadWorld& world;
  LoadServer* server;
  LoadSubject& subject;
};

}  // namespace

LoadResult RunLoad(const LoadPlan& plan, LoadSubject& subject, const RunOptions& options,
                   const std::atomic<bool>& stop) {
  LoadResult result;
  result.pool = subject.Name();
  // Some of the server's places may be taken by connections that the client has just given up.
  std::unique_ptr<LoadServer> server;
  std::unique_ptr<LoadClient> client;
  if (options.server) {
    server = std::make_unique<LoadServer>(options.connections_max + 16);
    client = std::make_unique<LoadClient>(server->port(), options.connections_max);
  }
  LoadWorld world(plan.trace, client.get(), options.announce);
  std::vector<LoadTask> tasks(plan.arrivals.size());
  for (size_t i = 0; i < tasks.size(); ++i) {
    tasks[i].plan = &plan.arrivals[i];
    tasks[i].world = &world;
  }

  std::optional<Ending> ending;
  ending.emplace(world, server.get(), subject);

  const double cpu_before_s = ProcessCpuS();
  const uint64_t own_cpu_before_ns = ThreadCpuNs();
  const uint64_t start_ns = NowNs() + kHeadStartNs;
  const uint64_t trace_end_ns = start_ns + static_cast<uint64_t>(plan.trace.duration_s * 1e9);
  const uint64_t drain_ns = static_cast<uint64_t>(options.drain_s * 1e9);
  world.Start(start_ns);
  LoadNeighbours neighbours(plan.trace, start_ns);
  Submitter submitter(tasks, start_ns, subject);
  Sampler sampler(start_ns, subject, world, options.live);

  const std::atomic<bool> never{false};
  SleepUntil(start_ns, never);
  // Of threads that wait for the first task already; some pools start theirs by themselves.
  const double threads_before_s = subject.threads().Read(start_ns).thread_s;
  uint64_t next_sample_ns = start_ns + kSampleNs, arrivals_end_ns = 0, now_ns = 0;
  for (;;) {
    const uint64_t step_ns = arrivals_end_ns == 0 ? kSampleNs : kDrainStepNs;
    SleepUntil(std::min(next_sample_ns, std::max(NowNs(), start_ns) + step_ns), never);
    now_ns = NowNs();
    if (now_ns >= next_sample_ns) {
      sampler.Sample(now_ns, submitter, &result.series);
      while (next_sample_ns <= now_ns) next_sample_ns += kSampleNs;
    }
    if (stop) submitter.End();
    if (stop && submitter.over()) break;
    if (!submitter.over()) continue;
    if (arrivals_end_ns == 0) arrivals_end_ns = now_ns;
    const bool idle = world.ended() >= submitter.accepted();
    if (idle && now_ns >= trace_end_ns) break;
    if (!idle && now_ns >= std::max(arrivals_end_ns, trace_end_ns) + drain_ns) break;
  }
  sampler.Keep();
  result.interrupted = stop;
  result.drained = world.ended() >= submitter.accepted();
  result.threads = subject.threads().Read(now_ns);
  result.threads.thread_s -= threads_before_s;
  result.elapsed_s = static_cast<double>(now_ns - std::min(now_ns, start_ns)) / 1e9;
  result.told["start_ns"] = start_ns;
  neighbours.End();
  result.cpu.process_s = ProcessCpuS() - cpu_before_s;
  result.cpu.sampler_s = static_cast<double>(ThreadCpuNs() - own_cpu_before_ns) / 1e9;
  result.cpu.neighbours_s = neighbours.CpuS();
  if (server != nullptr) result.cpu.server_s = server->CpuS();
  result.cpu.submitter_s = submitter.CpuS();
  subject.Tell(&result.told);
  ending.reset();
  Judge(plan, tasks, start_ns, &result);
  return result;
}

}  // namespace workpool_cli
