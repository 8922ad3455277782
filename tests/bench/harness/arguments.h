// Arguments: the name=value words of a benchmark process. A name that no workload asked for is an
// error, so that a mistyped one does not measure something else than it says.
#pragma once

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <string>

namespace bench {

class Arguments {
 public:
  Arguments(int count, char** words) {
    for (int i = 0; i < count; ++i) {
      std::string word = words[i];
      const size_t equals = word.find('=');
      if (equals == std::string::npos) Fail("not name=value", word);
      char* end = nullptr;
      const uint64_t value = std::strtoull(word.c_str() + equals + 1, &end, 10);
      if (*end != '\0' || end == word.c_str() + equals + 1) Fail("not a number", word);
      values_[word.substr(0, equals)] = Value{value, false};
    }
  }

  uint64_t Number(const std::string& name, uint64_t otherwise) const {
    auto found = values_.find(name);
    if (found == values_.end()) return otherwise;
    found->second.asked = true;
    return found->second.value;
  }

  void FailIfUnasked() const {
    for (const auto& [name, value] : values_) {
      if (!value.asked) Fail("this workload has no argument", name);
    }
  }

 private:
  struct Value {
    uint64_t value;
    mutable bool asked;
  };

  [[noreturn]] static void Fail(const char* what, const std::string& word) {
    std::fprintf(stderr, "bench: %s: %s\n", what, word.c_str());
    std::exit(2);
  }

  std::map<std::string, Value> values_;
};

// One measured figure, as the driver reads it. The unit is the last word of the name.
inline void Print(const char* name, double value) { std::printf("%s %.9g\n", name, value); }

// A workload that finds a wrong answer says so; a figure of a wrong answer is worth nothing.
inline void Require(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "bench: wrong: %s\n", what);
  std::abort();
}

}  // namespace bench
