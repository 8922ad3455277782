#!/usr/bin/env python3
"""Runs the benchmarks and writes the tables; see README.md beside this file for the method.

usage: bench.py --build DIR [--quick] [--only REGEX] [--write PATH] [--json PATH]
       bench.py --from-json PATH [--write PATH]
"""
import argparse
import datetime
import json
import os
import re
import subprocess
import sys
import time

from driver import cells, instructions, noise, report, results, sample

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))


def parse_arguments():
    parser = argparse.ArgumentParser(description="Compares libworkpool with other pools.")
    parser.add_argument("--build", default=os.path.join(ROOT, "build", "release", "tests", "bench"),
                        help="the folder of the bench_* programs (default: build/release/tests/bench)")
    parser.add_argument("--quick", action="store_true", help="3 repetitions of shorter samples: a first look")
    parser.add_argument("--repetitions", type=int, help="default: 7, quick: 3")
    parser.add_argument("--only", metavar="REGEX", help="only cells whose name matches, e.g. 'submit|tree'")
    parser.add_argument("--subjects", metavar="LIST", help="only these, e.g. workpool,mutex")
    parser.add_argument("--write", metavar="PATH", help="document to put the tables into, between its markers "
                        "(default: docs/performance.md after a full run, none after a partial or quick one)")
    parser.add_argument("--no-write", action="store_true", help="print the tables, change no document")
    parser.add_argument("--json", metavar="PATH", help="keep all samples here")
    parser.add_argument("--from-json", metavar="PATH", help="make the tables from kept samples, measure nothing")
    parser.add_argument("--retries", type=int, default=2, help="how often a disturbed sample is taken again")
    parser.add_argument("--keep-noisy", action="store_true",
                        help="keep disturbed samples: to try the programs on a busy machine, not to publish")
    parser.add_argument("--time-limit", type=float, default=1200, metavar="S",
                        help="no further repetition begins after this")
    return parser.parse_args()


def say(text):
    print(f"bench: {text}", file=sys.stderr, flush=True)


def find_subjects(build, wanted):
    """{key: name, version, compiler} of the programs that were built, in the order of cells.SUBJECTS."""
    found = {}
    for subject in cells.SUBJECTS:
        path = os.path.join(build, f"bench_{subject}")
        if not os.path.exists(path):
            say(f"bench_{subject} is not built, its columns stay empty")
        elif not wanted or subject in wanted:
            about = [subject, "", ""]
            if subject not in cells.NO_POOLS:
                about = subprocess.run([path, "version"], capture_output=True, text=True, check=True,
                                       timeout=sample.LIMIT_S).stdout.strip().split("|")
            found[subject] = dict(zip(("name", "version", "compiler"), about))
    return found


class Session:
    """One run: its samples, and what went wrong with some."""

    def __init__(self, arguments, subjects):
        self.arguments = arguments
        self.subjects = subjects
        self.samples = {}
        self.failures = []
        self.kept = self.repeated = self.dropped = self.noisy_kept = 0
        self.deadline = time.monotonic() + arguments.time_limit

    def words(self, cell, subject):
        extra = {"budget_ms": 120} if self.arguments.quick and cell.rounds else {}
        return sample.command(self.arguments.build, subject, cell.workload, {**cell.arguments, **extra})

    def keep(self, cell, subject, figures):
        self.samples.setdefault(cell.key, {}).setdefault(subject, []).append(figures)
        self.kept += figures is not None

    def fail(self, failure):
        if str(failure) not in self.failures:
            self.failures.append(str(failure))
            say(f"failed: {failure}")

    def one(self, cell, subject):
        retries = 0 if self.arguments.keep_noisy else self.arguments.retries
        try:
            figures, others, thrown = sample.take_quiet(self.words(cell, subject), retries, self.deadline)
        except sample.Failed as failure:
            self.fail(failure)
            self.keep(cell, subject, None)
            return
        noisy = others is not None and not self.arguments.keep_noisy
        self.noisy_kept += others is not None and not noisy
        self.repeated += thrown - (others is not None)
        self.dropped += noisy
        if noisy:
            say(f"{cell.key} {subject}: dropped, others used {others:.0%} of the time")
        self.keep(cell, subject, None if noisy else figures)

    def repetition(self, number, chosen):
        """Each subject of a cell right after the other, in an order that moves on by one each time."""
        for place, cell in enumerate(chosen):
            present = [s for s in cell.subjects if s in self.subjects]
            if cell.together or not present:
                continue
            shift = (number + place) % len(present)
            for subject in present[shift:] + present[:shift]:
                self.one(cell, subject)

    def all_at_once(self, cell):
        processes = [(subject, sample.start(self.words(cell, subject)))
                     for subject in cell.subjects if subject in self.subjects]
        for subject, process in processes:
            try:
                self.keep(cell, subject, sample.finish(process))
            except sample.Failed as failure:
                self.fail(failure)
                self.keep(cell, subject, None)


def measure(arguments):
    subjects = find_subjects(arguments.build, arguments.subjects and arguments.subjects.split(","))
    session = Session(arguments, subjects)
    wanted = re.compile(arguments.only or "")
    chosen = [cell for cell in cells.CELLS if wanted.search(cell.key)]
    repetitions = arguments.repetitions or (3 if arguments.quick else 7)

    counts = {}
    counted = [entry for entry in cells.COUNTED if wanted.search(entry[0])]
    if counted and instructions.missing():
        say(f"no instructions are counted: {', '.join(instructions.missing())} is not installed")
    elif counted:
        counts = instructions.measure_all(arguments.build, subjects, counted, say, session.fail)

    if not arguments.keep_noisy and not noise.wait_for_quiet(10):
        say("the machine is not quiet; disturbed samples will be dropped")
    done = 0
    for number in range(repetitions):
        if time.monotonic() > session.deadline:
            say(f"the time limit is reached after {done} repetitions")
            break
        say(f"repetition {number + 1} of {repetitions}")
        session.repetition(number, chosen)
        done += 1
    for cell in chosen:
        if cell.together:
            for _ in range(1 if arguments.quick else 2):
                say(f"{cell.key}, all subjects at once")
                session.all_at_once(cell)

    return {
        "date": datetime.date.today().isoformat(),
        "machine": report.machine(),
        "compiler": next((s["compiler"] for s in subjects.values() if s["compiler"]), "unknown"),
        "quick": arguments.quick, "only": arguments.only, "repetitions": done, "kept": session.kept,
        "repeated": session.repeated, "dropped": session.dropped, "noisy_kept": session.noisy_kept,
        "failures": session.failures, "subjects": subjects, "samples": session.samples, "counts": counts,
    }


def main():
    arguments = parse_arguments()
    if arguments.from_json:
        with open(arguments.from_json, encoding="utf-8") as file:
            run = json.load(file)
    else:
        if not os.path.isdir(arguments.build):
            sys.exit(f"bench: {arguments.build} does not exist; build with -DWORKPOOL_BUILD_BENCH=ON, "
                     "then name the folder of the bench_* programs with --build")
        run = measure(arguments)
        if arguments.json:
            with open(arguments.json, "w", encoding="utf-8") as file:
                json.dump(run, file)

    text = report.render(run, results.Results(run["samples"], run["counts"]))
    print(text)
    partial = arguments.quick or arguments.only or arguments.subjects or arguments.from_json
    document = arguments.write or (None if partial else os.path.join(ROOT, "docs", "performance.md"))
    if document and not arguments.no_write:
        report.place(document, text)
        say(f"wrote {document}")
    return 1 if run["failures"] else 0


if __name__ == "__main__":
    sys.exit(main())
