// Where in the source an operation on shared memory is written. Every operation takes one as a
// defaulted last parameter, so that the compiler fills in the caller.
#pragma once

#include <cstdint>

#if !defined(__clang__)
#include <source_location>
#endif

namespace workpool::model {

#if defined(__clang__)
// clang 14 has the builtins but not std::source_location.
class Site {
 public:
  static constexpr Site current(const char* file = __builtin_FILE(),
                                uint32_t line = __builtin_LINE(),
                                uint32_t column = __builtin_COLUMN()) {
    return Site(file, line, column);
  }
  constexpr const char* file_name() const { return file_; }
  constexpr uint32_t line() const { return line_; }
  constexpr uint32_t column() const { return column_; }

 private:
  constexpr Site(const char* file, uint32_t line, uint32_t column)
      : file_(file), line_(line), column_(column) {}

  const char* file_;
  uint32_t line_;
  uint32_t column_;
};
#else
using Site = std::source_location;
#endif

}  // namespace workpool::model
