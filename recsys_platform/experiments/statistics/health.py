"""Health checks: what makes the numbers of an experiment wrong, found before they are read.

Belongs here: sample ratio, contamination, contradictions, models that moved, missing metrics, outliers, novelty; each gives a finding
with its sentence, or None. Does not: the counts.
"""

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import chdtrc, gammaln, ndtr, xlogy

from recsys_platform.recommender.arrays import DoubleArray

SRM_ALPHA = 0.01
"""Level of both tests of the sample ratio: at the end (chi-squared), and over all days together (sequential)."""
SRM_PRIOR_READERS = 1_000.0
"""How near the planned weights the sequential test expects others: as if so many readers had been seen."""
MAX_CONTAMINATION = 0.01
"""Largest share of readers with two variants, or with a page of another variant, at which an experiment is still valid."""
OUTLIER_TIMES = 1_000.0
"""A reader with at least this many times the mean is named."""
MAX_SILENT_DAYS = 1
"""Days that a metric may lag behind the exposures."""
LEAST_EXPECTED = 7.0
"""A metric is missing where at least so many were to be expected: chance alone gives none with a probability below .001 (Poisson)."""
NOVELTY_ALPHA = 0.01
"""Level at which a lift is called another than it was at first."""


@dataclass(frozen=True)
class Finding:
    """Something wrong with an experiment. `is_fatal`: its results must not be used. `sentence`: what and how much, for the reader."""

    name: str
    sentence: str
    is_fatal: bool


def sample_ratio_p_value(readers: Mapping[str, int], weights: Mapping[str, float]) -> float:
    """Return the p-value of Pearson's chi-squared test that variants got readers by their weights, for one look at the end."""
    counts, expected = _counts_and_expected(readers, weights)
    statistic = float(np.sum((counts - expected) ** 2 / expected)) if counts.sum() else 0.0
    return float(chdtrc(len(counts) - 1, statistic))


def sequential_sample_ratio_p_value(readers: Mapping[str, int], weights: Mapping[str, float]) -> float:
    """Return the p-value of the same hypothesis that is valid at every look (Lindon & Malek 2022, "Anytime-Valid Inference for
    Multinomial Count Data"): a Dirichlet mixture around the weights against the weights.
    """
    counts, expected = _counts_and_expected(readers, weights)
    total = counts.sum()
    shares = expected / total if total else np.full(len(counts), 1 / len(counts))
    prior = SRM_PRIOR_READERS * shares
    mixed = gammaln(prior.sum()) - gammaln(prior.sum() + total) + np.sum(gammaln(prior + counts) - gammaln(prior))
    return float(np.exp(-max(0.0, float(mixed - np.sum(xlogy(counts, shares))))))


def sample_ratio_mismatch(
    readers: Mapping[str, int], weights: Mapping[str, float], *, is_ended: bool, alpha: float = SRM_ALPHA
) -> Finding | None:
    """Find groups that are larger or smaller than their weights allow. While the experiment runs the sequential test decides, so that
    looking every day gives at most `alpha` false alarms in all; once it has ended, the chi-squared test does, also at `alpha`.
    """
    test = sample_ratio_p_value if is_ended else sequential_sample_ratio_p_value
    p_value = test(readers, weights)
    if p_value >= alpha:
        return None
    counts, expected = _counts_and_expected(readers, weights)
    got = ", ".join(
        f"{name} {count:,.0f} (expected {planned:,.0f})"
        for name, count, planned in zip(weights, counts, expected, strict=True)
    )
    chance = f"{p_value:.2g}" if p_value >= 1e-6 else "less than 0.000001"
    return Finding(
        "sample_ratio_mismatch",
        f"The groups do not have the sizes of their weights: {got}; chance alone does so with probability {chance}. Readers were lost"
        " or assigned wrongly, and those who are left cannot be compared.",
        is_fatal=True,
    )


def contamination(readers: int, in_two: int, *, limit: float = MAX_CONTAMINATION) -> Finding | None:
    """Find readers who saw two variants; they are left out, and above `limit` the rest is no fair sample either."""
    text = f"{in_two:,} of {readers:,} readers ({_percent(in_two, readers)}) saw two variants and were left out"
    return _share_finding("contamination", text, in_two, readers, limit)


def contradictions(exposures: int, contradicting: int, *, limit: float = MAX_CONTAMINATION) -> Finding | None:
    """Find exposures whose page or model is another than that of the assigned variant."""
    share = _percent(contradicting, exposures)
    text = f"{contradicting:,} of {exposures:,} exposures ({share}) show another variant than was assigned"
    return _share_finding("contradictions", text, contradicting, exposures, limit)


def other_models(variant: str, answers: Mapping[str, int], *, limit: float = MAX_CONTAMINATION) -> Finding | None:
    """Find a variant whose live answers came of several models. `answers`: by model."""
    total, other = sum(answers.values()), sum(answers.values()) - max(answers.values(), default=0)
    names = ", ".join(sorted(answers, key=lambda name: -answers[name]))
    share = _percent(other, total)
    text = (
        f"{variant} was more than one model ({names}): {other:,} of {total:,} live answers ({share}) are not of the first,"
        " since an alias moved or the file was edited"
    )
    return _share_finding("other_models", text, other, total, limit)


def same_model(
    variants: tuple[str, str], models: Sequence[str], answers: int, total: int, *, limit: float = MAX_CONTAMINATION
) -> Finding | None:
    """Find two variants that the same model answered, though they name different ones. `answers`, `total`: live ones."""
    text = (
        f"{variants[0]} and {variants[1]} were the same model ({', '.join(models)}) in {answers:,} of {total:,} live answers"
        f" ({_percent(answers, total)}), since their aliases named one version"
    )
    return _share_finding("same_model", text, answers, total, limit)


def missing_metric(
    metric: str, last_value: dt.date | None, last_exposure: dt.date, *, expected: float | None = None
) -> Finding | None:
    """Find a metric that stopped while readers were still exposed. `last_value`: the last day with a value of it, None if never.
    `expected`: events of it since then by the days before, None if not known: where few were to be expected, none may be chance.
    """
    silent = (last_exposure - last_value).days if last_value else None
    if silent is not None and silent <= MAX_SILENT_DAYS:
        return None
    if expected is not None and expected < LEAST_EXPECTED:
        return None
    since = f"since {last_value} ({silent} days), although" if last_value else "at all, although"
    return Finding(
        "missing_metric",
        f"{metric} has no value {since} readers were exposed until {last_exposure}: its events are missing, not 0.",
        is_fatal=True,
    )


def outlier(metric: str, largest: float, mean: float, cap: float | None) -> Finding | None:
    """Find a reader with a thousand times the mean. `mean`: of the control, without limits; `cap`: the quantile of the pre-period
    at which values are winsorised, None if they are not.
    """
    if mean <= 0 or largest < OUTLIER_TIMES * mean:
        return None
    done = (
        f"it counts as {cap:g}, the limit from the pre-period"
        if cap is not None
        else "give the metric a limit (winsorise it)"
    )
    return Finding(
        "outlier",
        f"One reader has {largest:g} of {metric}, {largest / mean:,.0f} times the mean: {done}.",
        is_fatal=False,
    )


def novelty(
    what: str, lift: DoubleArray, error: DoubleArray, days: Sequence[dt.date], *, alpha: float = NOVELTY_ALPHA
) -> Finding | None:
    """Find a lift that is another since half of the information was there than until then: a novelty that wears off, or readers who
    learn. `error`: standard error of the lift, NaN on days that are no look; both of shape (days,).

    The lift until then and the one of all days have the covariance of an estimate with itself, error² of all days, since what is
    added later is independent of what was there.
    """
    information = np.where(np.isfinite(error), 1 / np.square(error), 0.0)
    early = np.flatnonzero((information > 0) & (information <= information[-1] / 2))
    if not len(early):
        return None
    at = int(early[-1])
    later = (lift[-1] * information[-1] - lift[at] * information[at]) / (information[-1] - information[at])
    distance = (lift[at] - lift[-1]) / np.sqrt(1 / information[at] - 1 / information[-1])
    if 2 * ndtr(-abs(distance)) >= alpha:
        return None
    return Finding(
        "novelty",
        f"{what} has a lift of {lift[at]:+.1%} until {days[at]} and of {later:+.1%} since: it changes with time, so that"
        " the lift of all days is none that lasts.",
        is_fatal=False,
    )


def _counts_and_expected(readers: Mapping[str, int], weights: Mapping[str, float]) -> tuple[np.ndarray, np.ndarray]:
    counts = np.array([readers.get(name, 0) for name in weights], dtype=np.float64)
    planned = np.array(list(weights.values()), dtype=np.float64)
    return counts, counts.sum() * planned / planned.sum()


def _share_finding(name: str, text: str, part: int, total: int, limit: float) -> Finding | None:
    if not part:
        return None
    is_fatal = part > limit * total
    return Finding(name, f"{text}{f': more than {limit:.0%} is too many' if is_fatal else ''}.", is_fatal)


def _percent(part: int, total: int) -> str:
    return f"{part / total:.2%}" if total else "0 %"
