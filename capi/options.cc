// Options by name.
#include <algorithm>

#include "capi/guard.h"
#include "capi/structs.h"
#include "pool/option_text.h"
#include "pool/presets.h"

namespace workpool {
namespace {

// How large the caller's struct is.
Status ReadSize(const pool_options_t* options, uint32_t* size) {
  if (options == nullptr) return FailConst(POOL_E_INVALID, "options is NULL");
  std::memcpy(size, options, sizeof(*size));
  if (*size < sizeof(*size)) {
    return Fail(POOL_E_INVALID, "options.struct_size = %u is too small; use pool_options_init", *size);
  }
  if (*size <= kStructSizeMax) return POOL_OK;
  return Fail(POOL_E_TOOBIG, "options.struct_size = %u is above the limit %u", *size, kStructSizeMax);
}

Status CheckText(const char* text, const char* what) {
  if (text != nullptr) return POOL_OK;
  return Fail(POOL_E_INVALID, "%s is NULL; give a text", what);
}

}  // namespace
}  // namespace workpool

using namespace workpool;

extern "C" {

pool_status_t pool_option_list(uint32_t index, pool_option_t* out, uint32_t size) {
  return Guard(__func__, [&]() -> Status {
    if (out == nullptr) return FailConst(POOL_E_INVALID, "out is NULL");
    const Status status = CheckOutSize(size, "out");
    if (status != POOL_OK) return status;
    const auto rows = OptionRows();
    if (index >= rows.size()) {
      return Fail(POOL_E_NOTFOUND, "index = %u is beyond the last option, %zu", index, rows.size() - 1);
    }
    const OptionRow& row = rows[index];
    pool_option_t option{};
    option.type = row.type;
    option.live = row.live ? 1 : 0;
    option.name = row.name;
    option.default_value = row.fallback;
    option.range = RangeText(row);
    option.doc = row.doc;
    CopyOut(option, out, size);
    return POOL_OK;
  });
}

pool_status_t pool_options_set(pool_options_t* options, const char* name, const char* value) {
  return Guard(__func__, [&]() -> Status {
    uint32_t size = 0;
    Status status = ReadSize(options, &size);
    if (status == POOL_OK) status = CheckText(name, "name");
    if (status == POOL_OK) status = CheckText(value, "value");
    const OptionRow* row = nullptr;
    if (status == POOL_OK) status = FindOption(name, &row);
    return status == POOL_OK ? SetOption(*row, value, size, options) : status;
  });
}

pool_status_t pool_options_preset(pool_options_t* options, const char* preset) {
  return Guard(__func__, [&]() -> Status {
    uint32_t size = 0;
    Status status = ReadSize(options, &size);
    if (status == POOL_OK) status = CheckText(preset, "preset");
    return status == POOL_OK ? SetPreset(preset, size, options) : status;
  });
}

pool_status_t pool_set(pool_t pool, const char* name, const char* value) {
  return Guard(__func__, [&]() -> Status {
    Status status = CheckText(name, "name");
    if (status == POOL_OK) status = CheckText(value, "value");
    if (status == POOL_OK) status = RefuseShared(pool, "changed");
    if (status != POOL_OK) return status;
    return WithPool(pool, [&](Pool& p) { return p.live_options().Set(p.engine(), name, value); });
  });
}

pool_status_t pool_get(pool_t pool, const char* name, char* buf, size_t cap, size_t* needed) {
  return Guard(__func__, [&]() -> Status {
    Status status = CheckText(name, "name");
    if (status != POOL_OK) return status;
    if (buf == nullptr && cap > 0) return FailConst(POOL_E_INVALID, "buf is NULL with cap > 0");
    char text[kOptionTextMax];
    status = WithPool(pool, [&](Pool& p) { return p.live_options().Get(name, text); });
    if (status != POOL_OK) return status;
    const size_t length = std::strlen(text);
    if (needed != nullptr) *needed = length + 1;
    if (cap == 0) return POOL_OK;
    const size_t copied = std::min(length, cap - 1);
    std::memcpy(buf, text, copied);
    buf[copied] = 0;
    return POOL_OK;
  });
}

}  // extern "C"
