// bench_features <workload> [name=value ...]: what features cost: a key of features/catalogue.h, or one of the others
// below. Prints one figure a line, "name value", and ends by itself, as the subjects' programs do.
#include <unistd.h>

#include <cstdio>
#include <string>

#include "bench/features/cost.h"
#include "bench/features/priority.h"
#include "bench/features/should_stop.h"
#include "bench/features/timers.h"

namespace bench {
namespace {

bool RunFeatures(const std::string& name, const Arguments& arguments) {
  if (name == "priority_queued") return PriorityWorkload(true, arguments), true;
  if (name == "priority_flowing") return PriorityWorkload(false, arguments), true;
  if (name == "timers") return TimersWorkload(arguments), true;
  if (name == "should_stop") return ShouldStopWorkload(arguments), true;
  for (const Feature& feature : Features()) {
    if (name == feature.key) return FeatureWorkload(feature, arguments), true;
  }
  return false;
}

}  // namespace
}  // namespace bench

int main(int argc, char** argv) {
  if (argc < 2) {
    std::fprintf(stderr, "usage: %s <workload> [name=value ...]\n", argv[0]);
    return 2;
  }
  const bench::Arguments arguments(argc - 2, argv + 2);
  alarm(static_cast<unsigned>(arguments.Number("limit_s", 20)));
  if (bench::RunFeatures(argv[1], arguments)) return 0;
  std::fprintf(stderr, "%s: no workload %s\n", argv[0], argv[1]);
  return 3;
}
