#include "scaling/cpu_ledger.h"

#include <algorithm>

#include "base/process.h"

namespace workpool {
namespace {

constinit PerProcess<CpuLedger> g_ledger;

}  // namespace

CpuLedger* CpuLedger::OfProcess() { return g_ledger.Ensure(); }

double CpuLedger::Report(Line& line, uint64_t now_ns, double cores, double runnable, bool starved) {
  MutexLock lock(mu_);
  if (!line.listed) {
    line.listed = true;
    line.next = lines_;
    lines_ = &line;
  }
  line.runnable = runnable;
  line.starved = starved;
  line.at_ns = now_ns;
  double used = 0;
  uint32_t starving = starved ? 1 : 0;
  for (const Line* other = lines_; other != nullptr; other = other->next) {
    if (other == &line || now_ns - std::min(now_ns, other->at_ns) > kStaleNs) continue;
    used += other->runnable;
    starving += other->starved ? 1 : 0;
  }
  const double idle = std::max(0.0, cores - runnable - used);
  return used + idle - idle / std::max(starving, 1u);
}

void CpuLedger::Leave(Line& line) {
  MutexLock lock(mu_);
  if (!line.listed) return;
  Line** link = &lines_;
  while (*link != &line) link = &(*link)->next;
  *link = line.next;
  line.listed = false;
}

}  // namespace workpool
