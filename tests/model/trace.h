// A readable record of the last operations of a schedule. It is kept only while a failed schedule
// is repeated, so that the search does not pay for it.
#pragma once

#include <cstddef>
#include <string>

namespace workpool::model {

extern bool g_tracing;

// lines: how many of the last are kept.
void SetTraceLength(size_t lines);
void StartTrace();
// The last lines of what happened since; stops the trace.
std::string TakeTrace();

void AppendTrace(const char* format, ...) __attribute__((format(printf, 1, 2)));

#define MODEL_TRACE(...)                           \
  do {                                             \
    if (::workpool::model::g_tracing) [[unlikely]] \
      ::workpool::model::AppendTrace(__VA_ARGS__); \
  } while (false)

}  // namespace workpool::model
