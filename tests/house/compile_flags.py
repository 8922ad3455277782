"""Every file of the library is compiled with warnings as errors, hidden visibility and the
hardening flags.

usage: compile_flags.py ROOT COMPILE_COMMANDS MACHINE | compile_flags.py --self-test
Sanitizer and coverage builds leave hardening out, so it is not run there.
"""
import json
import pathlib
import sys

import house

WANTED = [
    "-Wall",
    "-Wextra",
    "-Wpedantic",
    "-Wshadow",
    "-Wundef",
    "-Werror",
    "-std=c++20",
    "-fPIC",
    "-fvisibility=hidden",
    "-fvisibility-inlines-hidden",
    "-fstack-protector-strong",
    "-fstack-clash-protection",
    "-D_FORTIFY_SOURCE=3",
]
WANTED_BY = {"x86_64": ["-fcf-protection"], "clang": ["-Wthread-safety"]}


def check(commands, machine):
    """commands: {path: command line}."""
    complaints = [] if commands else ["no file of the library is compiled"]
    for path, command in commands.items():
        words = command.split()
        wanted = (
            WANTED
            + WANTED_BY.get(machine, [])
            + (WANTED_BY["clang"] if "clang" in words[0] else [])
        )
        complaints += [f"{path}: compiled without {flag}" for flag in wanted if flag not in words]
        complaints += [
            f"{path}: compiled with {flag}"
            for flag in words
            if flag.startswith("-Wno-") or flag == "-w"
        ]
    return complaints


def self_test():
    right = "g++ " + " ".join(WANTED) + " -fcf-protection -c a.cc"
    cases = [
        ("", right, True),
        ("without -Werror", right.replace("-Werror", ""), False),
        ("without -fcf", right.replace("-fcf-protection", ""), False),
        ("with -Wno-shadow", right + " -Wno-shadow", False),
        ("without -Wthread-safety", right.replace("g++", "clang++-14"), False),
    ]
    failures = []
    for expected, command, good in cases:
        complaints = check({"a.cc": command}, "x86_64")
        if good != (not complaints) or not any(expected in c for c in complaints or [""]):
            failures.append(f"'{expected}': {complaints}")
    if not check({}, "x86_64"):
        failures.append("nothing compiled goes unnoticed")
    return house.finish(failures, "self-test")


if __name__ == "__main__":
    if sys.argv[1:] == ["--self-test"]:
        sys.exit(self_test())
    root = pathlib.Path(sys.argv[1]).resolve()
    ours = {}
    for entry in json.loads(pathlib.Path(sys.argv[2]).read_text()):
        # The same sources are compiled for other targets too, such as the schedule explorer's.
        if "/workpool_objects.dir/" in entry["command"]:
            path = (pathlib.Path(entry["directory"]) / entry["file"]).resolve()
            ours[path.relative_to(root).as_posix()] = entry["command"]
    sys.exit(house.finish(check(ours, sys.argv[3]), "compile flags"))
