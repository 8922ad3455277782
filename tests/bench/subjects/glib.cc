// bench_glib: the workloads on GLib's GThreadPool.
#include "bench/peers/glib.h"

#include "bench/subject_main.h"

int main(int argc, char** argv) { return bench::SubjectMain<bench::GlibPool>(argc, argv); }
