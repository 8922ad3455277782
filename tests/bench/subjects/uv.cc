// bench_uv: the workloads on libuv's thread pool.
#include "bench/peers/uv.h"

#include "bench/subject_main.h"

int main(int argc, char** argv) { return bench::SubjectMain<bench::UvPool>(argc, argv); }
