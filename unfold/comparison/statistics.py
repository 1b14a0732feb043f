"""Compare the scores of variants over the same seeds: means, spreads, paired differences, ranks.

    summary({"a": {0: 1.21, 1: 1.19}, "b": {0: 1.30, 1: 1.31}})["b"].rank       2

Two variants that see the same seeds share initial weights and batches, so their differences vary
less than they do. An interval is that of the mean difference by the bootstrap (Efron 1979): where
the means of differences drawn anew lie. A few seeds spread too little for that, so the percentiles
are those of the expanded interval of Hesterberg (2015, "What Teachers Should Know About the
Bootstrap"), which is nearly Student's if differences are normal. Ranks differ only if an interval
excludes zero.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import pi, sqrt, tan
from statistics import NormalDist, fmean, stdev

import numpy as np

DRAWN = 10_000
OUTSIDE = 0.025  # on either side
NORMAL = NormalDist()

Scores = Mapping[int, float]  # by seed


@dataclass(frozen=True)
class Summary:
    """The scores of one variant beside the others; a smaller score is better.

    Attributes:
        runs: how many there are.
        mean: of the scores.
        spread: their standard deviation; None for a single run.
        rank: 1 and the number of variants that are better beyond chance.
        behind: the mean difference from the best variant over common seeds, and its interval; None
            for the best one, and without common seeds.
    """

    runs: int
    mean: float
    spread: float | None
    rank: int
    behind: tuple[float, tuple[float, float] | None] | None


def interval(differences: Sequence[float]) -> tuple[float, float] | None:
    """Return the 95 % interval of a mean by the bootstrap; None for fewer than two numbers."""
    if len(differences) < 2:
        return None
    n = len(differences)
    drawn = np.random.default_rng(0).choice(np.asarray(differences), (DRAWN, n))
    outside = NORMAL.cdf(-sqrt(n / (n - 1)) * students(n - 1))
    low, high = np.quantile(drawn.mean(axis=1), (outside, 1 - outside))
    return float(low), float(high)


def students(freedom: int) -> float:
    """Return the number that Student's t exceeds with the probability OUTSIDE.

    By formula for one and two degrees of freedom, otherwise by the expansion in their inverse
    (Abramowitz & Stegun 26.7.5), right to 0.004.
    """
    if freedom == 1:
        return tan(pi * (0.5 - OUTSIDE))
    if freedom == 2:
        return (1 - 2 * OUTSIDE) / sqrt(2 * OUTSIDE * (1 - OUTSIDE))
    z = NORMAL.inv_cdf(1 - OUTSIDE)
    terms = (
        z,
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
        (79 * z**9 + 776 * z**7 + 1482 * z**5 - 1920 * z**3 - 945 * z) / 92160,
    )
    return sum(term / freedom**power for power, term in enumerate(terms))


def summary(scores: Mapping[str, Scores]) -> dict[str, Summary]:
    """Return the summary of every variant that has scores."""
    means = {v: fmean(own.values()) for v, own in scores.items() if own}
    if not means:
        return {}
    best = min(means, key=lambda v: means[v])
    found: dict[str, Summary] = {}
    for variant, mean in means.items():
        own = scores[variant]
        beaten = sum(_is_beyond(own, scores[other]) for other in means if means[other] < mean)
        gaps = _gaps(own, scores[best])
        behind = (fmean(gaps), interval(gaps)) if variant != best and gaps else None
        spread = stdev(own.values()) if len(own) > 1 else None
        found[variant] = Summary(len(own), mean, spread, 1 + beaten, behind)
    return found


def _gaps(own: Scores, other: Scores) -> list[float]:
    return [own[seed] - other[seed] for seed in own if seed in other]


def _is_beyond(own: Scores, better: Scores) -> bool:
    """Whether another variant is better, and not by chance."""
    found = interval(_gaps(own, better))
    return found is not None and found[0] > 0
