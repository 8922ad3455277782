#include "model/mutation.h"

#include <cstring>
#include <map>
#include <set>
#include <tuple>

#include "model/scheduler.h"

namespace workpool::model {

bool g_watch_sites = false;

namespace {

struct Mutation {
  bool active = false;
  bool reached = false;
  std::string file;
  uint32_t line = 0;
  uint32_t column = 0;  // 0: any
  Role role = Role::kOnly;
  Order order = std::memory_order_relaxed;
};

struct Seen {
  Order order = std::memory_order_seq_cst;
  Order failure_order = std::memory_order_relaxed;
  std::set<std::string> tests;
};

Mutation g_mutation;
bool g_recording = false;
std::string g_test;
// std::map, by name: the list comes out in the order of the source.
std::map<std::tuple<std::string, uint32_t, uint32_t, Operation>, Seen> g_sites;

constexpr const char* kOperationNames[] = {"load",       "store",       "rmw",        "cas",
                                           "full-fence", "light-fence", "heavy-fence"};

const char* Name(Order order) {
  switch (order) {
    case std::memory_order_relaxed:
      return "relaxed";
    case std::memory_order_consume:
    case std::memory_order_acquire:
      return "acquire";
    case std::memory_order_release:
      return "release";
    case std::memory_order_acq_rel:
      return "acq_rel";
    case std::memory_order_seq_cst:
      return "seq_cst";
  }
  return "?";
}

bool EndsWith(const char* text, const std::string& end) {
  const size_t length = std::strlen(text);
  return length >= end.size() && end == text + length - end.size();
}

// Path from the top of the project for the library's own files, else empty.
std::string InProject(const char* path) {
  for (const char* folder : {"/src/", "/capi/"}) {
    const char* found = nullptr;
    for (const char* at = path; (at = std::strstr(at, folder)) != nullptr; ++at) found = at;
    if (found != nullptr) return found + 1;
  }
  return "";
}

}  // namespace

Order MutateSlow(Operation operation, Role role, Order order, const Site& site) {
  if (g_recording) {
    const std::string file = InProject(site.file_name());
    if (!file.empty()) {
      Seen& seen = g_sites[{file, site.line(), site.column(), operation}];
      (role == Role::kFailure ? seen.failure_order : seen.order) = order;
      if (seen.tests.empty() || !seen.tests.contains(g_test)) seen.tests.insert(g_test);
    }
  }
  if (g_mutation.active && site.line() == g_mutation.line &&
      (g_mutation.column == 0 || site.column() == g_mutation.column) &&
      (role == Role::kFailure) == (g_mutation.role == Role::kFailure) &&
      EndsWith(site.file_name(), g_mutation.file)) {
    g_mutation.reached = true;
    return g_mutation.order;
  }
  return order;
}

bool SetMutation(const std::string& text) {
  const size_t kind_at = text.rfind(':');
  const size_t file_end = text.find(':');
  if (file_end == std::string::npos || kind_at == file_end) return false;
  std::string kind = text.substr(kind_at + 1);
  Mutation mutation;
  mutation.file = text.substr(0, file_end);
  const std::string place = text.substr(file_end + 1, kind_at - file_end - 1);
  char* end = nullptr;
  mutation.line = static_cast<uint32_t>(std::strtoul(place.c_str(), &end, 10));
  if (*end == ':') mutation.column = static_cast<uint32_t>(std::strtoul(end + 1, &end, 10));
  if (*end != '\0') return false;
  if (kind.starts_with("fail_")) {
    mutation.role = Role::kFailure;
    kind = kind.substr(5);
  }
  if (kind == "none") kind = "relaxed";
  bool found = false;
  for (Order order : {std::memory_order_relaxed, std::memory_order_acquire,
                      std::memory_order_release, std::memory_order_acq_rel}) {
    if (kind != Name(order)) continue;
    mutation.order = order;
    found = true;
  }
  mutation.active = found;
  g_mutation = mutation;
  g_watch_sites = g_recording || found;
  return found;
}

bool MutationReached() { return g_mutation.reached; }

void RecordSites() { g_recording = g_watch_sites = true; }

void SetSitesTest(const std::string& name) { g_test = name; }

std::string ListSites() {
  std::string list;
  for (const auto& [key, seen] : g_sites) {
    const auto& [file, line, column, operation] = key;
    list += file + ':' + std::to_string(line) + ':' + std::to_string(column) + '\t' +
            kOperationNames[static_cast<int>(operation)] + '\t' + Name(seen.order);
    list += '\t';
    list += operation == Operation::kCompareExchange ? Name(seen.failure_order) : "-";
    for (const std::string& test : seen.tests) list += '\t' + test;
    list += '\n';
  }
  return list;
}

}  // namespace workpool::model
