// A C++ program that has the installed headers and library, and nothing else of the project.
#include <cstdint>
#include <future>
#include <iostream>
#include <stdexcept>
#include <vector>
#include <workpool/workpool.hpp>

int main() {
  workpool::pool pool;
  std::vector<std::future<std::uint64_t>> squares;
  for (std::uint64_t n = 0; n < 1000; ++n) {
    squares.push_back(pool.submit([n] { return n * n; }));
  }
  std::uint64_t sum = 0;
  for (auto& square : squares) sum += square.get();
  // An exception crosses from the installed library's thread to this one.
  bool caught = false;
  try {
    pool.submit([] { throw std::runtime_error("seen"); }).get();
  } catch (const std::runtime_error& error) {
    caught = std::string(error.what()) == "seen";
  }
  std::cout << sum << "\n";
  return sum == 332833500u && caught ? 0 : 1;
}
