// bench_futex: the workloads on a bare futex word.
#include "bench/peers/futex.h"

#include "bench/subject_main.h"

int main(int argc, char** argv) { return bench::SubjectMain<bench::FutexPool>(argc, argv); }
