"""Uses an installed libworkpool as its users do. Each verb is a test; see CMakeLists.txt."""
import argparse
import ctypes
import os
import pathlib
import re
import shutil
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
STRICT = ["-Wall", "-Wextra", "-Wpedantic", "-Werror"]


def run(*command, **extra):
    print("+", *command, flush=True)
    return subprocess.run(
        [str(word) for word in command], check=True, text=True, timeout=120, **extra
    )


def install(args):
    """Fresh means that nothing of an older installation can stand in for what is missing."""
    shutil.rmtree(args.prefix, ignore_errors=True)
    run(args.cmake, "--install", args.build, "--prefix", args.prefix)


def files(args):
    """A file that nobody knows of, or one that is missing, is a mistake in the install rules."""
    library = f"{args.libdir}/"
    allowed = [
        r"include/workpool/(workpool\.h|(detail/)?[a-z_]+\.hpp)",
        library + r"libworkpool\.so(\.\d+\.\d+){0,2}(\.\d+)?",
        library + r"pkgconfig/workpool\.pc",
        library + r"cmake/workpool/workpool-[\w-]+\.cmake",
        r"share/man/man3/(pool_\w+|workpool)\.3",
        r"bin/workpool",
        r"share/man/man1/workpool\.1",
    ]
    needed = [
        "include/workpool/workpool.h",
        "include/workpool/workpool.hpp",
        library + "libworkpool.so",
        library + "pkgconfig/workpool.pc",
        library + "cmake/workpool/workpool-config.cmake",
    ]
    found = [
        p.relative_to(args.prefix).as_posix() for p in args.prefix.rglob("*") if not p.is_dir()
    ]
    print(*found, sep="\n")
    wrong = [f"unexpected: {f}" for f in found if not any(re.fullmatch(a, f) for a in allowed)]
    wrong += [f"missing: {f}" for f in needed if f not in found]
    sys.exit("\n".join(wrong) if wrong else 0)


def pkg_config(args):
    source = HERE / args.source
    compiler, standard = (
        (args.cc, "-std=c99") if source.suffix == ".c" else (args.cxx, "-std=c++17")
    )
    environment = {**os.environ, "PKG_CONFIG_PATH": str(args.prefix / args.libdir / "pkgconfig")}
    flags = run(
        "pkg-config", "--cflags", "--libs", "workpool", env=environment, capture_output=True
    ).stdout.split()
    program = args.work / f"{source.stem}-{source.suffix[1:]}-pkg-config"
    run(compiler, standard, *STRICT, source, "-o", program, *flags)
    run(program, env={**os.environ, "LD_LIBRARY_PATH": str(args.prefix / args.libdir)})


PROJECT = """cmake_minimum_required(VERSION 3.16)
project(consumer C CXX)
find_package(workpool {version} CONFIG REQUIRED)
add_executable(consumer_c {here}/consumer.c)
target_link_libraries(consumer_c PRIVATE workpool::workpool)
add_executable(consumer_cc {here}/consumer.cc)
target_compile_features(consumer_cc PRIVATE cxx_std_17)
target_link_libraries(consumer_cc PRIVATE workpool::workpool)
"""


def configure(args, folder, version):
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    (folder / "CMakeLists.txt").write_text(PROJECT.format(here=HERE, version=version))
    return subprocess.run(
        [
            args.cmake,
            "-S",
            folder,
            "-B",
            folder / "build",
            "-G",
            "Ninja",
            f"-DCMAKE_C_COMPILER={args.cc}",
            f"-DCMAKE_CXX_COMPILER={args.cxx}",
            f"-DCMAKE_PREFIX_PATH={args.prefix}",
        ],
        timeout=120,
        capture_output=True,
        text=True,
    )


def find_package(args):
    folder = args.work / "find-package"
    done = configure(args, folder, "0.1")
    print(done.stdout, done.stderr)
    done.check_returncode()
    run(args.cmake, "--build", folder / "build")
    for program in ("consumer_c", "consumer_cc"):
        run(folder / "build" / program)


def refused_version(args):
    done = configure(args, args.work / "refused-version", "0.0.9")
    print(done.stdout, done.stderr)
    refused = done.returncode != 0 and "compatible with requested" in done.stderr
    sys.exit(0 if refused else "find_package took a version that it is not compatible with")


def library_of(args):
    """The file that the soname names, as a package without development files has it."""
    return next((args.prefix / args.libdir).glob("libworkpool.so.?.?"))


def build_loader(args):
    program = args.work / f"loader-{args.verb}"
    run(
        args.cc,
        "-std=c99",
        "-D_POSIX_C_SOURCE=200809L",
        *STRICT,
        f"-I{args.prefix}/include",
        HERE / args.source,
        "-o",
        program,
        "-ldl",
    )
    return program


def dlopen(args):
    run(build_loader(args), library_of(args))


def after_forty(args):
    """Forty libraries whose thread storage must be static use up what the loader has left for late
    ones."""
    folder = args.work / "forty"
    folder.mkdir(exist_ok=True)
    source = folder / "room.c"
    source.write_text("static __thread char room[400];\nint touch(void) { return ++room[7]; }\n")
    others = [folder / f"libroom{number}.so" for number in range(40)]
    run(args.cc, "-shared", "-fPIC", "-ftls-model=initial-exec", source, "-o", others[0])
    for other in others[1:]:
        shutil.copy(others[0], other)
    run(build_loader(args), library_of(args), *others)


def by_ctypes(args):
    library = ctypes.CDLL(str(library_of(args)))
    run_fn = ctypes.CFUNCTYPE(ctypes.c_int32, ctypes.c_void_p, ctypes.c_void_p)
    ran = []
    task = run_fn(lambda arg, ctx: ran.append(arg) or 0)
    library.pool_create.argtypes = [ctypes.c_void_p, ctypes.POINTER(ctypes.c_uint64)]
    library.pool_submit.argtypes = [ctypes.c_uint64, run_fn, ctypes.c_void_p]
    library.pool_destroy.argtypes = [ctypes.c_uint64]
    pool = ctypes.c_uint64()
    assert library.pool_create(None, ctypes.byref(pool)) == 0
    for number in range(1, 101):
        assert library.pool_submit(pool, task, number) == 0
    assert library.pool_destroy(pool) == 0
    assert sorted(ran) == list(range(1, 101)), ran
    assert library.pool_destroy(pool) < 0, "a stale handle was taken"


VERBS = {
    "install": install,
    "files": files,
    "pkg-config": pkg_config,
    "find-package": find_package,
    "refused-version": refused_version,
    "dlopen": dlopen,
    "after-forty": after_forty,
    "ctypes": by_ctypes,
}


def main():
    parser = argparse.ArgumentParser()
    for option in ("--cc", "--cxx", "--cmake", "--libdir"):
        parser.add_argument(option, required=True)
    for option in ("--prefix", "--work"):
        parser.add_argument(option, required=True, type=pathlib.Path)
    verbs = parser.add_subparsers(dest="verb", required=True)
    for verb in VERBS:
        sub = verbs.add_parser(verb)
        if verb == "install":
            sub.add_argument("build")
        elif verb in ("pkg-config", "dlopen", "after-forty"):
            sub.add_argument("source")
    args = parser.parse_args()
    VERBS[args.verb](args)


if __name__ == "__main__":
    main()
