// What a task changes of its thread, with and without isolation.
#include <cerrno>
#include <cfenv>
#include <clocale>
#include <csignal>
#include <cstring>
#include <locale.h>
#include <pthread.h>
#include <string>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <catch2/catch.hpp>

#include "test_support.h"

using namespace workpool_test;

namespace {

// What a task finds.
struct Found {
  int rounding = -1;
  int error = -1;
  bool blocked = false;
  std::string name;
  int nice = 0;
  bool own_locale = false;
  int cancel_state = -1;

  static int32_t Look(void* arg, pool_ctx_t*) {
    auto* found = static_cast<Found*>(arg);
    found->error = errno;
    found->rounding = fegetround();
    sigset_t signals;
    pthread_sigmask(SIG_SETMASK, nullptr, &signals);
    found->blocked = sigismember(&signals, SIGSEGV) == 1;
    char name[16] = {};
    pthread_getname_np(pthread_self(), name, sizeof(name));
    found->name = name;
    found->nice = getpriority(PRIO_PROCESS, static_cast<id_t>(syscall(SYS_gettid)));
    found->own_locale = uselocale(nullptr) != LC_GLOBAL_LOCALE;
    pthread_setcancelstate(PTHREAD_CANCEL_ENABLE, &found->cancel_state);
    return 0;
  }
};

locale_t g_locale;

int32_t ChangeEverything(void*, pool_ctx_t*) {
  fesetround(FE_UPWARD);
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGSEGV);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  pthread_setname_np(pthread_self(), "changed");
  setpriority(PRIO_PROCESS, static_cast<id_t>(syscall(SYS_gettid)), 1);
  uselocale(g_locale);
  int before = 0;
  pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &before);
  errno = ENOTTY;
  return 0;
}

struct Log {
  std::atomic<int> lines{0};
  static void Write(void* user, int32_t, const char* text) {
    if (std::strstr(text, "was put back") != nullptr) static_cast<Log*>(user)->lines.fetch_add(1);
  }
};

// What the second of two tasks on one worker finds.
Found AfterAChange(int32_t isolation, Log* log = nullptr) {
  g_locale = newlocale(LC_ALL_MASK, "C", nullptr);
  pool_options_t options = Options(1);
  options.task_isolation = isolation;
  options.name = "own";
  Log none;
  options.log_fn = Log::Write;
  options.log_user = log != nullptr ? log : &none;
  options.log_level = POOL_LOG_DEBUG;
  Found found;
  {
    ScopedPool pool(options);
    Must(pool_submit(pool, ChangeEverything, nullptr), "pool_submit");
    Must(pool_submit(pool, Found::Look, &found), "pool_submit");
  }
  freelocale(g_locale);
  return found;
}

}  // namespace

TEST_CASE("H15: without isolation the next task finds what the last one has changed", "[isolation]") {
  const Found found = AfterAChange(POOL_ISOLATION_NONE);
  CHECK(found.rounding == FE_UPWARD);
  CHECK(found.blocked);
  CHECK(found.name == "changed");
  CHECK(found.own_locale);
  CHECK(found.cancel_state == PTHREAD_CANCEL_DISABLE);
}

TEST_CASE("H15: with isolation of floating point rounding and errno are as they were", "[isolation]") {
  const Found found = AfterAChange(POOL_ISOLATION_FP);
  CHECK(found.rounding == FE_TONEAREST);
  CHECK(found.error != ENOTTY);
  CHECK(found.name == "changed");
}

TEST_CASE("H15: with full isolation everything is as it was, and the log tells", "[isolation]") {
  Log log;
  const Found found = AfterAChange(POOL_ISOLATION_FULL, &log);
  CHECK(found.rounding == FE_TONEAREST);
  CHECK(found.error != ENOTTY);
  CHECK_FALSE(found.blocked);
  CHECK(found.name == "own/0");
  // Back to a better nice value only as far as the process may.
  if (geteuid() == 0) CHECK(found.nice == 0);
  CHECK_FALSE(found.own_locale);
  CHECK(found.cancel_state == PTHREAD_CANCEL_ENABLE);
  CHECK(log.lines >= 1);
}

TEST_CASE("H15: the switch is checked", "[isolation]") {
  for (int32_t bad : {-1, 3}) {
    pool_options_t options = Options(1);
    options.task_isolation = bad;
    pool_t pool = 0;
    CHECK(pool_create(&options, &pool) == POOL_E_INVALID);
    CHECK(LastErrorText().find("task_isolation") != std::string::npos);
  }
}
