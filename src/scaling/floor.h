// Floor: how many workers there should be whatever the load: by the time of day (schedule.h), or learned (season.h).
// Threads: one at a time. It knows no clock: the time is the sample's.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/api.h"
#include "base/clock.h"
#include "base/memory.h"
#include "scaling/load_sample.h"

namespace workpool {

class Floor : public Deletable {
 public:
  struct Level {
    uint32_t workers = 0;
    uint64_t again_ns = kNever;  // when it will be another one
  };

  // The floor now. One that learns is asked with every sample, and learns from it.
  [[nodiscard]] virtual Level At(const LoadSample& sample) = 0;

  // What it has learned as text, with its NUL, as snprintf writes: returns the length, 0 if it does not learn.
  [[nodiscard]] virtual size_t Save(char* out, size_t room) const {
    if (room > 0) *out = 0;
    return 0;
  }
  // From such a text. OK; INVALID, and nothing is changed.
  [[nodiscard]] virtual Status Load(const char* text);

 protected:
  Floor() = default;
  Floor(const Floor&) = delete;
  Floor& operator=(const Floor&) = delete;
};

}  // namespace workpool
