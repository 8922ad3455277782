#include "pool_check.h"

#include <stdexcept>

namespace workpool_cli {

void Check(pool_status_t status) {
  if (status == POOL_OK) return;
  char text[320];
  int32_t code = 0;
  const bool told = pool_last_error(&code, text, sizeof text, nullptr) == POOL_OK && code == status;
  throw std::runtime_error(told ? text : pool_strerror(status));
}

}  // namespace workpool_cli
