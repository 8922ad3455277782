"""Instructions per task, counted by callgrind: the figure without noise.

Two sizes are run and subtracted, so that start and end of the process fall out. Beside all instructions those
with a lock prefix (and xchg and mfence) are counted: each one takes a cache line for itself or waits for the
store buffer, so on a wide machine they are what does not scale.
"""
import collections
import os
import re
import shutil
import subprocess
import tempfile

from driver import cells, sample

LIMIT_S = 100
POSITION = re.compile(r"(0x[0-9a-f]+|\+\d+|-\d+|\*) \S+ ?(\d*)$")


def executed(lines):
    """How often each instruction ran, by (object file, address), from the lines of a callgrind file."""
    names, counts = {}, collections.Counter()
    current, address, skip = None, 0, False
    for line in lines:
        line = line.rstrip("\n")
        name = re.match(r"(c?ob)=\((\d+)\)(?: (.*))?$", line)
        if name:
            if name[3]:
                names[name[2]] = name[3]
            if name[1] == "ob":
                current = names[name[2]]
            continue
        if line.startswith("calls="):
            skip = True  # the next line is the sum of what was called, which stands elsewhere too
            continue
        position = POSITION.match(line)
        if not position:
            continue
        where = position[1]
        if where[0] in "+-":
            address += int(where)
        elif where != "*":
            address = int(where, 16)
        if not skip:
            counts[current, address] += int(position[2] or 0)
        skip = False
    return counts


def locked_addresses(path):
    """Addresses of the instructions in an object file that lock a line or drain the store buffer."""
    if not os.path.isfile(path):
        return set()
    text = subprocess.run(["objdump", "-d", "--no-show-raw-insn", path], capture_output=True, text=True,
                          check=True, timeout=LIMIT_S).stdout
    pattern = re.compile(r"^\s*([0-9a-f]+):\s+(?:lock\b|xchg\s.*\(|mfence)", re.M)
    return {int(address, 16) for address in pattern.findall(text)}


def run(words, folder):
    out = os.path.join(folder, "callgrind.out")
    done = subprocess.run(["valgrind", "--tool=callgrind", "--dump-instr=yes", f"--callgrind-out-file={out}", *words],
                          capture_output=True, text=True, timeout=LIMIT_S + 10, check=False)
    if done.returncode != 0:
        raise sample.Failed(f"valgrind {' '.join(words)}: {done.stderr.strip()[-500:]}")
    with open(out, encoding="utf-8", errors="replace") as lines:
        return executed(lines)


def missing():
    """The tools that are needed and not installed."""
    return [tool for tool in ("valgrind", "objdump") if shutil.which(tool) is None]


def measure(build, subject, workload, sizes, tasks, locked_cache):
    """{"instructions": per task, "locked": per task} of one subject."""
    totals = []
    with tempfile.TemporaryDirectory() as folder:
        for arguments in sizes:
            words = sample.command(build, subject, workload,
                                   {**arguments, "warmups": 0, "rounds": 1, "limit_s": LIMIT_S})
            counts = run(words, folder)
            locked = 0
            for path in {where[0] for where in counts}:
                if path not in locked_cache:
                    locked_cache[path] = locked_addresses(path)
            for (path, address), count in counts.items():
                locked += count if address in locked_cache[path] else 0
            totals.append((sum(counts.values()), locked))
    span = tasks[1] - tasks[0]
    return {"instructions": (totals[1][0] - totals[0][0]) / span, "locked": (totals[1][1] - totals[0][1]) / span}


def measure_all(build, subjects, entries, say, fail):
    """{key: {subject: what measure returns}} for the entries of cells.COUNTED."""
    locked_cache, counts = {}, {}
    for key, workload, sizes, tasks in entries:
        for subject in cells.COUNTED_SUBJECTS:
            if subject not in subjects:
                continue
            say(f"{key} {subject}")
            try:
                counts.setdefault(key, {})[subject] = measure(build, subject, workload, sizes, tasks, locked_cache)
            except (sample.Failed, subprocess.SubprocessError) as failure:
                fail(failure)
    return counts
