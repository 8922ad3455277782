// bench_asio: the workloads on Boost.Asio's thread_pool.
#include "bench/peers/asio.h"

#include "bench/subject_main.h"

int main(int argc, char** argv) { return bench::SubjectMain<bench::AsioPool>(argc, argv); }
