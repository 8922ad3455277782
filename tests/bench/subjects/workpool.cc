// bench_workpool: the workloads on libworkpool.
#include "bench/peers/workpool.h"

#include "bench/subject_main.h"

int main(int argc, char** argv) { return bench::SubjectMain<bench::WorkpoolPool>(argc, argv); }
