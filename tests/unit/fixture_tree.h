// A tree of files of a test's own, in the place of /proc and /sys: it goes with its scope.
#pragma once

#include <unistd.h>

#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/random.h"
#include "test_support.h"

namespace workpool {

// Path, from the tree's top, and content.
using FixtureFiles = std::map<std::string, std::string>;

class FixtureTree {
 public:
  FixtureTree() {
    std::string name = (std::filesystem::temp_directory_path() / "workpool_tree_XXXXXX").string();
    if (mkdtemp(name.data()) == nullptr) std::abort();
    top_ = name;
  }
  explicit FixtureTree(const FixtureFiles& files) : FixtureTree() {
    for (const auto& [path, content] : files) Write(path, content);
  }
  ~FixtureTree() {
    std::error_code ignored;
    std::filesystem::remove_all(top_, ignored);
  }
  FixtureTree(const FixtureTree&) = delete;
  FixtureTree& operator=(const FixtureTree&) = delete;

  void Write(const std::string& path, std::string_view content) {
    const std::filesystem::path file = top_ + path;
    std::filesystem::create_directories(file.parent_path());
    if (!(std::ofstream(file, std::ios::binary) << content).flush()) std::abort();
  }

  [[nodiscard]] const char* top() const { return top_.c_str(); }

 private:
  std::string top_;
};

// A line of mountinfo for a hierarchy: "cgroup2", or a controller of v1.
inline std::string MountLine(const std::string& root, const std::string& point, const std::string& what) {
  const std::string front = "31 23 0:28 " + root + " " + point + " rw,nosuid shared:9 - ";
  return front + (what == "cgroup2" ? "cgroup2 cgroup2 rw,nsdelegate\n" : "cgroup cgroup rw," + what + "\n");
}

// Throws mutated texts at a parser until it answers nonsense: what that was, or "". The seeds are texts that it
// understands; each text lies in memory of just its size, so that a sanitizer sees a step beyond it.
template <typename Wrong>
std::string TextThatBreaks(Wrong wrong, const std::vector<std::string>& seeds, uint64_t texts, uint64_t seed) {
  Random random(seed);
  static constexpr std::string_view kBytes =
      "0123456789 /:,.-\\\n\0\x80\xff"
      "ax)(R";
  static constexpr std::string_view kWords[] = {
      "max", "-1",      "..",           "/", "\\040", " - ", "18446744073709551615", "99999999999999999999", "cpu",
      "0::", "cgroup2", "nr_throttled "};
  for (uint64_t i = 0; i < texts; ++i) {
    std::string text = seeds[random.Below(static_cast<uint32_t>(seeds.size()))];
    for (uint32_t changes = 1 + random.Below(4); changes > 0; --changes) {
      const uint32_t at = random.Below(static_cast<uint32_t>(text.size()) + 1);
      switch (random.Below(6)) {
        case 0:
          text.insert(at, 1, kBytes[random.Below(static_cast<uint32_t>(kBytes.size()))]);
          break;
        case 1:
          text.erase(at, random.Below(8));
          break;
        case 2:
          text.insert(at, kWords[random.Below(std::size(kWords))]);
          break;
        case 3:
          text.insert(at, text.substr(random.Below(static_cast<uint32_t>(text.size()) + 1)));
          break;
        case 4:
          text.resize(at);
          break;
        default:
          if (at < text.size()) text[at] = static_cast<char>(random.Below(256));
      }
    }
    const std::vector<char> exact(text.begin(), text.end());
    if (const char* what = wrong(std::string_view(exact.data(), exact.size()))) return what + (": " + text);
  }
  return "";
}

}  // namespace workpool
