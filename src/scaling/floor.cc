#include "scaling/floor.h"

#include "base/error.h"

namespace workpool {

Status Floor::Load(const char* text) {
  (void)text;
  return FailConst(POOL_E_INVALID, "this floor learns nothing");
}

}  // namespace workpool
