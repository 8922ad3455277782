#include "base/log.h"

#define SPDLOG_FMT_EXTERNAL
#define FMT_HEADER_ONLY
#include <spdlog/details/null_mutex.h>
#include <spdlog/logger.h>
#include <spdlog/sinks/base_sink.h>

#include <cxxabi.h>

#include <cstdarg>
#include <cstdio>
#include <memory>
#include <string>

#include "base/memory.h"

namespace workpool {
namespace {

spdlog::level::level_enum ToSpdlog(int32_t level) {
  switch (level) {
    case POOL_LOG_ERROR: return spdlog::level::err;
    case POOL_LOG_WARN: return spdlog::level::warn;
    case POOL_LOG_INFO: return spdlog::level::info;
    case POOL_LOG_DEBUG: return spdlog::level::debug;
    default: return spdlog::level::off;
  }
}

int32_t FromSpdlog(spdlog::level::level_enum level) {
  switch (level) {
    case spdlog::level::err: return POOL_LOG_ERROR;
    case spdlog::level::warn: return POOL_LOG_WARN;
    case spdlog::level::info: return POOL_LOG_INFO;
    default: return POOL_LOG_DEBUG;
  }
}

// Hands each line to the user's function, which may be called from several threads at once. No lock, so
// none can be held over a fork.
class CallbackSink final : public spdlog::sinks::sink {
 public:
  CallbackSink(pool_log_fn fn, void* user) : fn_(fn), user_(user) {}

  void log(const spdlog::details::log_msg& message) override {
    std::string line;
    line.reserve(message.logger_name.size() + 2 + message.payload.size());
    line.append(message.logger_name.data(), message.logger_name.size());
    line.append(": ");
    line.append(message.payload.data(), message.payload.size());
    fn_(user_, FromSpdlog(message.level), line.c_str());
  }
  void flush() override {}
  void set_pattern(const std::string&) override {}
  void set_formatter(std::unique_ptr<spdlog::formatter>) override {}

 private:
  pool_log_fn fn_;
  void* user_;
};

}  // namespace

struct Log::Sink {
  spdlog::logger logger;
};

Log::~Log() { Delete(sink_); }

Status Log::Open(const char* name, pool_log_fn fn, void* user, int32_t level) {
  if (fn == nullptr || level == POOL_LOG_OFF) return POOL_OK;
  try {
    sink_ = New<Sink>(Sink{spdlog::logger(name, std::make_shared<CallbackSink>(fn, user))});
  } catch (const std::bad_alloc&) {
    return POOL_E_NOMEM;
  }
  if (sink_ == nullptr) return POOL_E_NOMEM;
  // spdlog's own handler locks a process-wide mutex and prints to stderr.
  sink_->logger.set_error_handler([](const std::string&) {});
  sink_->logger.set_level(ToSpdlog(level));
  level_ = level;
  return POOL_OK;
}

void Log::Write(int32_t level, const char* format, ...) {
  if (level > level_) return;
  char text[512];
  va_list args;
  va_start(args, format);
  std::vsnprintf(text, sizeof(text), format, args);
  va_end(args);
  // spdlog catches what the sink throws, but for the user's exceptions that are no std::exception.
  try {
    sink_->logger.log(ToSpdlog(level), spdlog::string_view_t(text));
  } catch (abi::__forced_unwind&) {
    throw;
  } catch (...) {
  }
}

}  // namespace workpool
