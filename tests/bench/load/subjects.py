"""What is compared: each subject is a name, a command that runs one schedule, and how its figures are read."""
import dataclasses
import json
import os
import shutil
import subprocess
import typing

HERE = os.path.dirname(os.path.abspath(__file__))
# Of a result, in every subject.
FIGURES = ("tasks", "dropped", "wait_p99_ms", "sojourn_p99_ms", "thread_s", "cpu_s", "peak", "late_p99_ms")


class Failed(Exception):
    """A subject did not run, or not as it should."""


@dataclasses.dataclass(frozen=True)
class Load:
    """One load: the same for all subjects, as a trace for `workpool load` and as a schedule for the others."""
    trace_words: typing.List[str]
    schedule: str
    seconds: float
    drain_s: float


@dataclasses.dataclass(frozen=True)
class Subject:
    name: str
    missing: str  # "": it can run; else why not
    words: typing.Callable[[Load], typing.List[str]]
    from_submit: bool = False  # its wait begins with the submit, not with the scheduled arrival


def read_line(text):
    """The figures of a program that prints them as its last line."""
    lines = text.strip().splitlines()
    try:
        told = json.loads(lines[-1])
        return {name: told[name] for name in FIGURES}
    except (IndexError, KeyError, ValueError) as problem:
        raise Failed(f"it printed no result: {text[-200:]!r}") from problem


def read_saved(told):
    """The figures of what `workpool load --save` wrote. A task that was refused was not served: it counts as dropped."""
    run = told["runs"][0]
    return {"tasks": run["scheduled"], "dropped": run["dropped"] + run["refused"], "wait_p99_ms": run["wait_ms"]["p99"],
            "sojourn_p99_ms": run["sojourn_ms"]["p99"], "thread_s": run["workers"]["thread_s"],
            "cpu_s": run["cpu_s"]["pool"], "peak": run["workers"]["most"], "late_p99_ms": run["late_ms"]["p99"]}


def run(subject, load):
    """One run, or Failed."""
    words = subject.words(load)
    saved = load.schedule + ".saved.json"
    if os.path.exists(saved):
        os.remove(saved)
    if subject.from_submit:
        words = words + ["--save", saved]
    try:
        done = subprocess.run(words, capture_output=True, text=True, timeout=load.seconds + load.drain_s + 30, check=False)
    except (OSError, subprocess.TimeoutExpired) as problem:
        raise Failed(str(problem)) from problem
    if subject.from_submit and os.path.exists(saved):  # 1: not drained in time, which the figures tell
        with open(saved, encoding="utf-8") as text:
            return read_saved(json.load(text))
    if done.returncode != 0:
        raise Failed(f"exit code {done.returncode}: {(done.stderr or done.stdout).strip()[-200:]}")
    return read_line(done.stdout)


def compiled_java(folder):
    """The command that runs Main, and why there is none."""
    if shutil.which("java") is None:
        return [], "there is no java"
    source = os.path.join(HERE, "Main.java")
    if shutil.which("javac") is None:
        return ["java", source], ""
    classes = os.path.join(folder, "java")
    made = os.path.join(classes, "Main.class")
    if not os.path.exists(made) or os.path.getmtime(made) < os.path.getmtime(source):
        os.makedirs(classes, exist_ok=True)
        done = subprocess.run(["javac", "-d", classes, source], capture_output=True, text=True, timeout=120, check=False)
        if done.returncode != 0:
            return [], f"javac failed: {done.stderr[-200:]}"
    return ["java", "-cp", classes, "Main"], ""


def replay(name, words, missing="", options=()):
    return Subject(name, missing, lambda load: [*words, load.schedule, "--duration", str(load.seconds), "--drain",
                                                str(load.drain_s), *options])


def all_subjects(programs, command, cores):
    """In the order of the table."""
    def program(name, key, *options):
        path = os.path.join(programs, f"bench_load_{key}")
        return replay(name, [path], "" if os.path.exists(path) else f"bench_load_{key} is not built", options)

    def load_command(name, *options):
        return Subject(name, "", lambda load: [command, "load", *load.trace_words, "--drain", f"{load.drain_s}s", *options],
                       from_submit=True)

    java, no_java = compiled_java(programs)

    def executor(pool):
        return replay(f"Java {pool}", java, no_java, ["--pool", pool])

    return [
        program("workpool", "workpool"),
        load_command("workpool (`workpool load`)"),
        load_command("ants:1024 (its rules)", "--pool", "ants:1024"),
        load_command("pond:1024 (its rules)", "--pool", "pond:1024"),
        executor("cached"),
        executor(f"elastic:{cores},1024"),
        executor(f"queued:{cores},1024,1000"),
        executor(f"fixed:{cores}"),
        program("GThreadPool 1024", "glib"),
        program(f"oneTBB {cores}", "tbb", "--threads", str(cores)),
        program("libuv 4", "uv", "--threads", "4"),
        program("libuv 128", "uv", "--threads", "128"),
    ]
