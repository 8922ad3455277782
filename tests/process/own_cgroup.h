// OwnCgroup: a control group below the one that this process is in, for a child process to move into. It is gone with its
// scope, whatever becomes of the child; one that a killed test has left is removed by the next.
// Where the machine does not allow one (no controller, not the superuser, nothing delegated), why_not() says so, and the
// test is left out with that text.
#pragma once

#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstring>
#include <fstream>
#include <sstream>
#include <string>

#include "test_support.h"

namespace workpool_test {

class OwnCgroup {
 public:
  // file: what the group must have, e.g. "pids.max"; in v1 and v2 it may differ.
  OwnCgroup(const std::string& controller, const std::string& v1_file, const std::string& v2_file) {
    std::ifstream memberships("/proc/self/cgroup");
    for (std::string line; path_.empty() && std::getline(memberships, line);) {
      // "4:cpu,cpuacct:/path"; v2 is "0::/path".
      const size_t first = line.find(':'), second = line.find(':', first + 1);
      if (second == std::string::npos) continue;
      const std::string names = line.substr(first + 1, second - first - 1), path = line.substr(second + 1);
      if (!names.empty() && ("," + names + ",").find("," + controller + ",") == std::string::npos) continue;
      file_ = names.empty() ? v2_file : v1_file;
      // In a container the path may be the host's, and what is mounted begins at the own group.
      for (const char* mounted : {"", "/unified"}) {
        const std::string root = "/sys/fs/cgroup" + (names.empty() ? std::string(mounted) : "/" + names);
        if (Make(root + path) || Make(root)) break;
      }
    }
    if (path_.empty() && why_not_.empty()) why_not_ = "there is no cgroup controller '" + controller + "' here";
    if (!path_.empty()) why_not_.clear();
  }
  ~OwnCgroup() {
    if (!Remove()) std::fprintf(stderr, "%s could not be removed: %s\n", path_.c_str(), std::strerror(errno));
  }
  OwnCgroup(const OwnCgroup&) = delete;
  OwnCgroup& operator=(const OwnCgroup&) = delete;

  // "": the group is there.
  [[nodiscard]] const std::string& why_not() const { return why_not_; }
  // Of v1_file and v2_file the one that it has.
  [[nodiscard]] const std::string& file() const { return file_; }

  [[nodiscard]] bool Set(const std::string& file, const std::string& value) const {
    std::ofstream out(path_ + "/" + file);
    out << value << std::flush;
    return out.good();
  }
  [[nodiscard]] std::string Get(const std::string& file) const {
    std::ifstream in(path_ + "/" + file);
    std::string text;
    std::getline(in, text);
    return text;
  }
  // The calling process, with all its threads.
  [[nodiscard]] bool Enter() const { return Set("cgroup.procs", std::to_string(getpid())); }

  // Whoever was in it has ended; the kernel needs a moment to notice.
  [[nodiscard]] bool Remove() {
    if (path_.empty()) return true;
    if (!PollUntil([&] { return rmdir(path_.c_str()) == 0 || errno == ENOENT; })) return false;
    path_.clear();
    return true;
  }

 private:
  static constexpr char kName[] = "/workpool_test_";

  // A group below parent, if it has the file.
  [[nodiscard]] bool Make(const std::string& parent) {
    const std::string path = parent + (parent.back() == '/' ? kName + 1 : kName) + std::to_string(getpid());
    if (mkdir(path.c_str(), 0755) != 0 && errno != EEXIST) {
      NoteFailure("no cgroup can be made in " + parent + ": " + std::strerror(errno));
      return false;
    }
    struct stat found;
    if (stat((path + "/" + file_).c_str(), &found) != 0) {
      NoteFailure(parent + " does not hand the controller of " + file_ + " down");
      rmdir(path.c_str());
      return false;
    }
    path_ = path;
    RemoveLeftBehind(parent);
    return true;
  }

  void NoteFailure(const std::string& failure) { why_not_ += (why_not_.empty() ? "" : "; ") + failure; }

  // Groups of tests that were killed: nobody has their number any more.
  static void RemoveLeftBehind(const std::string& parent) {
    DIR* dir = opendir(parent.c_str());
    if (dir == nullptr) return;
    while (const dirent* entry = readdir(dir)) {
      if (std::strncmp(entry->d_name, kName + 1, std::strlen(kName + 1)) != 0) continue;
      const pid_t owner = std::atoi(entry->d_name + std::strlen(kName + 1));
      if (owner > 0 && kill(owner, 0) != 0 && errno == ESRCH) rmdir((parent + "/" + entry->d_name).c_str());
    }
    closedir(dir);
  }

  std::string path_;  // "": none
  std::string file_;
  std::string why_not_;
};

}  // namespace workpool_test
