// bench_gomp: the workloads on libgomp.
#include "bench/peers/gomp.h"

#include "bench/subject_main.h"

int main(int argc, char** argv) { return bench::SubjectMain<bench::GompPool>(argc, argv); }
