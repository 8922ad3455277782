// bench_mutex: the workloads on a plain deque behind a mutex.
#include "bench/peers/mutex.h"

#include "bench/subject_main.h"

int main(int argc, char** argv) { return bench::SubjectMain<bench::MutexPool>(argc, argv); }
