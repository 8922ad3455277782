#include "model/trace.h"

#include <algorithm>
#include <array>
#include <cstdarg>
#include <cstdint>
#include <cstdio>
#include <vector>

#include "model/scheduler.h"

namespace workpool::model {

bool g_tracing = false;

namespace {

constexpr size_t kLineBytes = 200;
std::vector<std::array<char, kLineBytes>> g_lines(120);
size_t g_line_count = 0;

}  // namespace

void SetTraceLength(size_t lines) { g_lines.resize(std::max(lines, size_t{1})); }

void StartTrace() {
  g_tracing = true;
  g_line_count = 0;
}

std::string TakeTrace() {
  g_tracing = false;
  std::string text;
  for (size_t i = g_line_count - std::min(g_line_count, g_lines.size()); i < g_line_count; ++i) {
    text += g_lines[i % g_lines.size()].data();
    text += '\n';
  }
  return text;
}

void AppendTrace(const char* format, ...) {
  char* line = g_lines[g_line_count++ % g_lines.size()].data();
  const int used = std::snprintf(line, kLineBytes, "%6u  thread %-2u ", g_scheduler.steps(),
                                 g_scheduler.current());
  va_list arguments;
  va_start(arguments, format);
  std::vsnprintf(line + used, kLineBytes - static_cast<size_t>(used), format, arguments);
  va_end(arguments);
}

}  // namespace workpool::model
