"""Every policy on every trace with workpool-sim: table.md, results.json and a chart for some traces.

usage: table.py --sim PROGRAM --out DIR [--more] [--seeds N] [--policy SPEC]... [--chart SPEC]...
"""
import argparse
import concurrent.futures
import csv
import json
import math
import pathlib
import subprocess

import chart

HERE = pathlib.Path(__file__).resolve().parent
CHARTED = ["ramp", "bursts-30s", "quota-8-to-2", "error-storm"]
# A schedule needs its times of day; fixed without a size is workers_max.
NOT_BY_NAME = {"schedule", "fixed"}
FIXED = ["fixed,n=8", "fixed,n=32", "fixed,n=128"]


def run(arguments):
    return subprocess.run(arguments, check=True, capture_output=True, text=True).stdout


def known_policies(sim):
    names = [line.split()[0] for line in run([sim, "--list"]).splitlines()]
    return [name for name in names if name not in NOT_BY_NAME] + FIXED


def judge(sim, trace, policies, seeds, cache):
    command = [sim, "--trace", str(trace), "--seeds", str(seeds), "--oracle", "--json"]
    command += ["--oracle-cache", str(cache)]
    for policy in policies:
        command += ["--policy", policy]
    return json.loads(run(command))


def series(sim, trace, policy, path):
    run([sim, "--trace", str(trace), "--policy", policy, "--series", str(path)])
    with open(path, newline="", encoding="utf-8") as file:
        return [{key: float(value) for key, value in row.items()} for row in csv.DictReader(file)]


def geometric_mean(values):
    return math.exp(sum(map(math.log, values)) / len(values)) if values else float("nan")


def short(value):
    if value >= 1000:
        return f"{value:.0f}"
    return f"{value:.3g}" if value >= 10 else f"{value:.2f}"


def row_of(cells):
    return "| " + " | ".join(cells) + " |"


def ratio_table(policies, traces, runs):
    """J / J(oracle), best geometric mean first."""
    rows = []
    for policy in policies:
        ratios = {trace: runs[trace, policy]["ratio"] for trace in traces}
        free = [r for trace, r in ratios.items() if not runs[trace, policy]["shared_bottleneck"]]
        shared = [r for trace, r in ratios.items() if runs[trace, policy]["shared_bottleneck"]]
        means = [geometric_mean(list(ratios.values())), geometric_mean(free), geometric_mean(shared)]
        rows.append((means[0], [f"`{policy}`"] + [short(v) for v in means + list(ratios.values())]))
    head = ["policy", "all", "no shared bottleneck", "shared bottleneck", *traces]
    lines = [row_of(head), row_of(["---"] * len(head))]
    return lines + [row_of(cells) for _, cells in sorted(rows)]


def absolute_table(policy, traces, runs, oracles):
    """What the oracle and one policy do, in figures that mean something by themselves."""
    head = ["trace", "J (oracle)", f"J ({policy})", "p99 wait, ms", "workers, mean", "peak", "starts"]
    lines = [row_of(head), row_of(["---"] * len(head))]
    for trace in traces:
        best, own = oracles[trace], runs[trace, policy]
        pairs = [
            f"{short(own[key])} ({short(best[key])})"
            for key in ("p99_ms", "workers", "peak", "starts")
        ]
        lines.append(row_of([trace, short(best["j"]), short(own["j"]), *pairs]))
    return lines


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sim", required=True, help="the program workpool-sim")
    parser.add_argument("--out", required=True, type=pathlib.Path)
    parser.add_argument("--more", action="store_true", help="the traces of traces/more, too")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--policy", action="append", help="instead of all")
    parser.add_argument("--chart", action="append", help="policies in the charts")
    parser.add_argument("--processes", type=int, default=2)
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)

    files = sorted((HERE / "traces").glob("*.jsonl"))
    if options.more:
        files += sorted((HERE / "traces" / "more").glob("*.jsonl"))
    traces = [file.stem for file in files]
    policies = options.policy or known_policies(options.sim)
    cache = options.out / "oracle.jsonl"

    runs, oracles = {}, {}
    with concurrent.futures.ThreadPoolExecutor(options.processes) as pool:
        jobs = [pool.submit(judge, options.sim, file, policies, options.seeds, cache) for file in files]
        for job, trace in zip(jobs, traces):
            result = job.result()
            oracles[trace] = result["oracle"][0]
            runs.update({(trace, one["policy"]): one for one in result["runs"]})
            print(f"{trace}: J(oracle) {oracles[trace]['j']:.3f}", flush=True)

    lines = ["J / J(oracle), geometric means first.", "", *ratio_table(policies, traces, runs), ""]
    lines += [f"`{policies[0]}`, and in brackets the oracle's schedule.", ""]
    lines += absolute_table(policies[0], traces, runs, oracles)
    (options.out / "table.md").write_text("\n".join(lines) + "\n", encoding="utf-8")
    results = {"runs": list(runs.values()), "oracle": list(oracles.values())}
    (options.out / "results.json").write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")

    charted = options.chart or ["auto", "ewma", "aimd"]
    for file in files:
        if file.stem not in CHARTED:
            continue
        path = options.out / f"{file.stem}.csv"
        lines_of = {policy: series(options.sim, file, policy, path) for policy in charted}
        path.unlink()
        picture = chart.draw(file.stem, lines_of, oracles[file.stem])
        (options.out / f"{file.stem}.svg").write_text(picture, encoding="utf-8")
    print(options.out / "table.md")


if __name__ == "__main__":
    main()
