#!/usr/bin/env python3
"""Runs pools under the same loads, one after the other, and prints tables; see README.md beside this file.

usage: compare.py [--build DIR] [--quick] [--only REGEX] [--subjects REGEX] [--json PATH]
       compare.py --from-json PATH
"""
import argparse
import json
import os
import re
import resource
import subprocess
import sys
import tempfile
import time

import subjects
import table

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(os.path.dirname(HERE)))
sys.path.insert(0, os.path.dirname(HERE))
from driver import noise  # noqa: E402  (it lies one folder up)

# Traces of the simulator; their rates are scaled to the cores that there are.
SHAPES = {"ramp": "ramp", "burst": "bursts-30s", "io-steady": "io-steady", "bimodal": "bimodal", "cpu-steady": "cpu-steady"}


def parse_arguments():
    parser = argparse.ArgumentParser(description="Compares libworkpool with other pools under the same load.")
    parser.add_argument("--build", default=os.path.join(ROOT, "build", "release"), help="default: build/release")
    parser.add_argument("--programs", help="the folder of the bench_load_* programs (default: in the build)")
    parser.add_argument("--workpool", help="the workpool command (default: that of the build)")
    parser.add_argument("--quick", action="store_true", help="one repetition of 5 s: a first look")
    parser.add_argument("--seconds", type=float, help="of each load (default: 20; quick: 5)")
    parser.add_argument("--repetitions", type=int, help="default: 3; quick: 1")
    parser.add_argument("--drain", type=float, default=5, metavar="S", help="for tasks after the last arrival")
    parser.add_argument("--only", metavar="REGEX", default="", help="only these shapes: " + ", ".join(SHAPES))
    parser.add_argument("--subjects", metavar="REGEX", default="", help="only these pools, by their names in the table")
    parser.add_argument("--rate-scale", type=float, help="as of workpool load (default: by the cores there are)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", metavar="PATH", help="keep all samples here")
    parser.add_argument("--from-json", metavar="PATH", help="make the tables from kept samples, measure nothing")
    return parser.parse_args()


def say(text):
    print(f"compare: {text}", file=sys.stderr, flush=True)


def make_load(shape, command, arguments, folder, cores):
    """The load, and a line about it."""
    path = os.path.join(ROOT, "tests", "sim", "traces", SHAPES[shape] + ".jsonl")
    with open(path, encoding="utf-8") as trace:
        whole_s = json.loads(trace.readline())["duration_s"]
    seconds = min(arguments.seconds, whole_s)
    words = ["--trace", path, "--time-scale", repr(seconds / whole_s), "--seed", str(arguments.seed), "--cores", str(cores)]
    if arguments.rate_scale:
        words += ["--rate-scale", str(arguments.rate_scale)]
    made = subprocess.run([command, "load", *words, "--emit-schedule"], capture_output=True, text=True, timeout=60,
                          check=True)
    schedule = os.path.join(folder, shape)
    with open(schedule, "w", encoding="ascii") as out:
        out.write(made.stdout)
    rows = [tuple(map(int, line.split())) for line in made.stdout.splitlines()]
    cpu_s, blocked_s = sum(r[1] + r[3] for r in rows) / 1e6, sum(r[2] for r in rows) / 1e6
    about = (f"{len(rows)} tasks in {seconds:g} s; they compute on {cpu_s / seconds:.2f} of {cores} cores and "
             f"{blocked_s / seconds:.1f} of them sleep at a time.")
    return subjects.Load(words, schedule, seconds, arguments.drain), about


def children_s():
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def disturbed_run(subject, load):
    """The figures, or a text why there are none; and whether others used the machine meanwhile."""
    wall, busy, own = time.monotonic(), noise.busy_s(), children_s()
    try:
        figures = subjects.run(subject, load)
    except subjects.Failed as failure:
        figures = f"failed: {failure}"
        say(f"{subject.name}: {figures}")
    others_s = noise.busy_s() - busy - (children_s() - own)
    return figures, noise.is_noise(others_s, time.monotonic() - wall)


def measure(arguments):
    command = arguments.workpool or os.path.join(arguments.build, "src", "cli", "workpool")
    programs = arguments.programs or os.path.join(arguments.build, "tests", "bench", "load")
    if not os.path.exists(command):
        sys.exit(f"{command} is not built: it makes the schedules")
    cores = len(os.sched_getaffinity(0))
    chosen = [s for s in subjects.all_subjects(programs, command, cores) if re.search(arguments.subjects, s.name)]
    shapes = [shape for shape in SHAPES if re.search(arguments.only, shape)]
    for subject in chosen:
        if subject.missing:
            say(f"{subject.name} is left out: {subject.missing}")
    present = [s for s in chosen if not s.missing]
    say(f"{len(present)} pools, {len(shapes)} shapes: about "
        f"{arguments.repetitions * len(present) * len(shapes) * (arguments.seconds + 1) / 60:.0f} minutes, and more where "
        "a pool does not keep up")
    if not noise.wait_for_quiet(10):
        say("the machine is not quiet: figures will be disturbed")
    samples = {shape: {s.name: [s.missing] if s.missing else [] for s in chosen} for shape in shapes}
    about, disturbed, runs = {}, 0, 0
    with tempfile.TemporaryDirectory() as folder:
        loads = {}
        for shape in shapes:
            loads[shape], about[shape] = make_load(shape, command, arguments, folder, cores)
        for number in range(arguments.repetitions):
            for place, shape in enumerate(shapes):
                say(f"repetition {number + 1} of {arguments.repetitions}: {shape}")
                shift = (number + place) % max(1, len(present))
                for subject in present[shift:] + present[:shift]:
                    figures, others = disturbed_run(subject, loads[shape])
                    samples[shape][subject.name].append(figures)
                    runs += 1
                    disturbed += others
    return {"about": about, "order": [(s.name, s.from_submit) for s in chosen], "samples": samples,
            "head": f"{arguments.repetitions} repetitions on {cores} cores. Others used more than "
                    f"{noise.OTHERS_MAX:.0%} of the time in {disturbed} of {runs} runs."}


def main():
    arguments = parse_arguments()
    if arguments.from_json:
        with open(arguments.from_json, encoding="utf-8") as kept:
            told = json.load(kept)
    else:
        arguments.seconds = min(30.0, arguments.seconds or (5 if arguments.quick else 20))
        arguments.repetitions = arguments.repetitions or (1 if arguments.quick else 3)
        told = measure(arguments)
        if arguments.json:
            with open(arguments.json, "w", encoding="utf-8") as out:
                json.dump(told, out, indent=1)
    print(told["head"] + "\n")
    print(table.markdown(told["about"], told["order"], told["samples"]))


if __name__ == "__main__":
    main()
