#include "task/entry.h"

namespace workpool {

int32_t EntryTag(void*, pool_ctx_t*) { return POOL_E_INTERNAL; }

}  // namespace workpool
