// bench_eigen: the workloads on Eigen's ThreadPool.
#include "bench/peers/eigen.h"

#include "bench/subject_main.h"

int main(int argc, char** argv) { return bench::SubjectMain<bench::EigenPool>(argc, argv); }
