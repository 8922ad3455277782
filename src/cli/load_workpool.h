// WorkpoolSubject: a pool of the library under load.
#pragma once

#include <workpool/workpool.h>

#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "load_subject.h"

namespace workpool_cli {

struct WorkpoolOptions {
  std::string policy;  // "": the library's default
  uint32_t workers_min = 0;
  uint32_t workers_max = 0;           // 0: automatic
  double keep_alive_s = 0;            // 0: the library's default
  std::vector<std::string> settings;  // "name=value" of pool options
};

class WorkpoolSubject : public LoadSubject {
 public:
  // Throws std::runtime_error with the library's text.
  explicit WorkpoolSubject(const WorkpoolOptions& options);
  ~WorkpoolSubject() override;

  std::string Name() const override { return name_; }
  bool Submit(LoadTask& task) override;
  State Now() override;
  void Tell(nlohmann::json* out) override;
  void Close() override;

 private:
  static int32_t RunTask(void* arg, pool_ctx_t* ctx);
  static void DropTask(void* arg, int32_t outcome);
  static void CountStart(void* user, pool_t pool, int32_t worker);
  static void CountStop(void* user, pool_t pool, int32_t worker);

  void ReadDecisions();

  std::string name_;
  pool_t pool_ = 0;
  std::map<pool_status_t, uint64_t> refused_;  // of the submitter
  // Of who calls Now.
  std::vector<pool_decision_t> decisions_;
  uint64_t decisions_seen_ = 0;
  uint64_t decisions_lost_ = 0;
};

}  // namespace workpool_cli
