// The text that goes with a refused call. Whoever finds the reason says it here and returns the code;
// the guard at the edge of the library adds the function's name. Per thread, so it needs no lock.
#pragma once

#include <cstdint>

#include "base/api.h"

namespace workpool {

// Records a reason, printf style, and returns code. It costs a format: for mistakes, not for traffic.
[[gnu::format(printf, 2, 3), gnu::cold]] Status Fail(Status code, const char* format, ...);

// Records a constant reason; cheap, for refusals that are part of normal traffic (full, closed, timeout).
[[gnu::cold]] Status FailConst(Status code, const char* text);

// The same, and names the option that set a limit. Formatted only when somebody asks.
[[gnu::cold]] Status FailAtLimit(Status code, const char* text, const char* field, uint64_t limit);

// Called once at the end of a refused call: names the function and counts misuse; with POOL_STRICT=1
// misuse aborts. Returns code.
[[gnu::cold]] Status FinishFailure(const char* function, Status code);

// The calling thread's last failure: "function: reason" in buf, as snprintf does. Returns the length.
int FormatLastError(char* buf, uint64_t cap, int32_t* code);

// Refused calls of this process that were the caller's mistake.
uint64_t MisuseCount();

// Reads POOL_STRICT from the environment; called by the first pool_create.
void ReadStrictMode();

const char* StatusText(int32_t code);

}  // namespace workpool
