// The reference: every file, one after the other, on the calling thread.
#pragma once

#include <functional>
#include <vector>

#include "file_list.h"
#include "file_work.h"

namespace workpool_cli {

// Calls progress(files_done, bytes_done) after each file. Results stand in the order of the files.
[[nodiscard]] std::vector<FileResult> RunSerially(
    const FileList& list, const std::function<void(uint64_t, uint64_t)>& progress);

}  // namespace workpool_cli
