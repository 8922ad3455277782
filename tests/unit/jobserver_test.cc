#include "scaling/jobserver.h"

#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <catch2/catch.hpp>
#include <cerrno>
#include <climits>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "base/random.h"
#include "child.h"
#include "scaling/jobserver_text.h"
#include "unit_support.h"

namespace workpool {
namespace {

using workpool_test::Rounds;

// ---- what MAKEFLAGS says

JobserverText Read(const std::string& makeflags) {
  // On the heap and without room behind its end, so that a sanitizer sees every step too far.
  const std::unique_ptr<char[]> copy(new char[makeflags.size() + 1]);
  std::memcpy(copy.get(), makeflags.c_str(), makeflags.size() + 1);
  JobserverText text;
  ReadMakeflags(copy.get(), &text);
  return text;
}

std::string Said(const std::string& makeflags) {
  const JobserverText text = Read(makeflags);
  switch (text.named) {
    case JobserverNamed::kNone:
      return "none";
    case JobserverNamed::kOff:
      return "off";
    case JobserverNamed::kMalformed:
      return "malformed";
    case JobserverNamed::kEnds:
      return std::to_string(text.read_fd) + "," + std::to_string(text.write_fd);
    case JobserverNamed::kPath:
      return text.path;
  }
  return "";
}

const std::string kLongestPath(kJobserverPathMax, 'p');

TEST_CASE("what makes say of their jobservers is understood", "[jobserver]") {
  struct Row {
    std::string makeflags, said;
  };
  for (const Row& row : std::vector<Row>{
           // As makes write it, 3.81 to 4.4.
           {"", "none"},
           {" -j", "none"},
           {" -j1", "none"},
           {"n", "none"},
           {" --jobserver-fds=3,4 -j", "3,4"},
           {" -j4 --jobserver-auth=3,4", "3,4"},
           {"nks -j4 --jobserver-auth=3,4", "3,4"},
           {"w -j --jobserver-fds=5,7 -- CC=gcc", "5,7"},
           {" -j4 --jobserver-auth=fifo:/tmp/GMfifo4711", "/tmp/GMfifo4711"},
           {" -j4 --jobserver-auth=3,4 --no-print-directory -- A=1 B=2", "3,4"},
           // Taken back, and given again.
           {" -j4 --jobserver-auth=3,4 --jobserver-auth=-2,-2", "off"},
           {" -j4 --jobserver-auth=-2,-2 --jobserver-auth=3,4", "3,4"},
           {"--jobserver-auth=3,-1", "off"},
           {"--jobserver-auth=-1,4", "off"},
           // The last one counts, whatever its name and whatever it says.
           {"--jobserver-fds=3,4 --jobserver-auth=5,6", "5,6"},
           {"--jobserver-auth=5,6 --jobserver-fds=3,4", "3,4"},
           {"--jobserver-auth=fifo:a --jobserver-auth=5,6", "5,6"},
           {"--jobserver-auth=5,6 --jobserver-auth=fifo:a", "a"},
           {"--jobserver-auth=5,6 --jobserver-auth=", "malformed"},
           // Variables are no options.
           {"-j4 -- X=--jobserver-auth=3,4 --jobserver-auth=5,6", "none"},
           {"--jobserver-auth=3,4 -- --jobserver-auth=5,6", "3,4"},
           {"X=--jobserver-auth=3,4", "none"},
           {"X=a\\ --jobserver-auth=3,4", "none"},
           // The first word has no dash, and is no option then.
           {"jobserver-auth=3,4", "none"},
           {"-jobserver-auth=3,4", "none"},
           {"--jobserver-auth", "none"},
           {"--jobserver-auths=3,4", "none"},
           // Blanks and quotes.
           {"\t--jobserver-auth=3,4\t", "3,4"},
           {"--jobserver-auth=fifo:/a\\ b\\\\c", "/a b\\c"},
           {"--jobserver-auth=fifo:/a b", "/a"},
           {"\\--jobserver-auth=3,4", "3,4"},
           {"--jobserver-auth=3,4\\", "malformed"},
           {"--jobserver-auth=fifo:a\\", "a\\"},
           // Not understood.
           {"--jobserver-auth=3", "malformed"},
           {"--jobserver-auth=3,", "malformed"},
           {"--jobserver-auth=,4", "malformed"},
           {"--jobserver-auth=3,4,5", "malformed"},
           {"--jobserver-auth=3;4", "malformed"},
           {"--jobserver-auth=+3,4", "malformed"},
           {"--jobserver-auth=0x3,4", "malformed"},
           {"--jobserver-auth=--3,4", "malformed"},
           {"--jobserver-auth=fifo:", "malformed"},
           {"--jobserver-auth=FIFO:a", "malformed"},
           {"--jobserver-auth=sem:a", "malformed"},
           {"--jobserver-fds=fifo:a", "malformed"},
           {"--jobserver-auth=2147483647,0", "2147483647,0"},
           {"--jobserver-auth=2147483648,0", "malformed"},
           {"--jobserver-auth=99999999999999999999999999,0", "malformed"},
           {"--jobserver-auth=-99999999999999999999999999,0", "malformed"},
           {"--jobserver-auth=00000000000000000000000000003,4", "3,4"},
           // The longest path, and one more.
           {"--jobserver-auth=fifo:" + kLongestPath, kLongestPath},
           {"--jobserver-auth=fifo:" + kLongestPath + "p", "malformed"},
           {"--jobserver-auth=fifo:" + std::string(100'000, 'p') + " --jobserver-auth=3,4", "3,4"},
           {std::string(100'000, 'n') + " --jobserver-auth=3,4", "3,4"},
       }) {
    INFO(row.makeflags);
    CHECK(Said(row.makeflags) == row.said);
  }
  JobserverText text;
  text.named = JobserverNamed::kPath;
  ReadMakeflags(nullptr, &text);
  CHECK(text.named == JobserverNamed::kNone);
}

// The same, from the whole text at once and with strings.
std::string SaidSimply(const std::string& makeflags) {
  std::vector<std::string> words;
  bool in_word = false;
  for (size_t i = 0; i < makeflags.size() && makeflags[i] != '\0'; ++i) {
    char c = makeflags[i];
    if (c == ' ' || c == '\t') {
      in_word = false;
      continue;
    }
    if (!in_word) words.emplace_back();
    in_word = true;
    if (c == '\\' && i + 1 < makeflags.size() && makeflags[i + 1] != '\0') c = makeflags[++i];
    words.back() += c;
  }
  std::string said = "none";
  for (const std::string& word : words) {
    if (word == "--") break;
    const bool auth = word.rfind("--jobserver-auth=", 0) == 0;
    if (!auth && word.rfind("--jobserver-fds=", 0) != 0) continue;
    const std::string value = word.substr(word.find('=') + 1);
    said = "malformed";
    if (auth && value.rfind("fifo:", 0) == 0) {
      if (value.size() > 5 && value.size() <= 5 + kJobserverPathMax) said = value.substr(5);
      continue;
    }
    const size_t comma = value.find(',');
    if (comma == std::string::npos) continue;
    long ends[2];
    bool good = true;
    const std::string texts[2] = {value.substr(0, comma), value.substr(comma + 1)};
    for (int i = 0; i < 2; ++i) {
      const size_t digits =
          texts[i].find_first_not_of('-') == std::string::npos ? texts[i].size() : texts[i].find_first_not_of('-');
      good = good && digits <= 1 && digits < texts[i].size() &&
             texts[i].find_first_not_of("0123456789", digits) == std::string::npos;
      errno = 0;
      ends[i] = std::strtol(texts[i].c_str(), nullptr, 10);
      good = good && errno == 0 && std::labs(ends[i]) <= INT_MAX;
    }
    if (!good) continue;
    said = ends[0] < 0 || ends[1] < 0 ? "off" : std::to_string(ends[0]) + "," + std::to_string(ends[1]);
  }
  return said;
}

TEST_CASE("any text is read as it is written, and none past its end", "[jobserver]") {
  const std::vector<std::string> pieces = {"--jobserver-auth=",
                                           "--jobserver-fds=",
                                           "fifo:",
                                           "3,4",
                                           "-2,-2",
                                           "--",
                                           " ",
                                           " ",
                                           "\t",
                                           "\\",
                                           ",",
                                           "-",
                                           "n",
                                           "j4",
                                           "=",
                                           "2147483647",
                                           "2147483648",
                                           "/tmp/f",
                                           "0",
                                           "9",
                                           std::string(kJobserverPathMax - 2, 'x')};
  const std::string seed = "nk -j4 --jobserver-auth=3,4 --jobserver-fds=5,6 --jobserver-auth=fifo:/tmp/a\\ b -- X=1";
  Random random(44);
  std::array<int, 5> seen = {};
  for (int round = 0; round < 100'000; ++round) {
    std::string text = random.Below(2) == 0 ? seed : "";
    for (uint32_t i = 1 + random.Below(8); i > 0; --i) {
      const size_t at = random.Below(static_cast<uint32_t>(text.size()) + 1);
      switch (random.Below(5)) {
        case 0:
          if (at < text.size()) text.erase(at, 1 + random.Below(20));
          break;
        case 1:
          if (at < text.size()) text[at] = static_cast<char>(random.Below(256));
          break;
        case 2:
          text += pieces[random.Below(static_cast<uint32_t>(pieces.size()))];
          break;
        case 3:
          text += " --jobserver-auth=" + std::to_string(static_cast<int>(random.Below(12)) - 2) + ",7";
          break;
        default:
          text.insert(at, pieces[random.Below(static_cast<uint32_t>(pieces.size()))]);
      }
    }
    INFO("round " << round << ": '" << text << "'");
    REQUIRE(Said(text) == SaidSimply(text));
    ++seen[static_cast<size_t>(Read(text).named)];
  }
  for (const int count : seen) CHECK(count > 1000);
}

// ---- pipes

// What make has: a pipe with a byte for each job but one.
class FakeMake {
 public:
  explicit FakeMake(const std::string& tokens) {
    if (pipe(fds_) != 0) std::abort();
    Put(tokens);
  }
  ~FakeMake() {
    close(fds_[0]);
    close(fds_[1]);
  }
  FakeMake(const FakeMake&) = delete;
  FakeMake& operator=(const FakeMake&) = delete;

  void Put(const std::string& tokens) const {
    if (write(fds_[1], tokens.data(), tokens.size()) != static_cast<ssize_t>(tokens.size())) std::abort();
  }
  [[nodiscard]] int Count() const {
    int count = -1;
    ioctl(fds_[0], FIONREAD, &count);
    return count;
  }
  // All that is in the pipe, in order of their values.
  [[nodiscard]] std::string TakeAll() const {
    std::string tokens(static_cast<size_t>(Count()), ' ');
    if (!tokens.empty() && read(fds_[0], tokens.data(), tokens.size()) != static_cast<ssize_t>(tokens.size()))
      std::abort();
    std::sort(tokens.begin(), tokens.end());
    return tokens;
  }
  [[nodiscard]] std::string Flags() const {
    return " -j4 --jobserver-auth=" + std::to_string(fds_[0]) + "," + std::to_string(fds_[1]);
  }
  [[nodiscard]] bool Blocks() const {
    return (fcntl(fds_[0], F_GETFL) & O_NONBLOCK) == 0 && (fcntl(fds_[1], F_GETFL) & O_NONBLOCK) == 0;
  }
  [[nodiscard]] int reads() const { return fds_[0]; }
  [[nodiscard]] int writes() const { return fds_[1]; }

 private:
  int fds_[2];
};

// A named pipe in a directory of its own.
class NamedPipe {
 public:
  NamedPipe() {
    if (mkdtemp(directory_) == nullptr || mkfifo(path().c_str(), 0600) != 0) std::abort();
  }
  ~NamedPipe() {
    unlink(path().c_str());
    rmdir(directory_);
  }
  NamedPipe(const NamedPipe&) = delete;
  NamedPipe& operator=(const NamedPipe&) = delete;
  [[nodiscard]] std::string path() const { return std::string(directory_) + "/a pipe"; }
  [[nodiscard]] std::string Flags() const { return "--jobserver-auth=fifo:" + std::string(directory_) + "/a\\ pipe"; }

 private:
  char directory_[32] = "/tmp/jobserver_test.XXXXXX";
};

uint32_t AcquireAll(Jobserver& jobserver) {
  uint32_t count = 0;
  while (jobserver.TryAcquire()) ++count;
  return count;
}

TEST_CASE("the implicit token is free, the others come from the pipe and go back as they were", "[jobserver]") {
  const FakeMake make("abc");
  Jobserver jobserver;
  CHECK(jobserver.state() == JobserverState::kUnopened);
  CHECK(jobserver.fd() == -1);
  REQUIRE(jobserver.Open(make.Flags().c_str()) == JobserverState::kReady);
  CHECK(jobserver.fd() > STDERR_FILENO);
  CHECK(make.Count() == 3);
  CHECK(jobserver.TryAcquire());
  CHECK(make.Count() == 3);
  CHECK(jobserver.TryAcquire());
  CHECK(make.Count() == 2);
  CHECK(AcquireAll(jobserver) == 2);
  CHECK(make.Count() == 0);
  CHECK(jobserver.in_use() == 4);
  CHECK(jobserver.held() == 3);
  CHECK_FALSE(jobserver.TryAcquire());
  // Another job of make's ends.
  make.Put("d");
  CHECK(jobserver.TryAcquire());
  CHECK_FALSE(jobserver.TryAcquire());
  // The implicit one is the last.
  jobserver.Release();
  CHECK(make.Count() == 1);
  jobserver.Release(3);
  CHECK(make.Count() == 4);
  CHECK(jobserver.in_use() == 1);
  CHECK(jobserver.held() == 0);
  jobserver.Release();
  CHECK(jobserver.in_use() == 0);
  CHECK(make.TakeAll() == "abcd");
  // More than there is does nothing.
  jobserver.Release(7);
  CHECK(make.Count() == 0);
  CHECK(make.Blocks());
  CHECK(jobserver.Open("") == JobserverState::kReady);  // the first call counts
}

TEST_CASE("bytes of every value go back as they were", "[jobserver]") {
  std::string all;
  for (int byte = 0; byte < 256; ++byte) all += static_cast<char>(byte);
  const FakeMake make(all);
  std::sort(all.begin(), all.end());
  {
    Jobserver jobserver;
    REQUIRE(jobserver.Open(make.Flags().c_str()) == JobserverState::kReady);
    CHECK(AcquireAll(jobserver) == 257);
    jobserver.Release(100);
    CHECK(make.Count() == 100);
  }
  CHECK(make.TakeAll() == all);
}

TEST_CASE("a named pipe does as well", "[jobserver]") {
  const NamedPipe named;
  const int make = open(named.path().c_str(), O_RDWR | O_CLOEXEC);
  REQUIRE(write(make, "xyz", 3) == 3);
  Jobserver jobserver;
  REQUIRE(jobserver.Open(named.Flags().c_str()) == JobserverState::kReady);
  CHECK(AcquireAll(jobserver) == 4);
  CHECK_FALSE(jobserver.TryAcquire());
  jobserver.Release(4);
  char back[4] = {};
  REQUIRE(read(make, back, 3) == 3);
  std::sort(back, back + 3);
  CHECK(std::string(back) == "xyz");
  CHECK((fcntl(make, F_GETFL) & O_NONBLOCK) == 0);
  close(make);
}

TEST_CASE("what is no jobserver is told and not used", "[jobserver]") {
  const FakeMake make("ab"), other("cd");
  int sockets[2];
  REQUIRE(socketpair(AF_UNIX, SOCK_STREAM, 0, sockets) == 0);
  const int file = open("/dev/null", O_RDWR | O_CLOEXEC);
  const NamedPipe named;
  const int gone = dup(make.writes());
  close(gone);
  const auto ends = [](int read_fd, int write_fd) {
    return "--jobserver-auth=" + std::to_string(read_fd) + "," + std::to_string(write_fd);
  };
  struct Row {
    std::string makeflags;
    JobserverState state;
  };
  for (const Row& row : std::vector<Row>{
           {"", JobserverState::kNone},
           {" -j1", JobserverState::kNone},
           {"--jobserver-auth=-2,-2", JobserverState::kOff},
           {make.Flags() + " --jobserver-auth=-2,-2", JobserverState::kOff},
           {"--jobserver-auth=3", JobserverState::kMalformed},
           {ends(gone, make.writes()), JobserverState::kNotOpen},
           {ends(make.reads(), gone), JobserverState::kNotOpen},
           {ends(INT_MAX, INT_MAX), JobserverState::kNotOpen},
           {ends(make.reads(), other.writes()), JobserverState::kNotPipe},  // of two pipes
           {ends(make.writes(), make.reads()), JobserverState::kNotPipe},   // the wrong way round
           {ends(make.reads(), make.reads()), JobserverState::kNotPipe},
           {ends(make.writes(), make.writes()), JobserverState::kNotPipe},
           {ends(file, file), JobserverState::kNotPipe},
           {ends(sockets[0], sockets[1]), JobserverState::kNotPipe},
           {"--jobserver-auth=fifo:" + named.path().substr(0, named.path().rfind('/')) + "/gone",
            JobserverState::kNotOpen},
           {"--jobserver-auth=fifo:/dev/null/gone", JobserverState::kNotOpen},
           {"--jobserver-auth=fifo:/dev/null", JobserverState::kNotPipe},
           {"--jobserver-auth=fifo:/tmp", JobserverState::kRefused},  // a directory
       }) {
    INFO(row.makeflags);
    Jobserver jobserver;
    CHECK(jobserver.Open(row.makeflags.c_str()) == row.state);
    CHECK(jobserver.state() == row.state);
    CHECK((jobserver.error() != 0) == (row.state == JobserverState::kRefused));
    CHECK(jobserver.fd() == -1);
    CHECK(std::strlen(JobserverStateText(row.state)) > 10);
    // The implicit one, which needs no jobserver.
    CHECK(AcquireAll(jobserver) == 1);
    jobserver.Release();
    CHECK(AcquireAll(jobserver) == 1);
  }
  CHECK(make.Count() == 2);
  CHECK(other.Count() == 2);
  close(file);
  close(sockets[0]);
  close(sockets[1]);
}

TEST_CASE("the descriptors from make may be closed once it is open", "[jobserver]") {
  auto make = std::make_unique<FakeMake>("ab");
  const int watch = dup(make->reads());
  Jobserver jobserver;
  REQUIRE(jobserver.Open(make->Flags().c_str()) == JobserverState::kReady);
  make.reset();
  CHECK(AcquireAll(jobserver) == 3);
  jobserver.Release(3);
  int count = 0;
  ioctl(watch, FIONREAD, &count);
  CHECK(count == 2);
  close(watch);
}

TEST_CASE("a pipe is never opened in the place of a standard stream", "[jobserver]") {
  const auto end = workpool_test::RunChild([] {
    const FakeMake make("ab");
    for (const int fd : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) close(fd);
    Jobserver jobserver;
    if (jobserver.Open(make.Flags().c_str()) != JobserverState::kReady) _exit(1);
    TokenPipe shared;
    if (shared.OpenShared(make.reads(), make.writes()) != TokenPipe::Opened::kYes) _exit(2);
    for (const int fd : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
      if (fcntl(fd, F_GETFD) != -1) _exit(3);
    }
  });
  INFO(end);
  CHECK(end.ExitedWith(0));
}

TEST_CASE("a shared description is read without waiting too, and stays as it is", "[jobserver]") {
  const FakeMake make("abc");
  TokenPipe pipe;
  REQUIRE(pipe.OpenShared(make.reads(), make.writes()) == TokenPipe::Opened::kYes);
  std::string got;
  uint8_t byte = 0;
  while (pipe.TryRead(&byte) == TokenPipe::Got::kByte) got += static_cast<char>(byte);
  CHECK(got == "abc");
  CHECK(pipe.TryRead(&byte) == TokenPipe::Got::kNone);
  CHECK(make.Blocks());
  for (const char c : got) CHECK(pipe.Write(static_cast<uint8_t>(c)));
  CHECK(make.TakeAll() == "abc");
}

std::vector<int> OpenDescriptors() {
  std::vector<int> open;
  for (int fd = 0; fd < 256; ++fd) {
    if (fcntl(fd, F_GETFD) != -1) open.push_back(fd);
  }
  return open;
}

TEST_CASE("descriptors of its own are closed on exec, and with it", "[jobserver]") {
  const FakeMake make("ab");
  const NamedPipe named;
  const std::vector<int> before = OpenDescriptors();
  {
    Jobserver by_ends, by_path;
    TokenPipe shared;
    REQUIRE(by_ends.Open(make.Flags().c_str()) == JobserverState::kReady);
    REQUIRE(by_path.Open(named.Flags().c_str()) == JobserverState::kReady);
    REQUIRE(shared.OpenShared(make.reads(), make.writes()) == TokenPipe::Opened::kYes);
    const std::vector<int> within = OpenDescriptors();
    CHECK(within.size() == before.size() + 1 + 1 + 4);
    for (const int fd : within) {
      if (std::count(before.begin(), before.end(), fd) == 0) CHECK((fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0);
    }
  }
  CHECK(OpenDescriptors() == before);
}

// Whether the calling process may open another user's pipe decides which way it takes; both must do.
TEST_CASE("a pipe of another user is used", "[jobserver]") {
  if (geteuid() != 0) {
    SUCCEED("takes a privileged user");
    return;
  }
  const FakeMake make("abc");
  const auto end = workpool_test::RunChild([&] {
    if (setgid(65534) != 0 || setuid(65534) != 0) _exit(1);
    Jobserver jobserver;
    if (jobserver.Open(make.Flags().c_str()) != JobserverState::kReady) _exit(2);
    if (AcquireAll(jobserver) != 4) _exit(3);
    if (make.Count() != 0) _exit(4);
    jobserver.Release(4);
  });
  INFO(end);
  CHECK(end.ExitedWith(0));
  CHECK(make.Blocks());
  CHECK(make.TakeAll() == "abc");
}

TEST_CASE("a full pipe takes a token back later", "[jobserver]") {
  const FakeMake make("a");
  Jobserver jobserver;
  REQUIRE(jobserver.Open(make.Flags().c_str()) == JobserverState::kReady);
  REQUIRE(AcquireAll(jobserver) == 2);
  const int room = fcntl(make.reads(), F_SETPIPE_SZ, 4096);
  REQUIRE(room > 0);
  make.Put(std::string(static_cast<size_t>(room), 'z'));
  jobserver.Release();
  CHECK(jobserver.in_use() == 1);
  CHECK(jobserver.held() == 1);  // still
  CHECK(make.Count() == room);
  SECTION("to be used again") {
    CHECK(jobserver.TryAcquire());
    CHECK(jobserver.held() == 1);
    CHECK(make.Count() == room);
  }
  SECTION("with the next call that gives something back") {
    CHECK(make.TakeAll().size() == static_cast<size_t>(room));
    jobserver.Release();
    CHECK(jobserver.held() == 0);
    CHECK(make.TakeAll() == "a");
  }
}

TEST_CASE("no more tokens are taken than there is room for", "[jobserver]") {
  const FakeMake make(std::string(kJobserverTokensMax + 10, '+'));
  Jobserver jobserver;
  REQUIRE(jobserver.Open(make.Flags().c_str()) == JobserverState::kReady);
  CHECK(AcquireAll(jobserver) == kJobserverTokensMax + 1);
  CHECK(make.Count() == 10);
  jobserver.Release(UINT32_MAX);
  CHECK(make.Count() == kJobserverTokensMax + 10);
}

TEST_CASE("a pool has the tokens it asked for, and gives back its own when it closes", "[jobserver]") {
  const FakeMake make("abcde");
  Jobserver jobserver;
  REQUIRE(jobserver.Open(make.Flags().c_str()) == JobserverState::kReady);
  JobserverTokens stays(jobserver);
  {
    JobserverTokens closes(jobserver);
    CHECK(closes.Adjust(3) == 3);
    CHECK(stays.Adjust(9) == 3);
    CHECK(make.Count() == 0);
    CHECK(closes.Adjust(3) == 3);
    CHECK(closes.Adjust(2) == 2);
    CHECK(make.Count() == 1);
    CHECK(closes.Adjust(4) == 3);
  }
  CHECK(make.Count() == 3);
  CHECK(stays.count() == 3);
  CHECK(jobserver.in_use() == 3);
  stays.ReleaseAll();
  stays.ReleaseAll();
  CHECK(jobserver.in_use() == 0);
  CHECK(make.TakeAll() == "abcde");
}

TEST_CASE("at the end of the process all goes back, and nothing is taken any more", "[jobserver]") {
  const FakeMake make("abc");
  Jobserver jobserver;
  REQUIRE(jobserver.Open(make.Flags().c_str()) == JobserverState::kReady);
  REQUIRE(AcquireAll(jobserver) == 4);
  jobserver.ReleaseAtExit();
  CHECK(make.Count() == 3);
  // Pools that go on till the last moment end tasks and begin others.
  CHECK_FALSE(jobserver.TryAcquire());
  jobserver.Release(4);
  CHECK(make.Count() == 3);
  CHECK(jobserver.in_use() == 0);
  CHECK(AcquireAll(jobserver) == 1);
  jobserver.ReleaseAtExit();
  CHECK(make.TakeAll() == "abc");
}

TEST_CASE("a forked child has no part in its parent's tokens", "[jobserver]") {
  const FakeMake make("abc");
  Jobserver jobserver;
  REQUIRE(jobserver.Open(make.Flags().c_str()) == JobserverState::kReady);
  JobserverTokens tokens(jobserver);
  REQUIRE(tokens.Adjust(3) == 3);
  const auto end = workpool_test::RunChild([&] {
    if (jobserver.TryAcquire() || jobserver.in_use() != 0 || jobserver.fd() != -1) _exit(1);
    tokens.ReleaseAll();
    jobserver.Release(3);
    jobserver.ReleaseAtExit();
    jobserver.~Jobserver();
    if (make.Count() != 1) _exit(2);
    // One of its own shares what is left.
    Jobserver own;
    if (own.Open(make.Flags().c_str()) != JobserverState::kReady) _exit(3);
    if (AcquireAll(own) != 2) _exit(4);
    _exit(make.Count() == 0 ? 10 : 5);  // and loses it so
  });
  INFO(end);
  CHECK(end.ExitedWith(10));
  CHECK(make.Count() == 0);
  CHECK(jobserver.in_use() == 3);
  tokens.ReleaseAll();
  CHECK(make.TakeAll().size() == 2);
}

TEST_CASE("the process has one client, opened with its MAKEFLAGS, and a child one of its own", "[jobserver]") {
  const auto end = workpool_test::RunChild([] {
    const FakeMake make("ab");
    setenv("MAKEFLAGS", make.Flags().c_str(), 1);
    Jobserver* jobserver = Jobserver::OfProcess();
    if (jobserver == nullptr || jobserver->state() != JobserverState::kReady) _exit(1);
    if (Jobserver::OfProcess() != jobserver) _exit(2);
    if (!jobserver->TryAcquire() || !jobserver->TryAcquire()) _exit(3);
    const auto grandchild = workpool_test::RunChild([&] {
      Jobserver* own = Jobserver::OfProcess();
      if (own == jobserver || own->state() != JobserverState::kReady) _exit(1);
      if (AcquireAll(*own) != 2) _exit(2);
      std::exit(20);  // gives back its own and not its parent's
    });
    if (!grandchild.ExitedWith(20)) _exit(4);
    if (make.Count() != 1) _exit(5);
    jobserver->Release(2);
    _exit(make.TakeAll() == "ab" ? 30 : 6);
  });
  INFO(end);
  CHECK(end.ExitedWith(30));
}

TEST_CASE("threads and processes that share a pipe lose no token, and nobody waits in a read", "[jobserver]") {
  const std::string tokens = "+-abcd";
  const FakeMake make(tokens);
  const auto churn = [&](uint32_t seed, Jobserver& jobserver) {
    Random random(seed);
    JobserverTokens own(jobserver);
    for (uint64_t i = 0; i < Rounds(5000); ++i) (void)own.Adjust(random.Below(5));
  };
  const auto churn_shared = [&](uint32_t seed) {
    Random random(seed);
    TokenPipe pipe;
    if (pipe.OpenShared(make.reads(), make.writes()) != TokenPipe::Opened::kYes) std::abort();
    std::string held;
    for (uint64_t i = 0; i < Rounds(5000); ++i) {
      uint8_t byte = 0;
      if (random.Below(2) == 0) {
        if (pipe.TryRead(&byte) == TokenPipe::Got::kByte) held += static_cast<char>(byte);
      } else if (!held.empty()) {
        if (!pipe.Write(static_cast<uint8_t>(held.back()))) std::abort();
        held.pop_back();
      }
    }
    for (const char byte : held) {
      if (!pipe.Write(static_cast<uint8_t>(byte))) std::abort();
    }
  };
  const auto end = workpool_test::RunChild([&] {  // its alarm ends a read that waits
    Jobserver jobserver, other;
    if (jobserver.Open(make.Flags().c_str()) != JobserverState::kReady) _exit(1);
    if (other.Open(make.Flags().c_str()) != JobserverState::kReady) _exit(1);
    std::deque<ScopedThread> threads;
    threads.emplace_back([&] { churn(1, jobserver); });
    threads.emplace_back([&] { churn(2, jobserver); });
    threads.emplace_back([&] { churn(3, other); });
    threads.emplace_back([&] { churn_shared(4); });
    threads.emplace_back([&] { churn_shared(5); });
  });
  INFO(end);
  CHECK(end.ExitedWith(0));
  CHECK(make.Blocks());
  std::string sorted = tokens;
  std::sort(sorted.begin(), sorted.end());
  CHECK(make.TakeAll() == sorted);
}

}  // namespace
}  // namespace workpool
