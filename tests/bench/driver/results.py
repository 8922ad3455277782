"""All samples of a run, and the figures made of them.

samples[cell][subject] is a list with one entry a repetition: the figures of that sample, or None if it was dropped.
A ratio is taken within a repetition, where both subjects saw the same machine; then the median over repetitions.
"""
import math
import statistics
import typing


class Spread(typing.NamedTuple):
    median: float
    low: float
    high: float
    count: int


def spread(values):
    values = [v for v in values if v is not None]
    return Spread(statistics.median(values), min(values), max(values), len(values)) if values else None


def geometric_mean(values):
    return math.exp(statistics.fmean(math.log(v) for v in values))


class Results:
    def __init__(self, samples, counts):
        self.samples = samples
        self.counts = counts  # counts[key][subject] = {"instructions": .., "locked": ..} a task

    def per_repetition(self, cell, subject, metric):
        return [figures.get(metric) if figures else None
                for figures in self.samples.get(cell, {}).get(subject, [])]

    def value(self, cell, subject, metric):
        return spread(self.per_repetition(cell, subject, metric))

    def ratio(self, cell, subject, metric, reference, reference_metric=None):
        ours = self.per_repetition(cell, subject, metric)
        theirs = self.per_repetition(cell, reference, reference_metric or metric)
        return spread([a / b for a, b in zip(ours, theirs) if a is not None and b])

    def mean_value(self, cells, subject, metric):
        """Geometric mean of the cells' medians; None if a cell has none."""
        values = [self.value(cell, subject, metric) for cell in cells]
        return geometric_mean([v.median for v in values]) if all(values) else None

    def mean_ratio(self, cells, subject, metric, reference):
        """Geometric mean of the cells' ratios; its spread is that of the mean within one repetition."""
        ratios = [self.ratio(cell, subject, metric, reference) for cell in cells]
        if not all(ratios):
            return None
        repetitions = []
        for ours, theirs in zip(zip(*(self.per_repetition(c, subject, metric) for c in cells)),
                                zip(*(self.per_repetition(c, reference, metric) for c in cells))):
            if None not in ours and None not in theirs:
                repetitions.append(geometric_mean([a / b for a, b in zip(ours, theirs)]))
        middle = geometric_mean([r.median for r in ratios])
        return Spread(middle, min(repetitions, default=middle), max(repetitions, default=middle),
                      min(r.count for r in ratios))

    def count(self, key, subject, what="instructions"):
        return self.counts.get(key, {}).get(subject, {}).get(what)
