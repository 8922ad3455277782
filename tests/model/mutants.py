#!/usr/bin/env python3
"""Weakens every memory order and leaves out every fence of the library, one at a time, and runs the model tests.

    mutants.py --tests build/dev/tests/model/model_tests --out docs/mutants.md [--only src/queue] [--budget 2]

A mutant that no test kills is either a gap in the tests or an order that is stronger than it must be; survivors.md says
which, and why. One without an explanation there is tried again for 20 times as long. Exit status 1: it survives that, too.
"""
import argparse
import collections
import pathlib
import re
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]

# What a weaker order may be, per operation and order.
WEAKER = {
    ("load", "acquire"): ["relaxed"],
    ("load", "seq_cst"): ["acquire"],
    ("store", "release"): ["relaxed"],
    ("store", "seq_cst"): ["release"],
    ("rmw", "acquire"): ["relaxed"],
    ("rmw", "release"): ["relaxed"],
    ("rmw", "acq_rel"): ["acquire", "release"],
    ("rmw", "seq_cst"): ["acq_rel", "relaxed"],
    ("full-fence", "seq_cst"): ["none"],
    ("light-fence", "seq_cst"): ["none"],
    ("heavy-fence", "seq_cst"): ["none"],
}
WEAKER.update({("cas", order): kinds for (op, order), kinds in list(WEAKER.items()) if op == "rmw"})

Mutant = collections.namedtuple("Mutant", "file line column operation order kind tests")
Outcome = collections.namedtuple("Outcome", "killed how")


def sites(program):
    """Every place with an atomic operation that the tests reach: (file, line, column, operation, orders, tests)."""
    text = subprocess.run([program, "--sites", "--random", "100", "--budget", "600"], capture_output=True, text=True,
                          check=False).stdout
    if "\nSITES\n" not in text:
        sys.exit("the tests did not list their sites:\n" + text[-2000:])
    for line in text.split("\nSITES\n")[1].splitlines():
        fields = line.split("\t")
        if len(fields) < 5:
            continue
        file, number, column = fields[0].rsplit(":", 2)
        yield file, int(number), int(column), fields[1], fields[2], fields[3], fields[4:]


def mutants(program, only):
    for file, line, column, operation, order, failure_order, tests in sites(program):
        if not file.startswith(tuple(only)):
            continue
        for kind in WEAKER.get((operation, order), []):
            yield Mutant(file, line, column, operation, order, kind, tests)
        if failure_order in ("acquire", "seq_cst"):
            yield Mutant(file, line, column, operation, failure_order, "fail_relaxed", tests)


def run(program, mutant, budget):
    command = [program, "--budget", str(budget),
               "--mutate", f"{mutant.file}:{mutant.line}:{mutant.column}:{mutant.kind}"]
    for test in mutant.tests:
        command += ["--filter", test]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=20 * budget + 60)
    except subprocess.TimeoutExpired:
        return Outcome(True, "the tests hang")
    failed = re.search(r"^FAILED (\S+) +(\d+) schedules .*? steps  (.*)$", done.stdout, re.MULTILINE)
    if failed:
        strategy, schedules, test = failed.groups()
        test = re.sub(r", complete with .*", "", test)
        return Outcome(True, f"{test} ({int(schedules):,} schedules, {strategy})")
    if done.returncode not in (0, 3):
        return Outcome(True, f"the tests end with status {done.returncode}")
    return Outcome(False, "not reached" if done.returncode == 3 else "")


def explanations():
    """survivors.md: sections '## FILE: `PART OF THE LINE` KIND, KIND', then prose. FILE may be the start of a path."""
    path = pathlib.Path(__file__).with_name("survivors.md")
    found = []
    if path.exists():
        for section in re.split(r"^## ", path.read_text(), flags=re.MULTILINE)[1:]:
            head, _, body = section.partition("\n")
            match = re.fullmatch(r"(\S+): `(.*)` (.+)", head.strip())
            if not match:
                sys.exit(f"survivors.md: not 'FILE: `CODE` KINDS': {head}")
            found.append((match[1], match[2], [kind.strip() for kind in match[3].split(",")], " ".join(body.split())))
    return found


def explain(mutant, code, known):
    for file, part, kinds, why in known:
        if mutant.file.startswith(file) and part in code and mutant.kind in kinds:
            return why
    return None


def source_line(file, line):
    return (ROOT / file).read_text().splitlines()[line - 1].strip()


def escape(text):
    return text.replace("|", "\\|")


def table(results, known):
    killed = [r for r in results if r[1].killed]
    survived = [r for r in results if not r[1].killed]
    rows = {True: [], False: []}
    unexplained = 0
    for mutant, outcome in results:
        code = source_line(mutant.file, mutant.line)
        what = f"{mutant.operation} {mutant.order} → {mutant.kind.removeprefix('fail_') if mutant.kind != 'none' else 'left out'}"
        if mutant.kind.startswith("fail_"):
            what += " (on failure)"
        row = f"| {mutant.file}:{mutant.line} | `{escape(code)}` | {what} | "
        if outcome.killed:
            rows[True].append(row + escape(outcome.how) + " |")
            continue
        why = explain(mutant, code, known)
        unexplained += why is None
        rows[False].append(row + escape(why or "**not explained**") + " |")
    text = [
        "# Mutants",
        "",
        "Each memory order of the library weakened and each fence left out, one at a time, under the schedule explorer "
        "(`tests/model/mutants.py` writes this file). A place is listed if a model test reaches it.",
        "",
        f"{len(results)} mutants: {len(killed)} killed, {len(survived)} survive"
        + (f", {unexplained} of them not explained." if unexplained else ", each explained."),
        "",
        "## Survivors",
        "",
        "| place | code | mutant | why no test can or does kill it |",
        "|---|---|---|---|",
        *rows[False],
        "",
        "## Killed",
        "",
        "| place | code | mutant | killed by |",
        "|---|---|---|---|",
        *rows[True],
        "",
    ]
    return "\n".join(text), unexplained


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tests", required=True, help="the model_tests program")
    parser.add_argument("--out", help="Markdown file to write")
    parser.add_argument("--only", action="append", default=[], help="files whose path begins so; may be repeated")
    parser.add_argument("--budget", type=float, default=2, help="seconds for each mutant")
    arguments = parser.parse_args()
    known = explanations()
    results = []
    todo = list(mutants(arguments.tests, arguments.only or [""]))
    for number, mutant in enumerate(todo, 1):
        began = time.monotonic()
        outcome = run(arguments.tests, mutant, arguments.budget)
        if not outcome.killed and explain(mutant, source_line(mutant.file, mutant.line), known) is None:
            outcome = run(arguments.tests, mutant, 20 * arguments.budget)
        results.append((mutant, outcome))
        print(f"{number}/{len(todo)} {time.monotonic() - began:5.1f} s  {mutant.file}:{mutant.line}:{mutant.column} "
              f"{mutant.operation} {mutant.order} -> {mutant.kind}: {outcome.how or 'SURVIVED'}", flush=True)
    text, unexplained = table(results, known)
    if arguments.out:
        pathlib.Path(arguments.out).write_text(text)
    print(text.split("\n")[4])
    return 1 if unexplained else 0


if __name__ == "__main__":
    sys.exit(main())
