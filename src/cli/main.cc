// The workpool command: its subcommands and options. What they do stands in the file of their name.
#include <workpool/workpool.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <exception>
#include <string>

#include "demo.h"
#include "load.h"

namespace {

std::string Version() {
  return std::string("workpool ") + pool_version() + " (ABI " + std::to_string(pool_abi_version()) +
         ")";
}

void AddDemo(CLI::App& app, workpool_cli::DemoOptions& o) {
  CLI::App* demo = app.add_subcommand(
      "demo",
      "Hash and compress every file below DIR in an elastic pool, then serially, and compare");
  demo->add_option("DIR", o.directory, "Where the files are")->capture_default_str();
  demo->add_option("--workers-min", o.workers_min, "Workers kept when idle")->capture_default_str();
  demo->add_option("--workers-max", o.workers_max, "Most workers, 0 = automatic; a third of the tasks block")
      ->capture_default_str();
  demo->add_option("--keep-alive-ms", o.keep_alive_ms,
                   "Idle time after which a worker above the minimum ends")
      ->capture_default_str();
  demo->add_option("--limit", o.files_max, "Most files")->capture_default_str();
  demo->add_option("--limit-mib", o.mebibytes_max, "Most MiB of files")->capture_default_str();
  demo->add_flag("--plain", o.plain, "Lines instead of one live line, also on a terminal");
  // For testing the comparison: an empty group keeps it out of the help.
  demo->add_flag("--flip-one-digest", o.flip_one_digest)->group("");
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("The command of libworkpool, an elastic work-stealing worker pool.", "workpool");
  app.set_version_flag("--version", Version());
  app.require_subcommand(1);
  workpool_cli::DemoOptions demo_options;
  AddDemo(app, demo_options);
  workpool_cli::LoadOptions load_options;
  const CLI::App* const load = workpool_cli::AddLoad(app, &load_options);
  CLI11_PARSE(app, argc, argv);
  const char* const verb = load->parsed() ? "load" : "demo";
  try {
    return load->parsed() ? workpool_cli::RunLoads(load_options) : workpool_cli::RunDemo(demo_options);
  } catch (const std::exception& e) {
    std::fprintf(stderr, "workpool %s: %s\n", verb, e.what());
    return 2;
  }
}
