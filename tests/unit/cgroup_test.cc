#include "base/cgroup.h"

#include <catch2/catch.hpp>
#include <string>

#include "../fuzz/parsers.h"
#include "base/file_text.h"
#include "fixture_tree.h"

namespace workpool {
namespace {

std::string TextOfDir(const CgroupDir& dir) { return {dir.text, dir.size}; }

// Where the process is said to be, below the fixture's top; "none" if nowhere.
std::string Found(const std::string& cgroup, const std::string& mountinfo, std::string_view controller) {
  const FixtureTree tree({{"/proc/self/cgroup", cgroup}, {"/proc/self/mountinfo", mountinfo}});
  CgroupDir dir;
  if (!FindCgroup(tree.top(), controller, &dir)) return "none";
  return TextOfDir(dir).substr(std::string(tree.top()).size());
}

TEST_CASE("a group's directory is its path below the mount of its hierarchy", "[cgroup]") {
  struct Row {
    const char* what;
    const char* path;
    const char* mount_root;
    const char* mount_point;
    const char* directory;
  };
  for (const Row& row : {
           Row{"in the root group", "/", "/", "/sys/fs/cgroup", "/sys/fs/cgroup"},
           Row{"nested", "/a.slice/b.scope", "/", "/sys/fs/cgroup", "/sys/fs/cgroup/a.slice/b.scope"},
           Row{"a container that sees its host's names", "/docker/ab12", "/docker/ab12", "/cg", "/cg"},
           Row{"nested in it", "/docker/ab12/x/y", "/docker/ab12", "/cg", "/cg/x/y"},
           Row{"a name that only begins like the mount's root", "/docker/ab123", "/docker/ab12", "/cg", "/cg"},
           Row{"elsewhere than the mount shows", "/other/x", "/docker/ab12", "/cg", "/cg"},
           Row{"above the mount's root", "/docker", "/docker/ab12", "/cg", "/cg"},
           Row{"outside of the namespace", "/../other/x", "/", "/cg", "/cg"},
           Row{"a mount from above the namespace, whose names are not known", "/x", "/..", "/cg", "/cg"},
           Row{"a mount from above the namespace that shows the group", "/../other/x", "/..", "/cg", "/cg/other/x"},
           Row{"a name with dots", "/..x/...", "/", "/cg", "/cg/..x/..."},
           Row{"a mount at the root", "/a/b", "/", "/", "/a/b"},
           Row{"a mount at the root, in the root group", "/", "/", "/", ""},
           Row{"octal numbers in the point", "/a", "/", R"(/my\040cg\134\011x)", "/my cg\\\tx/a"},
           Row{"octal numbers in the root", "/a b/c", R"(/a\040b)", "/cg", "/cg/c"},
           Row{"what only looks like an octal number", "/a", "/", R"(/c\09\8x\04)", R"(/c\09\8x\04/a)"},
           Row{"a path with colons", "/a:b:c", "/", "/cg", "/cg/a:b:c"},
           Row{"a slash too many", "/a/", "/", "/cg", "/cg/a"},
       }) {
    INFO(row.what);
    const std::string mount = MountLine(row.mount_root, row.mount_point, "cgroup2");
    CHECK(Found("0::" + std::string(row.path) + "\n", mount, kUnified) == row.directory);
    const std::string mount_v1 = MountLine(row.mount_root, row.mount_point, "cpu,cpuacct");
    CHECK(Found("3:cpu,cpuacct:" + std::string(row.path) + "\n", mount_v1, "cpu") == row.directory);
  }
}

TEST_CASE("the hierarchy is the one that has the controller", "[cgroup]") {
  const std::string groups = "9:name=systemd:/s\n4:cpuset:/set\n3:cpuacct,cpu:/c\n2:pids:/p\n0::/u\n";
  const std::string mounts = "1 1 8:1 / / rw - ext4 /dev/sda rw\n" + MountLine("/", "/m/set", "cpuset") +
                             MountLine("/", "/m/unified", "cgroup2") + MountLine("/", "/m/acct", "cpuacct,cpu") +
                             MountLine("/", "/m/pids", "pids");
  CHECK(Found(groups, mounts, "cpu") == "/m/acct/c");
  CHECK(Found(groups, mounts, "pids") == "/m/pids/p");
  CHECK(Found(groups, mounts, kUnified) == "/m/unified/u");
  CHECK(Found(groups, mounts, "memory") == "none");
  CHECK(Found("0::/u\n", mounts, "cpu") == "none");
  CHECK(Found("3:cpu:/c\n", mounts, kUnified) == "none");
  CHECK(Found(groups, MountLine("/", "/m/unified", "cgroup2"), "cpu") == "none");
  CHECK(Found(groups, "", kUnified) == "none");
  CHECK(Found("", mounts, kUnified) == "none");
}

TEST_CASE("of several mounts the one that shows most of the chain counts", "[cgroup]") {
  const std::string own = MountLine("/a/b", "/own", "cgroup2"), all = MountLine("/", "/all", "cgroup2");
  const std::string other = MountLine("/z", "/other", "cgroup2"), again = MountLine("/", "/again", "cgroup2");
  CHECK(Found("0::/a/b/c\n", own + all, kUnified) == "/all/a/b/c");
  CHECK(Found("0::/a/b/c\n", all + own, kUnified) == "/all/a/b/c");
  CHECK(Found("0::/a/b/c\n", other + own, kUnified) == "/own/c");
  CHECK(Found("0::/a/b/c\n", own + other, kUnified) == "/own/c");
  CHECK(Found("0::/a/b/c\n", all + again, kUnified) == "/all/a/b/c");
  CHECK(Found("0::/x\n", other + own, kUnified) == "/other");
}

TEST_CASE("lines that are no mounts are passed over, long ones too", "[cgroup]") {
  const std::string good = MountLine("/", "/cg", "cgroup2");
  for (const std::string& bad : {
           std::string("\n\n"),
           std::string("31\n"),
           std::string("31 23 0:28 / /bad rw\n"),
           std::string("31 23 0:28 / /bad rw - cgroup2x cgroup2 rw\n"),
           std::string("31 23 0:28 / /bad rw - \n"),
           std::string("31 23 0:28 bad bad rw - cgroup2 cgroup2 rw\n"),
           std::string("31 23 0:28  /bad rw - cgroup2 cgroup2 rw\n"),
           std::string("31 23 0:28 / /bad\\000 rw - cgroup2 cgroup2 rw\n"),
           // An overlay of many layers; its second half looks like a mount of its own.
           "1 1 0:9 / /bad rw - overlay " + std::string(LineReader::kLineMax - 29, 'x') +
               "31 23 0:28 / /bad rw - cgroup2 c rw\n",
           "1 1 0:9 / /bad" + std::string(3 * LineReader::kLineMax, 'y') + " rw - cgroup2 cgroup2 rw\n",
           MountLine("/", "/bad" + std::string(CgroupDir::kSizeMax, 'z'), "cgroup2"),
           MountLine("/" + std::string(CgroupDir::kSizeMax, 'z'), "/bad", "cgroup2"),
       }) {
    INFO(bad.substr(0, 80));
    CHECK(Found("0::/a\n", bad + good, kUnified) == "/cg/a");
    CHECK(Found("0::/a\n", bad, kUnified) == "none");
  }
}

TEST_CASE("a line counts wherever a buffer ends, and the last one without its end", "[cgroup]") {
  std::string good = MountLine("/", "/cg", "cgroup2");
  const std::string filler = "1 1 0:9 / /x rw - tmpfs tmpfs rw\n";
  std::string before;
  while (before.size() < 3 * LineReader::kLineMax) before += filler;
  for (size_t shift = 0; shift <= good.size() + 2; ++shift) {
    const std::string pad = "1 1 0:9 / /" + std::string(shift, 'p') + " rw - tmpfs tmpfs rw\n";
    CHECK(Found("0::/a\n", pad + before + good + before, kUnified) == "/cg/a");
  }
  good.pop_back();
  CHECK(Found("0::/a", before + good, kUnified) == "/cg/a");
  // But not the end of one that is too long.
  const std::string front = "1 1 0:9 / /x rw - overlay ";
  const std::string layers(LineReader::kLineMax - front.size(), 'x');
  CHECK(Found("0::/a", front + layers + good, kUnified) == "none");
}

TEST_CASE("what lies beyond the largest file that is read does not count, nor a line that it cuts", "[cgroup]") {
  const std::string good = MountLine("/", "/cg", "cgroup2");
  const std::string filler = "1 1 0:9 / /x rw - tmpfs tmpfs rw\n";
  std::string before;
  while (before.size() + good.size() + filler.size() < LineReader::kBytesMax - LineReader::kLineMax) before += filler;
  CHECK(Found("0::/a\n", before + good, kUnified) == "/cg/a");
  while (before.size() < LineReader::kBytesMax + LineReader::kLineMax) before += filler;
  CHECK(Found("0::/a\n", before + good, kUnified) == "none");
  // Cut within its last word the line would still be a mount.
  std::string cut(LineReader::kBytesMax - (good.size() - 3), ' ');
  for (size_t i = 99; i < cut.size(); i += 100) cut[i] = '\n';
  cut.back() = '\n';
  CHECK(Found("0::/a\n", cut + good, kUnified) == "none");
}

TEST_CASE("the chain goes up to the mount point and ends there", "[cgroup]") {
  const FixtureTree tree({{"/proc/self/cgroup", "0::/a/b\n"},
                          {"/proc/self/mountinfo", MountLine("/", "/m/cg", "cgroup2")},
                          {"/m/cg/a/b/f", "of b"},
                          {"/m/cg/f", "of the top"},
                          {"/m/f", "of nobody"}});
  CgroupDir dir;
  REQUIRE(FindCgroup(tree.top(), kUnified, &dir));
  const std::string top = tree.top();
  char buffer[64];
  std::string_view text;
  CHECK((dir.Read("f", buffer, sizeof(buffer), &text) && text == "of b"));
  CHECK(TextOfDir(dir) == top + "/m/cg/a/b");
  CHECK(dir.Up());
  CHECK(TextOfDir(dir) == top + "/m/cg/a");
  CHECK_FALSE(dir.Read("f", buffer, sizeof(buffer), &text));
  CHECK(dir.Up());
  CHECK(TextOfDir(dir) == top + "/m/cg");
  CHECK((dir.Read("f", buffer, sizeof(buffer), &text) && text == "of the top"));
  CHECK_FALSE(dir.Up());
  CHECK(TextOfDir(dir) == top + "/m/cg");
  CHECK_FALSE(dir.Read(std::string(CgroupDir::kNameMax, 'n'), buffer, sizeof(buffer), &text));
}

TEST_CASE("a path of any length is found or refused, never cut", "[cgroup]") {
  const std::string top = FixtureTree().top();
  for (size_t size = CgroupDir::kSizeMax - 2 * top.size(); size < CgroupDir::kSizeMax + 10; ++size) {
    const std::string path = "/" + std::string(size - 1, 'x');
    const std::string found = Found("0::" + path + "\n", MountLine("/", "/cg", "cgroup2"), kUnified);
    CHECK(found == (top.size() + 3 + size <= CgroupDir::kSizeMax ? "/cg" + path : "none"));
  }
}

TEST_CASE("no text of /proc breaks the parsers of cgroups", "[cgroup]") {
  const std::vector<std::string> seeds = {
      "0::/a/b\n" + MountLine("/a", "/sys/fs/cg\\040x", "cgroup2"),
      "4:cpu,cpuacct:/x/y z\n" + MountLine("/x", "/sys/fs/cgroup/cpu", "cpu,cpuacct"),
      "2:pids:/../p\n" + MountLine("/..", "/", "pids"),
      "0::/" + std::string(1500, 'l') + "\n" + MountLine("/", "/" + std::string(540, 'm'), "cgroup2"),
  };
  CHECK(TextThatBreaks(workpool_fuzz::WrongInCgroup, seeds, workpool_test::Rounds(100'000), 13) == "");
}

}  // namespace
}  // namespace workpool
