// OracleCache: schedules that were found, in a file, because finding one takes seconds to a minute. The key is the
// trace's text and the seed; whether the model has changed since is seen by running the schedule once more: it must
// cost what it cost then.
#pragma once

#include <string>

#include "oracle.h"

namespace workpool::sim {

class OracleCache {
 public:
  // An empty path: nothing is kept.
  explicit OracleCache(std::string path) : path_(std::move(path)) {}

  // From the file; found anew and added to it if it is not there, or costs something else by now. starts: schedules for
  // the search to look at, too.
  [[nodiscard]] Schedule Get(const Case& c, const std::vector<std::vector<uint32_t>>& starts,
                             const OracleOptions& options);

 private:
  [[nodiscard]] bool Load(const std::string& key, const Case& c, const OracleOptions& options, Schedule* out) const;
  void Save(const std::string& key, const Schedule& schedule) const;

  const std::string path_;
};

}  // namespace workpool::sim
