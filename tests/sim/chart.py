"""A chart of one trace as SVG: arrivals, workers and waits over time, one line for each policy."""
import math

WIDTH, PANEL, GAP, LEFT, RIGHT, TOP = 900, 170, 34, 64, 16, 70
COLOURS = ["#0b6e4f", "#d1495b", "#2e6fb7", "#e09f3e", "#7b2d8b"]
GREY = "#8a8a8a"


def ticks(top):
    """A handful of round numbers from 0 to top."""
    if top <= 0:
        return [0]
    step = 10 ** math.floor(math.log10(top / 2))
    while top / step > 6:
        step *= 5 if top / step > 25 else 2
    return [i * step for i in range(int(top / step) + 1)]


class Panel:
    """One diagram: values over time, linear from 0, or in powers of ten from low."""

    def __init__(self, index, title, end_s, top, low=None):
        self.y0 = TOP + index * (PANEL + GAP)
        self.end_s, self.top, self.low = end_s, max(top, 1e-9), low
        self.parts = [
            f'<rect x="{LEFT}" y="{self.y0}" width="{WIDTH - LEFT - RIGHT}" height="{PANEL}" class="frame"/>',
            f'<text x="{LEFT}" y="{self.y0 - 6}">{title}</text>',
        ]
        for value in self.marks():
            y = self.y(value)
            self.parts.append(f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}" class="grid"/>')
            self.parts.append(f'<text x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{value:g}</text>')
        for value in ticks(end_s):
            self.parts.append(
                f'<text x="{self.x(value):.1f}" y="{self.y0 + PANEL + 14}" text-anchor="middle">{value:g}</text>'
            )

    def marks(self):
        if self.low is None:
            return ticks(self.top)
        first, last = round(math.log10(self.low)), math.ceil(math.log10(self.top))
        return [10.0**power for power in range(first, last + 1)]

    def x(self, t_s):
        return LEFT + (WIDTH - LEFT - RIGHT) * min(t_s / self.end_s, 1)

    def y(self, value):
        if self.low is None:
            share = value / (1.05 * self.top)
        else:
            last = math.ceil(math.log10(max(self.top, self.low * 10)))
            first = math.log10(self.low)
            share = (math.log10(max(value, self.low)) - first) / (last - first)
        return self.y0 + PANEL * (1 - min(share, 1))

    def line(self, points, colour, dash=""):
        path = " ".join(f"{self.x(t):.1f},{self.y(v):.1f}" for t, v in points if t <= self.end_s)
        style = f' stroke-dasharray="{dash}"' if dash else ""
        self.parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="1.4"{style}/>')


def steps(values, step_s):
    """A value that holds for a while, as the corners of a staircase."""
    points = []
    for i, value in enumerate(values):
        points += [(i * step_s, value), ((i + 1) * step_s, value)]
    return points


def draw(title, lines_of, oracle):
    """lines_of: policy -> rows of its series; oracle: its entry in the JSON."""
    first = next(iter(lines_of.values()))
    step_s = first[1]["t_s"] - first[0]["t_s"]
    end_s = len(oracle["targets"]) * oracle["segment_s"]

    def top(key):
        return max(row[key] for rows in lines_of.values() for row in rows if row["t_s"] <= end_s)

    arrivals = Panel(0, "arrivals per second", end_s, top("arrivals_per_s"))
    workers = Panel(1, "workers", end_s, max(top("workers"), *oracle["targets"]))
    waits = Panel(2, "longest wait, ms", end_s, top("wait_max_ms"), low=0.1)
    arrivals.line(steps([row["arrivals_per_s"] for row in first], step_s), GREY)
    workers.line(steps(oracle["targets"], oracle["segment_s"]), GREY, "4 3")
    keys = ['<text x="{0}" y="40" fill="' + GREY + '">oracle (dashed)</text>']
    for (policy, rows), colour in zip(lines_of.items(), COLOURS):
        workers.line(steps([row["workers"] for row in rows], step_s), colour)
        waits.line(steps([row["wait_max_ms"] for row in rows], step_s), colour)
        keys.append('<text x="{0}" y="40" fill="' + colour + f'">{policy}</text>')
    height = TOP + 3 * (PANEL + GAP)
    legend = [key.format(LEFT + 150 * i) for i, key in enumerate(keys)]
    body = "\n".join(legend + arrivals.parts + workers.parts + waits.parts)
    return f"""<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" viewBox="0 0 {WIDTH} {height}">
<style>text {{ font: 12px sans-serif }} .frame {{ fill: none; stroke: #999 }} .grid {{ stroke: #e4e4e4 }}</style>
<rect width="100%" height="100%" fill="white"/>
<text x="{LEFT}" y="20" style="font-size:15px">{title}: time in seconds</text>
{body}
</svg>
"""
