"""Always-valid intervals and p-values: look at any time, for as long as you like, without a plan.

Belongs here: the normal mixture for means, ratios and lifts; the exact mixture for rare events. Does not: planned experiments, where
group-sequential bounds (sequential.py) find the same effects with fewer readers.

The normal mixture is the mSPRT (Robbins 1970; Johari, Koomen, Pekelis & Walsh 2017, "Peeking at A/B Tests"): the likelihood ratio of
effects drawn from N(0, mixing²) to no effect. It holds for any error, if there are enough readers for the estimate to be normal
(asymptotic confidence sequences: Waudby-Smith et al. 2024).
"""

import numpy as np
from scipy.special import betaincc, betaln, lambertw

from recsys_platform.experiments.statistics.sums import Numbers


def mixing_for(error: Numbers, alpha: float) -> Numbers:
    """Return the mixing standard deviation with the narrowest interval when the standard error is `error`.

    The solution of u - ln(1 + u) = 2 ln(1 ÷ alpha), u = (mixing ÷ error)² (Howard, Ramdas, McAuliffe & Sekhon 2021, proposition 3).
    Choose it before the first look, for the error expected at the time that matters most.
    """
    squared = -float(np.real(lambertw(-(alpha**2) / np.e, -1))) - 1
    return np.asarray(error * np.sqrt(squared), dtype=np.float64)


def half_width(error: Numbers, mixing: Numbers, alpha: float) -> Numbers:
    """Return the half width of the interval: at all times together it misses the true effect with a chance of at most `alpha`."""
    squared = np.square(error)
    growth = (squared + np.square(mixing)) / squared
    width = np.sqrt(squared * growth / (growth - 1) * np.log(growth / alpha**2))
    return np.asarray(np.where(np.isfinite(error), width, np.inf), dtype=np.float64)


def p_value(difference: Numbers, error: Numbers, mixing: Numbers) -> Numbers:
    """Return the always-valid p-value of one look; the smallest of all looks so far is valid too."""
    squared = np.square(error)
    growth = (squared + np.square(mixing)) / squared
    evidence = np.square(difference) / squared * (1 - 1 / growth) / 2 - np.log(growth) / 2
    return np.asarray(np.exp(-np.maximum(evidence, 0.0)), dtype=np.float64)


def excess_p_value(events: int, size: int, other_events: int, other_size: int, *, tolerated: float = 1.0) -> float:
    """Return the always-valid p-value for events that are more frequent than `tolerated` times those of the other group.

    `size`: what the events are counted of, such as requests, in each group. Valid at any time if the shares of the two groups do not
    change meanwhile; exact for rare events, cautious for frequent ones. Given the number of all events, each belongs to this group
    with a fixed probability at most; the likelihood of larger probabilities, uniformly mixed, is compared with it.
    """
    total = events + other_events
    if not total or not size or not other_size:
        return 1.0
    share = tolerated * size / (tolerated * size + other_size)
    a, b = events + 1, other_events + 1
    above = float(betaincc(a, b, share))
    if not above > 0:  # so few events that no larger probability explains them better
        return 1.0
    mixed = float(betaln(a, b)) + np.log(above) - np.log1p(-share)
    evidence = mixed - events * np.log(share) - other_events * np.log1p(-share)
    return float(np.exp(-max(float(evidence), 0.0)))
