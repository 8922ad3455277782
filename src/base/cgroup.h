// Where the cgroups of this process lie: the directory of its group in one hierarchy, and the ones above it up to the
// mount point, each of which may set a limit. /proc/self/cgroup names the group, /proc/self/mountinfo says where its
// hierarchy is mounted. Both are read anew each time, because a process can be moved to another group.
// What cannot be read or understood counts as not there: no file is no limit.
// A hierarchy is named by its controller ("cpu", "pids": v1), or by kUnified (v2). On a hybrid system the process is in
// both, and a controller is in one of them: whoever looks for a limit looks in both.
// Threads: any.
#pragma once

#include <cstddef>
#include <string_view>

namespace workpool {

inline constexpr std::string_view kUnified = "";

// A group's directory, or one above it. top is the size of the part that is the mount point, where the chain ends.
struct CgroupDir {
  static constexpr size_t kSizeMax = 2048;
  static constexpr size_t kNameMax = 32;  // of a file in it

  char text[kSizeMax + kNameMax] = "";
  size_t size = 0;
  size_t top = 0;

  // To the directory above. False: this one was the top.
  [[nodiscard]] bool Up();
  // A file of this directory.
  [[nodiscard]] bool Read(std::string_view name, char* buffer, size_t bytes_max, std::string_view* out);
};

// The group's directory; false: the process is in no such hierarchy, or it is not mounted. root stands before every
// path that is opened: "" is this system, a test has a tree of its own.
[[nodiscard]] bool FindCgroup(const char* root, std::string_view controller, CgroupDir* out);

// ---- its parts, which know texts only
// A line of /proc/self/cgroup, "4:cpu,cpuacct:/path": the path, if the line is the hierarchy's.
[[nodiscard]] bool ParseCgroupLine(std::string_view line, std::string_view controller, std::string_view* path);

// A line of /proc/self/mountinfo, "31 23 0:28 / /sys/fs/cgroup rw shared:9 - cgroup2 cgroup2 rw".
struct CgroupMount {
  // Both as they stand there: space, tab, line end and backslash are octal numbers.
  std::string_view root;   // the group that the mount shows as its topmost
  std::string_view point;  // where it is mounted
};
[[nodiscard]] bool ParseMountLine(std::string_view line, std::string_view controller, CgroupMount* out);

// How much of the chain a mount shows.
enum class CgroupView {
  kNone,     // its path is longer than a CgroupDir holds
  kOutside,  // the group is not below the mount's root, as /proc tells it: only the mount point itself is looked at,
             // which in a container is the container's own group
  kBelow,    // all from the mount's root down to the group
};
// The directory of the group with this path (of /proc/self/cgroup) in this mount.
[[nodiscard]] CgroupView PlaceCgroup(const char* root, std::string_view path, const CgroupMount& mount, CgroupDir* out);

}  // namespace workpool
