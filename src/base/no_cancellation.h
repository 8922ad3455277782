// While it lives, a cancellation that is pending for the calling thread stays pending: it waits for one of its user's
// cancellation points. Inside the library it would skip what others wait for, or leave a descriptor open.
#pragma once

#include <pthread.h>

namespace workpool {

class WithoutCancellation {
 public:
  WithoutCancellation() { pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &before_); }
  ~WithoutCancellation() { pthread_setcancelstate(before_, nullptr); }
  WithoutCancellation(const WithoutCancellation&) = delete;
  WithoutCancellation& operator=(const WithoutCancellation&) = delete;

 private:
  int before_ = PTHREAD_CANCEL_ENABLE;
};

}  // namespace workpool
