// TraceFields: one JSON object of a trace file, read field by field. What is missing, out of range or unknown is
// refused with the object's place in the file and what is allowed there.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "trace_file.h"

namespace workpool_cli {

using Json = nlohmann::json;

constexpr double kTimeMaxS = 1e6;

class TraceFields {
 public:
  // place is "FILE:LINE", what says which object this is. json outlives this.
  TraceFields(const Json& json, std::string place, std::string what);

  [[noreturn]] void Refuse(const std::string& text) const;

  bool Has(const char* name);
  const Json& At(const char* name) const { return json_.at(name); }
  // A number within low ... high; fallback if it is not there.
  double Number(const char* name, double fallback, double low, double high);
  double Needed(const char* name, double low, double high);
  uint32_t Count(const char* name, double high);
  std::string Text(const char* name);
  // Its elements; none if it is not there.
  const Json& List(const char* name);
  // A number, or {"mean":,"cv":}, or {"low":,"high":}.
  Distribution Time(const char* name);
  // Its index in names; -1 if the field is not there.
  int Named(const char* name, const std::vector<std::string>& names);
  // Of an object within this one.
  TraceFields Inner(const Json& json, const std::string& what) const { return TraceFields(json, place_, what); }

  // Refuses fields that nobody asked for.
  void Done() const;

 private:
  const Json& json_;
  const std::string place_;
  const std::string what_;
  std::vector<std::string> known_;
};

}  // namespace workpool_cli
