"""One sample: one fresh process of one subject, its figures, and whether the machine was quiet meanwhile."""
import os
import resource
import subprocess
import time

from driver import noise

LIMIT_S = 20  # a process ends itself by then; a little later it is ended


class Failed(Exception):
    """A process that did not end well; its figures are worth nothing."""


def command(build, subject, workload, arguments):
    return [os.path.join(build, f"bench_{subject}"), *([workload] if workload else []),
            *(f"{name}={value}" for name, value in arguments.items())]


def parse(text):
    return {name: float(value) for name, value in (line.split() for line in text.splitlines())}


def used_s():
    """CPU seconds of this process and of all that it has waited for."""
    total = 0.0
    for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN):
        usage = resource.getrusage(who)
        total += usage.ru_utime + usage.ru_stime
    return total


def start(words):
    return subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def finish(process):
    try:
        out, err = process.communicate(timeout=LIMIT_S + 5)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        raise Failed(f"{' '.join(process.args)}: not done after {LIMIT_S} s") from None
    if process.returncode != 0:
        raise Failed(f"{' '.join(process.args)}: ended with {process.returncode}: {err.strip()}")
    return parse(out)


def take(words):
    """Runs one process; returns its figures and the share of the wall time that others used, None if little."""
    used_before, busy_before, began = used_s(), noise.busy_s(), time.monotonic()
    figures = finish(start(words))
    wall = time.monotonic() - began
    others = (noise.busy_s() - busy_before) - (used_s() - used_before)
    return figures, others / wall if noise.is_noise(others, wall) else None


def take_quiet(words, retries, deadline):
    """As take, again while others disturb, at most retries times. Returns (figures, share of others of the last
    try or None, number of tries thrown away)."""
    for attempt in range(retries + 1):
        if attempt > 0:
            noise.wait_for_quiet(2.0)
        figures, others = take(words)
        if others is None:
            return figures, None, attempt
        if time.monotonic() > deadline:
            break
    return figures, others, attempt + 1
