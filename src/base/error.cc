#include "base/error.h"

#include <cinttypes>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "base/thread_line.h"

namespace workpool {
namespace {

constinit Atomic<uint64_t> g_misuse{0};
constinit Atomic<bool> g_strict{false};

bool IsMisuse(Status code) {
  return code == POOL_E_INVALID || code == POOL_E_BADHANDLE || code == POOL_E_TOOBIG ||
         code == POOL_E_DEADLOCK || code == POOL_E_FORKED;
}

}  // namespace

Status Fail(Status code, const char* format, ...) {
  LastError::Reason& said = CurrentTls().error.said;
  va_list args;
  va_start(args, format);
  std::vsnprintf(said.buffer, sizeof(said.buffer), format, args);
  va_end(args);
  return FailConst(code, said.buffer);
}

Status FailConst(Status code, const char* text) { return FailAtLimit(code, text, nullptr, 0); }

Status FailAtLimit(Status code, const char* text, const char* field, uint64_t limit) {
  LastError::Reason& said = CurrentTls().error.said;
  said.code = code;
  said.text = text;
  said.field = field;
  said.limit = limit;
  return code;
}

Status FinishFailure(const char* function, Status code) {
  LastError& error = CurrentTls().error;
  // What was said of another code belonged to a step that the call could do without.
  if (error.said.code != code) (void)FailConst(code, StatusText(code));
  error.function = function;
  error.reason = error.said;
  if (error.said.text == error.said.buffer) error.reason.text = error.reason.buffer;
  error.said.code = POOL_OK;
  if (IsMisuse(code)) {
    g_misuse.fetch_add(1, kRelaxed);
    if (g_strict.load(kRelaxed)) {
      std::fprintf(stderr, "workpool: POOL_STRICT: %s: %s\n", function, error.reason.text);
      std::abort();
    }
  }
  return code;
}

int FormatLastError(char* buf, uint64_t cap, int32_t* code) {
  const LastError& error = CurrentTls().error;
  const LastError::Reason& reason = error.reason;
  *code = reason.code;
  if (reason.code == POOL_OK) return std::snprintf(buf, cap, "%s", "");
  if (reason.field == nullptr) return std::snprintf(buf, cap, "%s: %s", error.function, reason.text);
  return std::snprintf(buf, cap, "%s: %s; %s = %" PRIu64, error.function, reason.text, reason.field, reason.limit);
}

uint64_t MisuseCount() { return g_misuse.load(kRelaxed); }

void ReadStrictMode() {
  static constinit Atomic<bool> read{false};
  if (read.exchange(true, kRelaxed)) return;
  const char* value = std::getenv("POOL_STRICT");
  g_strict.store(value != nullptr && std::strcmp(value, "1") == 0, kRelaxed);
}

const char* StatusText(int32_t code) {
  switch (code) {
    case POOL_OK: return "success";
    case POOL_E_INVALID: return "an argument is out of range";
    case POOL_E_BADHANDLE: return "not a live handle of this kind";
    case POOL_E_TOOBIG: return "a struct of a newer header uses fields this library lacks";
    case POOL_E_NOMEM: return "out of memory";
    case POOL_E_THREAD: return "no worker thread could be started";
    case POOL_E_FULL: return "the queue limit is reached";
    case POOL_E_TIMEOUT: return "the time is over";
    case POOL_E_CLOSED: return "the pool takes no more tasks";
    case POOL_E_CANCELLED: return "cancelled before it ran";
    case POOL_E_EXPIRED: return "its deadline passed before it ran";
    case POOL_E_RATE: return "refused by a rate limit";
    case POOL_E_DEADLOCK: return "the call would wait for its own caller";
    case POOL_E_FORKED: return "the handle belongs to the parent process";
    case POOL_E_EXCEPTION: return "the task threw a C++ exception";
    case POOL_E_THREADEXIT: return "the task ended its thread";
    case POOL_E_ALREADY: return "too late: running or over";
    case POOL_E_NOTFOUND: return "no such entry";
    case POOL_E_SYSTEM: return "the operating system refused";
    case POOL_E_STALLED: return "the pool does not make progress";
    case POOL_E_INTERNAL: return "a bug of the library";
    default: return code <= -1000 ? "a task's own failure code" : "unknown status";
  }
}

}  // namespace workpool
