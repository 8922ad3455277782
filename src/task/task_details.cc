#include "task/task_details.h"

#include <algorithm>
#include <cstring>

#include "base/memory.h"

namespace workpool {

bool StandsBehind(const TaskRecord& record, const TaskRecord& first) {
  const TaskDetails* ahead = first.details();
  const TaskDetails* details = record.details();
  if (ahead == nullptr || details == nullptr || ahead->key == 0 || ahead->key != details->key) return false;
  // One that never ran is only called back, and has no place in the line.
  return record.engine == first.engine && &record != &first && ahead->attempts != 0 &&
         ahead->inside_key.load(kRelaxed);
}

char* CopyText(const char* text) {
  const size_t bytes = std::strlen(text) + 1;
  auto* copy = static_cast<char*>(AllocateBytes(bytes, 1));
  if (copy != nullptr) std::memcpy(copy, text, bytes);
  return copy;
}

void FreeText(char* text) {
  if (text != nullptr) FreeBytes(text, std::strlen(text) + 1);
}

void TaskDetails::KeepAttempt() {
  if (before == nullptr) before = New<Attempts>();
  if (before != nullptr) before->Add(LastAttempt());
}

void TaskDetails::SetText(const char* source) {
  FreeText(text);
  text = source[0] != 0 ? CopyText(source) : nullptr;
}

void TaskDetails::CopyResult(pool_result_t* out) const {
  out->outcome = outcome;
  out->code = code;
  out->attempts = attempts;
  out->worker = worker;
  out->flags = flags;
  out->ticket = ticket;
  out->value = value;
  out->wait_ns = wait_ns;
  out->run_ns = run_ns;
  std::memset(out->text, 0, sizeof(out->text));
  if (text != nullptr) std::memcpy(out->text, text, std::min(std::strlen(text), sizeof(out->text) - 1));
}

}  // namespace workpool
