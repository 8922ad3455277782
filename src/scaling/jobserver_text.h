// What the environment variable MAKEFLAGS says of a jobserver. Pure.
//
//   --jobserver-auth=R,W        two descriptors; a negative one: no jobserver for this process
//   --jobserver-fds=R,W         the same, of GNU make before 4.2
//   --jobserver-auth=fifo:PATH  since GNU make 4.4
//
// The last of them counts: make appends one that takes back the first. Words stand apart by blanks; a backslash takes
// the next character as it is. The first word may be letters of options without a dash, which are nothing to us. After
// the word "--" come variables. (GNU make manual, "POSIX Jobserver Interaction" and "Communicating Options to a
// Sub-make"; quoting as in decode_env_switches of make's main.c.)
#pragma once

#include <cstddef>
#include <cstdint>

namespace workpool {

inline constexpr size_t kJobserverPathMax = 4095;  // PATH_MAX, less the end

enum class JobserverNamed : uint8_t {
  kNone,       // no jobserver: not under make, or under make without -j
  kOff,        // there is one, but not for this process
  kMalformed,  // not understood
  kEnds,       // of a pipe
  kPath,       // of a named pipe
};

struct JobserverText {
  JobserverNamed named = JobserverNamed::kNone;
  int read_fd = -1;
  int write_fd = -1;
  char path[kJobserverPathMax + 1] = {};
};

// makeflags: null is empty.
void ReadMakeflags(const char* makeflags, JobserverText* out);

}  // namespace workpool
