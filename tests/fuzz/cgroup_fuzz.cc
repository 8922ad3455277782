// libFuzzer: no text that a file of /proc or of a cgroup could hold makes a parser read beyond it, hang or answer
// nonsense.
//   cgroup_fuzz -max_total_time=60 -max_len=4096
#include <cstdint>
#include <cstdio>
#include <cstdlib>

#include "fuzz/parsers.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const char* wrong = workpool_fuzz::WrongInAny({reinterpret_cast<const char*>(data), size});
  if (wrong != nullptr) {
    std::fprintf(stderr, "%s\n", wrong);
    std::abort();
  }
  return 0;
}
