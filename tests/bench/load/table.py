"""Medians over repetitions, and the tables in Markdown. Samples are {shape: {subject: [figures, or a text why not]}}."""
import statistics

COLUMNS = (("p99 wait, ms", "wait_p99_ms", 2), ("p99 sojourn, ms", "sojourn_p99_ms", 1), ("thread-s", "thread_s", 1),
           ("CPU s", "cpu_s", 2), ("peak threads", "peak", 0), ("p99 late, ms", "late_p99_ms", 2))

NOTES = """\
Medians. Wait: from the scheduled arrival to the start of a task; † from its submit. Sojourn: from the scheduled arrival to
its end. Thread-s: threads of the pool over time, idle ones included; † workers only, else all threads that the library
made. CPU s: of the process but for who submits and who measures; of Java with the JVM's own. Late: scheduled arrival to
submit, which is the machine's doing where it is alike for all, and else the pool's. ≥: tasks were left when the time to
drain was over, their number in brackets; those are the figures up to then.
"""


def median(samples, figure):
    """Of the runs that worked; None: none has."""
    values = [sample[figure] for sample in samples if not isinstance(sample, str)]
    return statistics.median(values) if values else None


def row(subject, from_submit, samples):
    name = subject + (" †" if from_submit else "")
    worked = [sample for sample in samples if not isinstance(sample, str)]
    if not worked:
        why = samples[0] if samples else "not run"
        return f"| {name} | {why.splitlines()[0]} |" + " – |" * (len(COLUMNS) - 1)
    left = median(samples, "dropped")
    least = "≥ " if left > 0 else ""
    cells = []
    for _, figure, digits in COLUMNS:
        bounded = figure in ("wait_p99_ms", "sojourn_p99_ms", "thread_s", "cpu_s")
        cells.append((least if bounded else "") + f"{median(samples, figure):.{digits}f}")
    if left > 0:
        name += f" ({left:.0f} left)"
    return "| " + " | ".join([name, *cells]) + " |"


def markdown(about, order, samples):
    """about: {shape: a line about it}; order: [(subject, from_submit)]."""
    lines = []
    for shape, text in about.items():
        lines += [f"### {shape}", "", text, "", "| pool | " + " | ".join(name for name, _, _ in COLUMNS) + " |",
                  "|---" + "|--:" * len(COLUMNS) + "|"]
        lines += [row(subject, from_submit, samples.get(shape, {}).get(subject, [])) for subject, from_submit in order]
        lines.append("")
    return "\n".join([*lines, NOTES])
