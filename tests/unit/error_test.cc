#include "base/error.h"

#include <catch2/catch.hpp>
#include <cstring>
#include <set>
#include <string>

#include "unit_support.h"

namespace workpool {
namespace {

struct Last {
  int length;
  int32_t code;
  std::string text;
};

Last LastOf(size_t cap = 512) {
  std::string buffer(cap, '\0');
  Last last{};
  last.length = FormatLastError(buffer.data(), cap, &last.code);
  last.text = buffer.c_str();
  return last;
}

TEST_CASE("a thread without a failure has code 0 and no text", "[base]") {
  Last last{-1, -1, "x"};
  ScopedThread thread([&] { last = LastOf(); });
  thread.Join();
  CHECK(last.code == 0);
  CHECK(last.length == 0);
  CHECK(last.text.empty());
}

TEST_CASE("a refusal says function and reason", "[base]") {
  CHECK(Fail(POOL_E_INVALID, "options.workers_max = %u is above %u", 70000u, 4096u) ==
        POOL_E_INVALID);
  CHECK(FinishFailure("pool_create", POOL_E_INVALID) == POOL_E_INVALID);
  const Last last = LastOf();
  CHECK(last.code == POOL_E_INVALID);
  CHECK(last.text == "pool_create: options.workers_max = 70000 is above 4096");
  CHECK(last.length == static_cast<int>(last.text.size()));
}

TEST_CASE("a refusal without a reason of its own says what its code means", "[base]") {
  (void)Fail(POOL_E_INVALID, "an old reason");
  (void)FinishFailure("pool_submit", POOL_E_INVALID);
  (void)FinishFailure("pool_create", POOL_E_NOMEM);
  const Last last = LastOf();
  CHECK(last.code == POOL_E_NOMEM);
  CHECK(last.text == std::string("pool_create: ") + StatusText(POOL_E_NOMEM));
}

TEST_CASE("a constant reason counts as one, and the newest wins", "[base]") {
  (void)Fail(POOL_E_INVALID, "the first");
  CHECK(FailConst(POOL_E_FULL, "1048576 tasks wait") == POOL_E_FULL);
  (void)FinishFailure("pool_submit", POOL_E_FULL);
  CHECK(LastOf().text == "pool_submit: 1048576 tasks wait");
}

TEST_CASE("a reason is cut at 319 bytes", "[base]") {
  for (size_t length : {0, 1, 318, 319, 320, 10'000}) {
    INFO("length " << length);
    const std::string reason(length, 'x');
    (void)Fail(POOL_E_INVALID, "%s", reason.c_str());
    (void)FinishFailure("f", POOL_E_INVALID);
    CHECK(LastOf().text == "f: " + reason.substr(0, 319));
  }
}

TEST_CASE("a text is cut to the caller's buffer, and its whole length told", "[base]") {
  (void)Fail(POOL_E_INVALID, "%s", "0123456789");
  (void)FinishFailure("f", POOL_E_INVALID);
  CHECK(LastOf(1).text.empty());
  CHECK(LastOf(6).text == "f: 01");
  CHECK(LastOf(13).text == "f: 012345678");
  CHECK(LastOf(14).text == "f: 0123456789");
  for (size_t cap : {1, 6, 14, 100}) CHECK(LastOf(cap).length == 13);
  int32_t code = 0;
  CHECK(FormatLastError(nullptr, 0, &code) == 13);
  CHECK(code == POOL_E_INVALID);
}

TEST_CASE("each thread has a last failure of its own", "[base]") {
  (void)Fail(POOL_E_INVALID, "mine");
  (void)FinishFailure("f", POOL_E_INVALID);
  std::string before, after;
  ScopedThread other([&] {
    before = LastOf().text;
    (void)Fail(POOL_E_TOOBIG, "theirs");
    (void)FinishFailure("g", POOL_E_TOOBIG);
    after = LastOf().text;
  });
  other.Join();
  CHECK(before.empty());
  CHECK(after == "g: theirs");
  CHECK(LastOf().text == "f: mine");
  CHECK(LastOf().code == POOL_E_INVALID);
}

TEST_CASE("only the caller's mistakes are counted as misuse", "[base]") {
  for (int32_t code = -1; code >= -22; --code) {
    INFO("code " << code);
    const bool misuse = code == POOL_E_INVALID || code == POOL_E_BADHANDLE ||
                        code == POOL_E_TOOBIG || code == POOL_E_DEADLOCK || code == POOL_E_FORKED;
    const uint64_t before = MisuseCount();
    (void)FinishFailure("f", code);
    CHECK(MisuseCount() == before + (misuse ? 1 : 0));
  }
}

TEST_CASE("every status has a text of its own", "[base]") {
  std::set<std::string> texts;
  for (int32_t code = 0; code >= POOL_E_INTERNAL; --code) {
    REQUIRE(StatusText(code) != nullptr);
    texts.insert(StatusText(code));
  }
  CHECK(texts.size() == 21);
  const std::string unknown = StatusText(1);
  CHECK(texts.count(unknown) == 0);
  for (int32_t code : {2, INT32_MAX, -21, -999}) CHECK(StatusText(code) == unknown);
  const std::string own = StatusText(-1000);
  CHECK(own != unknown);
  CHECK(texts.count(own) == 0);
  for (int32_t code : {-1001, INT32_MIN}) CHECK(StatusText(code) == own);
}

}  // namespace
}  // namespace workpool
