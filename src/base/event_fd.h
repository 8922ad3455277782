// A descriptor that poll, epoll and the loops of other languages can wait for; the one home of eventfd(2).
#pragma once

#include <cstdint>

namespace workpool {

// Non-blocking, closed on exec. Below 0: the errno, negative.
[[nodiscard]] int OpenEventFd();
void CloseEventFd(int fd);
// Makes it readable, and not.
void SignalEventFd(int fd);
void ClearEventFd(int fd);

}  // namespace workpool
