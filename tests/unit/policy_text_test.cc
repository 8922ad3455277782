#include "scaling/policy_text.h"

#include <catch2/catch.hpp>
#include <string>

namespace workpool {
namespace {

TEST_CASE("whole and decimal numbers are digits, and nothing else", "[scaling]") {
  uint64_t whole = 0;
  double number = 0;
  CHECK((ReadWhole("0", &whole) && whole == 0));
  CHECK((ReadWhole("4096", &whole) && whole == 4096));
  for (const char* text : {"", " 1", "1 ", "+1", "-1", "1.0", "1e3", "0x1", "99999999999999999999"}) {
    INFO(text);
    CHECK_FALSE(ReadWhole(text, &whole));
  }
  CHECK((ReadDecimal("0.75", &number) && number == 0.75));
  CHECK((ReadDecimal("12", &number) && number == 12));
  CHECK((ReadDecimal("3.000000001", &number) && number > 3));
  for (const char* text : {"", ".", ".5", "5.", "1,5", "1.2.3", "nan", "inf", "1e3", "-1", "0.0000000001"}) {
    INFO(text);
    CHECK_FALSE(ReadDecimal(text, &number));
  }
}

TEST_CASE("a duration has its unit", "[scaling]") {
  const struct {
    const char* text;
    double seconds;
  } kRows[] = {{"0", 0}, {"500us", 0.0005}, {"500ms", 0.5}, {"2s", 2}, {"1.5m", 90}, {"24h", 86'400}, {"0s", 0}};
  for (const auto& row : kRows) {
    double seconds = -1;
    INFO(row.text);
    CHECK(ReadDuration(row.text, &seconds));
    CHECK(seconds == Approx(row.seconds));
  }
  double seconds = 0;
  for (const char* text : {"", "5", "s", "ms", "5 s", "5S", "-5s", "5d", "1s5ms", "never"}) {
    INFO(text);
    CHECK_FALSE(ReadDuration(text, &seconds));
  }
}

TEST_CASE("a time of day has two digits in each part", "[scaling]") {
  uint32_t seconds = 0;
  CHECK((ReadTimeOfDay("00:00", &seconds) && seconds == 0));
  CHECK((ReadTimeOfDay("23:59:59", &seconds) && seconds == 86'399));
  CHECK((ReadTimeOfDay("09:30", &seconds) && seconds == 34'200));
  for (const char* text :
       {"", "9:00", "09", "09:0", "24:00", "00:60", "00:00:60", "09:00:", "0a:00", "09:00:00:00", "09;00"}) {
    INFO(text);
    CHECK_FALSE(ReadTimeOfDay(text, &seconds));
  }
}

TEST_CASE("words are found by name and by index", "[scaling]") {
  uint32_t index = 9;
  CHECK((FindWord("a bc d", "bc", &index) && index == 1));
  CHECK_FALSE(FindWord("a bc d", "b", &index));
  CHECK_FALSE(FindWord("a bc d", "", &index));
  CHECK(WordAt("a bc d", 2) == "d");
  CHECK(WordAt("a bc d", 3).empty());
  std::string_view text = "  a \tbc\n";
  CHECK(TakeWord(&text) == "a");
  CHECK(TakeWord(&text) == "bc");
  CHECK(TakeWord(&text).empty());
}

TEST_CASE("numbers are written as they are read", "[scaling]") {
  char out[64];
  const auto decimal = [&](double value) {
    TextOut(out, sizeof(out)).PutDecimal(value);
    return std::string(out);
  };
  CHECK(decimal(0) == "0");
  CHECK(decimal(0.75) == "0.75");
  CHECK(decimal(0.000001) == "0.000001");
  CHECK(decimal(12.05) == "12.05");
  CHECK(decimal(1e9) == "1000000000");
  const auto duration = [&](double value) {
    TextOut(out, sizeof(out)).PutDuration(value);
    return std::string(out);
  };
  for (const char* text : {"0", "500us", "5ms", "2s", "1.5m", "24h", "30s"}) {
    double seconds = 0;
    REQUIRE(ReadDuration(text, &seconds));
    CHECK(duration(seconds) == text);
  }
}

TEST_CASE("text that does not fit is counted, and ends with a NUL", "[scaling]") {
  char out[4] = {'x', 'x', 'x', 'x'};
  TextOut text(out, sizeof(out));
  text.Put("ab").PutWhole(345);
  CHECK(text.length() == 5);
  CHECK(std::string(out) == "ab3");
  char one = 'x';
  CHECK(TextOut(&one, 1).Put("abc").length() == 3);
  CHECK(one == 0);
  CHECK(TextOut(nullptr, 0).Put("abc").length() == 3);
}

}  // namespace
}  // namespace workpool
