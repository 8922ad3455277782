// A refused call of the library becomes an exception with the library's own text.
#pragma once

#include <workpool/workpool.h>

namespace workpool_cli {

// Throws std::runtime_error unless status is POOL_OK.
void Check(pool_status_t status);

}  // namespace workpool_cli
