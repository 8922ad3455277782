// The jobserver of a real GNU make, whose recipes run jobserver_client.
#include <sys/wait.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

namespace {

struct Ended {
  int code;
  std::string printed;
};

// No make above this one has a say.
Ended Run(const std::string& command) {
  FILE* pipe = popen(("unset MAKEFLAGS MFLAGS MAKELEVEL; " + command + " 2>&1").c_str(), "r");
  REQUIRE(pipe != nullptr);
  std::string printed;
  char buffer[512];
  for (size_t got; (got = fread(buffer, 1, sizeof(buffer), pipe)) > 0;) printed.append(buffer, got);
  const int status = pclose(pipe);
  return {WIFEXITED(status) ? WEXITSTATUS(status) : -1, printed};
}

// A makefile in a directory of its own, whose recipe lines run one after the other, and then four commands at once.
class Makefile {
 public:
  explicit Makefile(const std::vector<std::string>& lines) {
    REQUIRE(mkdtemp(directory_) != nullptr);
    std::filesystem::create_directory(Path("met"));
    std::ofstream file(Path("Makefile"));
    const std::string meet = std::string(JOBSERVER_CLIENT) + " meet 4 " + Path("met").string();
    file << "all: m1 m2 m3 m4\n";
    for (int i = 1; i <= 4; ++i) file << "m" << i << ": lines\n\t@" << meet << "\n";
    file << "lines:\n";
    for (const std::string& line : lines) file << "\t" << line << "\n";
    file << ".PHONY: all lines m1 m2 m3 m4\n";
  }
  ~Makefile() { std::filesystem::remove_all(directory_); }
  Makefile(const Makefile&) = delete;
  Makefile& operator=(const Makefile&) = delete;

  [[nodiscard]] Ended Make(const std::string& options) const {
    return Run("make -C " + std::string(directory_) + " " + options);
  }

 private:
  [[nodiscard]] std::filesystem::path Path(const char* name) const { return std::filesystem::path(directory_) / name; }
  char directory_[32] = "/tmp/jobserver_make.XXXXXX";
};

std::string Client(const std::string& how) { return std::string(JOBSERVER_CLIENT) + " " + how; }

bool Tells(const Ended& ended, const char* text) { return ended.printed.find(text) != std::string::npos; }

// make counts its tokens at its end, and complains.
bool Complains(const Ended& ended) { return Tells(ended, "INTERNAL") || Tells(ended, "tokens"); }

// Before 4.4 there are no named pipes.
bool MakeHasNamedPipes() {
  const Ended version = Run("make --version");
  int major = 0, minor = 0;
  REQUIRE(std::sscanf(version.printed.c_str(), "GNU Make %d.%d", &major, &minor) == 2);
  return major > 4 || (major == 4 && minor >= 4);
}

// In each form that this make has.
void ForEachStyle(const Makefile& makefile, void (*check)(const Ended&)) {
  std::vector<std::string> styles = {"-j4"};
  if (MakeHasNamedPipes()) styles = {"-j4 --jobserver-style=pipe", "-j4 --jobserver-style=fifo"};
  for (const std::string& style : styles) {
    const Ended ended = makefile.Make(style);
    INFO(style << "\n" << ended.printed);
    check(ended);
  }
}

void CheckWhole(const Ended& ended) {
  CHECK(ended.code == 0);
  CHECK_FALSE(Complains(ended));
}

TEST_CASE("a command takes all of make's tokens and returns them, and make runs four jobs again", "[jobserver]") {
  ForEachStyle(Makefile({"+@" + Client("use 3"), "+@" + Client("use 3")}), CheckWhole);
}

TEST_CASE("tokens go back when a command that holds them all returns from main or exits", "[jobserver]") {
  for (const char* how : {"return 3", "exit 3", "exit-in-thread 3"}) {
    INFO(how);
    // The dash: exit ends with a failure, which is not this test's.
    ForEachStyle(Makefile({"-+@" + Client(how), "+@" + Client("count 3")}), CheckWhole);
  }
}

TEST_CASE("a child of a command that holds all tokens gives none back when it ends", "[jobserver]") {
  ForEachStyle(Makefile({"+@" + Client("fork 3"), "+@" + Client("count 3")}), CheckWhole);
}

TEST_CASE("a command that ends by _exit takes its tokens with it, and make says so", "[jobserver]") {
  ForEachStyle(Makefile({"+@" + Client("lose 3"), "+@" + Client("count 0"), "+@exit 1"}), [](const Ended& ended) {
    CHECK(ended.code != 0);
    CHECK(Complains(ended));
  });
}

TEST_CASE("a command whose line is not marked uses no descriptor that is not make's", "[jobserver]") {
  const Makefile makefile({"@" + Client("state"),
                           "@" + Client("state") + " 3<Makefile 4<Makefile 5<Makefile 6<Makefile",
                           "+@" + Client("count 3")});
  const Ended ended = makefile.Make("-j4");
  INFO(ended.printed);
  CheckWhole(ended);
  if (!MakeHasNamedPipes()) {
    CHECK(Tells(ended, "is not open: mark"));
    CHECK(Tells(ended, "is no pipe: mark"));
  }
}

TEST_CASE("without parallel jobs there is no jobserver", "[jobserver]") {
  for (const char* options : {"lines", "-j1 lines", "-j lines"}) {
    const Ended ended = Makefile({"+@" + Client("state")}).Make(options);
    INFO(options << "\n" << ended.printed);
    CHECK(ended.code == 0);
    CHECK(Tells(ended, "names no jobserver"));
  }
}

}  // namespace
