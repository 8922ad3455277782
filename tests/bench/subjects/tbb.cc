// bench_tbb: the workloads on oneTBB.
#include "bench/peers/tbb.h"

#include "bench/subject_main.h"

int main(int argc, char** argv) { return bench::SubjectMain<bench::TbbPool>(argc, argv); }
