// bench_physical: what the machine itself takes for the steps a pool is made of. No pool can be
// quicker than the sum of the steps it cannot do without. The latency of a futex word is
// bench_futex's.
#include <unistd.h>

#include <atomic>
#include <cstdint>
#include <cstdlib>
#include <mutex>
#include <thread>

#include "bench/harness/arguments.h"
#include "bench/harness/clock.h"
#include "bench/harness/gate.h"
#include "bench/harness/rounds.h"
#include "bench/harness/spin_work.h"

namespace bench {
namespace {

constexpr uint64_t kTimes = 200'000;
constexpr int kRounds = 5;

// The median over rounds of what one call of step(i) takes, in ns.
template <class Step>
double Each(Step step, uint64_t times = kTimes) {
  Figures ns;
  for (int round = 0; round < kRounds; ++round) {
    const uint64_t start_ns = NowNs();
    for (uint64_t i = 0; i < times; ++i) step(i);
    ns.Add(static_cast<double>(NowNs() - start_ns) / static_cast<double>(times));
  }
  return ns.Median();
}

// The same for two threads that begin together, the second on another thread; the time of the one
// that ends last.
template <class First, class Second>
double EachOfTwo(First first, Second second, uint64_t times = kTimes) {
  Figures ns;
  for (int round = 0; round < kRounds; ++round) {
    std::atomic<int> here{0};
    auto meet = [&here] {
      here.fetch_add(1);
      while (here.load() < 2) {
      }
    };
    std::thread other([&] {
      meet();
      second(times);
    });
    meet();
    const uint64_t start_ns = NowNs();
    first(times);
    other.join();
    ns.Add(static_cast<double>(NowNs() - start_ns) / static_cast<double>(times));
  }
  return ns.Median();
}

template <class T>
struct alignas(128) Line {
  T value;
};

[[gnu::noinline]] void Nothing(void*) { asm volatile(""); }

void CallsAndAtomics() {
  void (*volatile indirect)(void*) = &Nothing;
  Print("indirect_call_ns", Each([&](uint64_t) { indirect(nullptr); }));

  Line<std::atomic<uint64_t>> word{};
  Print("rmw_ns", Each([&](uint64_t) { word.value.fetch_add(1, std::memory_order_relaxed); }));
  Print("cas_ns", Each([&](uint64_t i) { word.value.compare_exchange_strong(i, i + 1); }));
  Print("seq_cst_store_ns",
        Each([&](uint64_t i) { word.value.store(i, std::memory_order_seq_cst); }));
  auto contend = [&](uint64_t times) {
    for (uint64_t i = 0; i < times; ++i) word.value.fetch_add(1, std::memory_order_relaxed);
  };
  Print("rmw_contended_ns", EachOfTwo(contend, contend) / 2);

  std::mutex mutex;
  Print("mutex_pair_ns", Each([&](uint64_t) {
          mutex.lock();
          mutex.unlock();
        }));
  auto lock = [&](uint64_t times) {
    for (uint64_t i = 0; i < times; ++i) {
      mutex.lock();
      mutex.unlock();
    }
  };
  Print("mutex_pair_contended_ns", EachOfTwo(lock, lock) / 2);
}

// Sends times pointers through a ring with one writer and one reader, each of which remembers how
// far the other was. make() gives a pointer, take(pointer) ends it. Returns the ns per pointer.
template <class Make, class Take>
double ThroughRing(Make make, Take take) {
  static constexpr uint64_t kSlots = 1024;
  static void* slots[kSlots];
  static Line<std::atomic<uint64_t>> written, read;
  Figures ns;
  for (int round = 0; round < kRounds; ++round) {
    written.value = 0;
    read.value = 0;
    std::thread reader([&take] {
      uint64_t seen = 0;
      for (uint64_t i = 0; i < kTimes; ++i) {
        while (i >= seen) seen = written.value.load(std::memory_order_acquire);
        take(slots[i % kSlots]);
        read.value.store(i + 1, std::memory_order_release);
      }
    });
    const uint64_t start_ns = NowNs();
    uint64_t seen = 0;
    for (uint64_t i = 0; i < kTimes; ++i) {
      while (i - seen >= kSlots) seen = read.value.load(std::memory_order_acquire);
      slots[i % kSlots] = make();
      written.value.store(i + 1, std::memory_order_release);
    }
    reader.join();
    ns.Add(static_cast<double>(NowNs() - start_ns) / kTimes);
  }
  return ns.Median();
}

void HandOver() {
  constexpr size_t kBytes = 64;
  static char something;
  Print("spsc_hand_over_ns",
        ThroughRing([] { return static_cast<void*>(&something); },
                    [](void* got) { Require(got == &something, "the ring"); }));
  Print("malloc_free_ns", Each([](uint64_t) {
          void* volatile memory = std::malloc(kBytes);
          std::free(memory);
        }));
  // Allocated and written on one core, freed on the other, both at work: what a pool that allocates
  // pays.
  Print("malloc_hand_over_free_ns", ThroughRing(
                                        [] {
                                          void* memory = std::malloc(kBytes);
                                          *static_cast<volatile char*>(memory) = 1;
                                          return memory;
                                        },
                                        [](void* memory) { std::free(memory); }));

  // One line sent there and back.
  static Line<std::atomic<uint64_t>> there, back;
  constexpr uint64_t kTrips = 20'000;
  Figures trip_ns;
  for (int round = 0; round < kRounds; ++round) {
    there.value = 0;
    back.value = 0;
    std::thread echo([] {
      for (uint64_t i = 1; i <= kTrips; ++i) {
        while (there.value.load(std::memory_order_acquire) < i) {
        }
        back.value.store(i, std::memory_order_release);
      }
    });
    uint64_t start_ns = 0;
    for (uint64_t i = 1; i <= kTrips; ++i) {
      if (i == 2) start_ns = NowNs();  // the first trip waits for the thread to start
      there.value.store(i, std::memory_order_release);
      while (back.value.load(std::memory_order_acquire) < i) {
      }
    }
    trip_ns.Add(static_cast<double>(NowNs() - start_ns) / (kTrips - 1));
    echo.join();
  }
  Print("line_round_trip_ns", trip_ns.Median());
}

void Kernel() {
  std::atomic<uint32_t> word{0};
  Print("futex_wake_nobody_us", Each([&](uint64_t) { FutexWake(word, 1); }, 20'000) / 1e3);
  Print("thread_create_join_us", Each([](uint64_t) { std::thread([] {}).join(); }, 300) / 1e3);
}

// How much slower a core is while the other one works too: 1.0 on two free cores. What is above it
// is lost before any pool begins, and so is in every "x ideal" of this run.
void TwoCores() {
  const uint64_t steps = StepsFor(20'000'000);
  Figures ratio;
  for (int round = 0; round < 3; ++round) {
    const uint64_t start_ns = NowNs();
    SpinWork(steps);
    const double alone_ns = static_cast<double>(NowNs() - start_ns);
    std::atomic<int> here{0};
    auto work = [&] {
      here.fetch_add(1);
      while (here.load() < 2) {
      }
      const uint64_t begin_ns = NowNs();
      SpinWork(steps);
      return static_cast<double>(NowNs() - begin_ns);
    };
    double other_ns = 0;
    std::thread other([&] { other_ns = work(); });
    const double own_ns = work();
    other.join();
    ratio.Add((own_ns + other_ns) / 2 / alone_ns);
  }
  Print("two_cores_ratio", ratio.Median());
}

}  // namespace
}  // namespace bench

int main(int argc, char** argv) {
  bench::Arguments arguments(argc - 1, argv + 1);
  alarm(static_cast<unsigned>(arguments.Number("limit_s", 20)));
  arguments.FailIfUnasked();
  bench::CallsAndAtomics();
  bench::HandOver();
  bench::Kernel();
  if (bench::Cores() > 1) bench::TwoCores();
  return 0;
}
