"""The rules pixel by pixel in plain Python and numpy, fp64."""

import math

import numpy as np

from .batches import UPDATES, K

#: Upper edges of the bins of an uncertainty, lowest first.
EDGES = np.array(
    [
        2.0**-octave * (65 + part) / 128
        for octave in range(23, -1, -1)
        for part in range(64)
    ]
)


class Average:
    """A moving average that has seen some values."""

    def __init__(self, momentum, value):
        self.momentum, self.value, self.seen = momentum, value, 0

    def add(self, new):
        m = min(self.seen / (self.seen + 1), self.momentum)
        self.value = m * self.value + (1 - m) * new
        self.seen += 1


def edge_above(sorted_values, needed):
    """The edge above the ``needed``-th smallest value (from 1)."""
    value = sorted_values[max(needed, 1) - 1]
    return EDGES[min(np.searchsorted(EDGES, value, side='right'), len(EDGES) - 1)]


def pixels(batch):
    """(label, confidence, distribution) of every pixel that is no padding."""
    found = []
    for i, y, x in zip(*np.nonzero(batch.valid.numpy()), strict=True):
        p = batch.probabilities[i, :, y, x].numpy()
        found.append((int(p.argmax()), p.max(), p.astype(np.float64)))
    return found


def weigh(batch, function):
    """Map a function of (label, confidence, distribution) over all pixels."""
    p = batch.probabilities.numpy()
    weight = np.empty(batch.labels.shape)
    for i, y, x in np.ndindex(*weight.shape):
        own = p[i, :, y, x]
        weight[i, y, x] = function(int(own.argmax()), own.max(), own.astype(np.float64))
    return weight


class FlexMatch:
    def __init__(self, value, floor, momentum=0.99, warm_up=True):
        self.value, self.floor, self.warm_up = value, floor, warm_up
        self.shares = [Average(momentum, 0.0) for _ in range(K + 1)]

    def step(self, batch, progress):
        found = pixels(batch)
        for k in range(K):
            hits = [c >= self.value and label == k for label, c, _ in found]
            self.shares[k].add(sum(hits) / len(found))
        self.shares[K].add(sum(c < self.value for _, c, _ in found) / len(found))
        sigma = [average.value for average in self.shares]
        best = max(sigma) if self.warm_up else max(sigma[:K])
        beta = [s / best for s in sigma[:K]]
        limits = [max(self.floor, self.value * b / (2 - b)) for b in beta]
        self.limits = limits
        return weigh(batch, lambda label, c, p: c >= limits[label])


class FreeMatch:
    def __init__(self, floor, ceiling=1.0, quantile=None, momentum=0.999):
        self.floor, self.ceiling, self.quantile = floor, ceiling, quantile
        self.tau = Average(momentum, 1.0)
        self.shares = Average(momentum, np.zeros(K))

    def step(self, batch, progress):
        found = pixels(batch)
        self.shares.add(sum(p for _, _, p in found) / len(found))
        if self.quantile is None:
            self.tau.add(math.fsum(float(c) for _, c, _ in found) / len(found))
        else:
            u = sorted(np.float32(1) - c for _, c, _ in found)
            needed = math.ceil((1 - self.quantile) * len(u))
            self.tau.add(1 - edge_above(u, needed))
        tau = min(self.tau.value, self.ceiling)
        limits = np.maximum(
            tau * self.shares.value / max(self.shares.value), self.floor
        )
        self.limits = limits
        return weigh(batch, lambda label, c, p: c >= limits[label])


class SoftMatch:
    def __init__(self, momentum, per_class=False, n_sigma=2.0):
        self.n, self.per_class = n_sigma, per_class
        self.mu = [Average(momentum, 1.0) for _ in range(K)]
        self.v = [Average(momentum, 0.0) for _ in range(K)]

    def step(self, batch, progress):
        found = pixels(batch)
        for k in range(K if self.per_class else 1):
            own = [
                float(c) for label, c, _ in found if label == k or not self.per_class
            ]
            if len(own) > 1:
                self.mu[k].add(np.mean(own))
                self.v[k].add(np.var(own, ddof=1))

        def weight(label, c, p):
            k = label if self.per_class else 0
            below = min(float(c) - self.mu[k].value, 0)
            if below == 0:
                return 1.0
            if self.v[k].value == 0:
                return 0.0
            return math.exp(-(below**2) * self.n**2 / (2 * self.v[k].value))

        return weigh(batch, weight)


class AdaMatch:
    def __init__(self, value, momentum):
        self.value, self.labelled = value, Average(momentum, 1.0)

    def step(self, batch, progress):
        limit = np.float32(self.value * self.labelled.value)
        return weigh(batch, lambda label, c, p: c >= limit)

    def observe(self, confidences):
        self.labelled.add(np.mean(np.asarray(confidences, dtype=np.float64)))


class Entropy:
    def __init__(self, start, end):
        self.start, self.end = start, end

    @staticmethod
    def of(p):
        return -sum(x * math.log(x) for x in p if x > 0) / math.log(K)

    def step(self, batch, progress):
        alpha = self.start + (self.end - self.start) * progress
        ascending = sorted(self.of(p) for _, _, p in pixels(batch))
        needed = len(ascending) - math.floor(alpha * len(ascending) + 1e-9)
        self.gamma = edge_above(ascending, needed)
        return weigh(batch, lambda label, c, p: self.of(p) <= self.gamma)


class TopShare:
    def __init__(self, share, floor, momentum):
        self.share, self.floor = share, floor
        self.quantiles = [Average(momentum, 1.0) for _ in range(K)]

    def step(self, batch, progress):
        found = pixels(batch)
        for k in range(K):
            u = sorted(np.float32(1) - c for label, c, _ in found if label == k)
            if u:
                needed = math.ceil(self.share * len(u) - 1e-9)
                self.quantiles[k].add(1 - edge_above(u, needed))
        limits = [max(average.value, self.floor) for average in self.quantiles]
        self.limits = limits
        return weigh(batch, lambda label, c, p: c >= limits[label])


class Rank:
    """Quantiles of a list of weighted pixels, as in DWL's memory of batches."""

    def __init__(self, momentum):
        self.momentum, self.age = momentum, 0
        self.memory = [[] for _ in range(K)]

    def step(self, batch, progress):
        for label, c, _ in pixels(batch):
            self.memory[label].append((self.bin(c), self.age))
        self.age += 1
        quantiles = [self.quantiles(memory) for memory in self.memory]
        kappa = 2 + 20 * progress

        def weight(label, c, p):
            r = sum(self.bin(c) > q for q in quantiles[label]) / 20
            return 2 / (1 + math.exp(-kappa * r)) - 1

        return weigh(batch, weight)

    @staticmethod
    def bin(c):
        """Bin of a confidence, the lowest confidences first."""
        u = np.float32(1) - c
        return -min(np.searchsorted(EDGES, u, side='right'), len(EDGES) - 1)

    def quantiles(self, memory):
        """Bins of the 20 weighted quantiles."""
        ascending = sorted(memory)
        weights = [self.momentum ** (self.age - 1 - age) for _, age in ascending]
        cumulated = np.cumsum(weights)
        total = cumulated[-1] if memory else 0.0
        return [
            ascending[int((cumulated < j / 20 * total * (1 - 1e-9)).sum())][0]
            for j in range(1, 21 if memory else 1)
        ] or [math.inf] * 20


KINDS = dict(
    FlexMatchThreshold=FlexMatch,
    FreeMatchThreshold=FreeMatch,
    SoftMatchWeight=SoftMatch,
    AdaMatchThreshold=AdaMatch,
    EntropyPercentile=Entropy,
    TopShare=TopShare,
    RankWeight=Rank,
)


def reference(config):
    """The reference of a rule's config."""
    settings = dict(config)
    return KINDS[settings.pop('type').removeprefix('s5_mm.')](**settings)


__all__ = ['EDGES', 'UPDATES', 'reference']
