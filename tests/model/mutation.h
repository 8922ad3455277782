// Mutations: one memory order weakened or one fence left out, at one place of the source, while the
// program runs. What no test notices is either not needed or not tested (mutants.py).
#pragma once

#include <string>

#include "model/atomic.h"

namespace workpool::model {

enum class Role { kOnly, kSuccess, kFailure };  // which order of the operation

// True if sites are recorded or changed: then every operation asks Mutate.
extern bool g_watch_sites;

// The order that the operation really uses. A fence that is left out has order relaxed.
Order MutateSlow(Operation operation, Role role, Order order, const Site& site);
inline Order Mutate(Operation operation, Role role, Order order, const Site& site) {
  return g_watch_sites ? MutateSlow(operation, role, order, site) : order;
}

// text: FILE:LINE[:COLUMN]:KIND, KIND one of relaxed, acquire, release, acq_rel (the order becomes
// that), fail_relaxed, fail_acquire (the order of a failed compare-exchange) and none (a fence is
// left out). FILE is the end of a path. False: not understood.
bool SetMutation(const std::string& text);
// True if the mutated place was reached since SetMutation.
bool MutationReached();

// Records the sites in src/ and capi/ that are reached; the list has one line for each:
// FILE:LINE:COLUMN OPERATION ORDER [FAILURE ORDER] TEST, TEST, ...
void RecordSites();
void SetSitesTest(const std::string& name);
std::string ListSites();

}  // namespace workpool::model
