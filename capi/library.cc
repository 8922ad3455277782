// Version, errors, clock.
#include "base/clock.h"
#include "capi/guard.h"

#define WORKPOOL_TEXT_OF(x) #x
#define WORKPOOL_TEXT(x) WORKPOOL_TEXT_OF(x)

extern "C" {

const char* pool_version(void) {
  return WORKPOOL_TEXT(POOL_VERSION_MAJOR) "." WORKPOOL_TEXT(POOL_VERSION_MINOR) "." WORKPOOL_TEXT(
      POOL_VERSION_PATCH);
}

uint32_t pool_abi_version(void) { return POOL_VERSION_MAJOR * 1000 + POOL_VERSION_MINOR; }

const char* pool_strerror(int32_t code) { return workpool::StatusText(code); }

pool_status_t pool_last_error(int32_t* code, char* buf, size_t cap, size_t* needed) {
  if (buf == nullptr && cap > 0) {
    return workpool::FinishFailure("pool_last_error",
                                   workpool::FailConst(POOL_E_INVALID, "buf is NULL with cap > 0"));
  }
  int32_t last = 0;
  const int length = workpool::FormatLastError(buf, cap, &last);
  if (code != nullptr) *code = last;
  if (needed != nullptr) *needed = static_cast<size_t>(length) + 1;
  return POOL_OK;
}

uint64_t pool_now_ns(void) { return workpool::NowNs(); }

}  // extern "C"
