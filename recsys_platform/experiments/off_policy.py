"""Off-policy evaluation: estimate the clicks of a policy from exposures that another policy logged with propensities.

Belongs here: estimators, confidence intervals, warnings. Does not: propensities (logged by the ranking that drew the book), A/B tests,
which alone prove a difference.

A row is one book shown at one position of one response. The estimators weight it by the ratio of the target policy's probability to
the propensity. They assume that a click depends on the book and its position, not on the other books of the response (the
item-position model of Li et al. 2018, "Offline Evaluation of Ranking Policies with Click Models").
"""

from collections.abc import Iterator
from dataclasses import dataclass, fields
from functools import cached_property

import numpy as np
import pandas as pd
import pyarrow as pa
from scipy.special import stdtrit

from recsys_platform.recommender.arrays import BoolArray, DoubleArray, IntArray
from recsys_platform.recommender.errors import DataError

CONFIDENCE = 0.95
MIN_EFFECTIVE_SHARE = 0.1
"""Warn if the effective sample size is below this share of the rows."""
MAX_GROUP_SHARE = 0.1
"""Warn if one reader's rows have more than this share of the total weight."""


@dataclass(frozen=True)
class Exposures:
    """Logged exposures, one row per book and position; all arrays of shape (n_rows,), n_rows > 0.

    `reward`: the outcome, such as 1 for a click; finite. `propensity`: probability of this book at this position under the logging
    policy, above 0 and at most 1. `target`: probability under the target policy, 0 to 1. `group`: the reader; rows of one group may
    depend on each other.
    Raises DataError if a value is missing or out of range, ValueError if lengths differ.
    """

    reward: DoubleArray
    propensity: DoubleArray
    target: DoubleArray
    group: IntArray

    def __post_init__(self) -> None:
        if len({len(getattr(self, field.name)) for field in fields(self)}) > 1:
            raise ValueError("reward, propensity, target and group have different lengths")
        for problem in _exposure_problems(self):
            raise DataError(problem)

    def __len__(self) -> int:
        return len(self.reward)

    @cached_property
    def weight(self) -> DoubleArray:
        """Importance weights target ÷ propensity; their mean is 1 if the logging policy could show all that the target shows."""
        return self.target / self.propensity


def _exposure_problems(rows: Exposures) -> Iterator[str]:
    """Reasons why no estimate is possible, one sentence each."""
    total = len(rows)
    if not total:
        yield "There are no exposures: let the API log some `Recommendations Viewed` events first."
    if missing := int(np.isnan(rows.propensity).sum()):
        yield (
            f"{missing} of {total} exposures have no propensity: leave out all days on which propensities are missing."
        )
    if zero := int((rows.propensity <= 0).sum()):
        yield f"{zero} of {total} exposures have a propensity of 0 or less, yet were shown: the policy logs wrong propensities."
    if above := int((rows.propensity > 1).sum()):
        yield f"{above} of {total} exposures have a propensity above 1: the policy logs wrong propensities."
    if wrong := int((~((rows.target >= 0) & (rows.target <= 1))).sum()):
        yield f"The target policy gives {wrong} of {total} exposures a probability that is missing or not between 0 and 1."
    if odd := int((~np.isfinite(rows.reward)).sum()):
        yield f"{odd} of {total} exposures have a reward that is not a finite number."


@dataclass(frozen=True)
class Estimate:
    """Reward per shown book under the target policy, with its 95 % interval from `low` to `high`.

    `gain`: the value minus the mean logged reward on the same rows, with its interval. `effective`: see `effective_size`. `coverage`:
    the mean weight, the share of the target policy's exposures that the logging policy could show. `clipped`: share of rows with a
    clipped weight. `warnings`: reasons to doubt the estimate, one sentence each.

    The intervals are analytic: linearisation of a ratio of sums over groups (Särndal, Swensson & Wretman 1992, chapter 5), with
    Student's t of groups - 1 degrees of freedom; infinite with one group. They are too narrow if few rows carry the weight, which
    `warnings` reports.
    """

    estimator: str
    value: float
    low: float
    high: float
    gain: float
    gain_low: float
    gain_high: float
    rows: int
    groups: int
    effective: float
    coverage: float
    clipped: float
    warnings: tuple[str, ...]


def ips(rows: Exposures, *, clip: float | None = None) -> Estimate:
    """Inverse propensity scoring: the mean of weight × reward (Horvitz & Thompson 1952); unbiased without `clip`.

    Books that the target policy shows and the logging policy never could count 0. `clip` limits the weights
    (Ionides 2008, "Truncated Importance Sampling"): less variance for a bias towards 0.
    """
    weight = clipped(rows.weight, clip)
    return _ratio_estimate("ips", rows, weight * rows.reward, np.ones(len(rows)), clip)


def snips(rows: Exposures, *, clip: float | None = None) -> Estimate:
    """Self-normalised: Σ weight × reward ÷ Σ weight (Swaminathan & Joachims 2015, "The Self-Normalized Estimator").

    The value is between the smallest and the largest reward, does not change if all propensities are wrong by the same factor, and has
    a small bias that vanishes with more rows. It only covers what could be shown, however small `coverage` is.
    Raises DataError if the target policy shows none of the shown books.
    """
    weight = clipped(rows.weight, clip)
    if not weight.any():
        raise DataError(
            "The target policy shows none of the books that were shown: it cannot be evaluated on these exposures."
        )
    return _ratio_estimate("snips", rows, weight * rows.reward, weight, clip)


def doubly_robust(rows: Exposures, *, shown: DoubleArray, expected: DoubleArray, clip: float | None = None) -> Estimate:
    """The mean of expected + weight × (reward - shown) (Dudík, Langford & Li 2011, "Doubly Robust Policy Evaluation and Learning").

    `shown`: predicted reward of the shown book, shape (n_rows,); `expected`: mean prediction over what the target policy would show at
    that position. Unbiased if the propensities are right, whatever the model says, and if the model is right,
    whatever the propensities are. The model must not have been trained on these rows.
    Raises DataError if a prediction is not finite.
    """
    if not (np.isfinite(shown).all() and np.isfinite(expected).all()):
        raise DataError("The reward model has predictions that are not finite numbers: train it again.")
    weight = clipped(rows.weight, clip)
    return _ratio_estimate("dr", rows, expected + weight * (rows.reward - shown), np.ones(len(rows)), clip)


def clipped(weight: DoubleArray, clip: float | None) -> DoubleArray:
    """Limit weights to `clip`; None for no limit."""
    return weight if clip is None else np.minimum(weight, clip)


def effective_size(weight: DoubleArray) -> float:
    """Effective sample size (Σ w)² ÷ Σ w² (Kish 1965): the number of equally weighted rows with the same precision."""
    squares = float(weight @ weight)
    return float(weight.sum()) ** 2 / squares if squares else 0.0


def with_exploration(in_place: BoolArray, *, share: DoubleArray | float, explored: DoubleArray | float) -> DoubleArray:
    """Return the probability of each book, shape (n_rows,), if positions are filled from a list or explored with probability `share`.

    `in_place`: whether the policy's list has the book at that position (`is_listed_at`). `explored`: probability that exploration
    draws the book: 1 ÷ pool for a uniform draw from a pool with the book, 0 for a book outside.
    """
    return np.asarray((1 - share) * in_place + np.asarray(share) * explored, dtype=np.float64)


def is_listed_at(lists: IntArray, request: IntArray, book: IntArray, position: IntArray) -> BoolArray:
    """Return whether `lists[request]` (n_requests, k) has each book at each position, from 1; False beyond the list."""
    inside = (position >= 1) & (position <= lists.shape[1])
    place = np.where(inside, position - 1, 0)
    return np.asarray((lists[request, place] == book) & inside)


def first_showings(shown: pa.Table) -> pa.Table:
    """Rows of `marts.fct_exposures` without those that repeat a draw at the same position: of these no propensity is right.

    The API keeps a draw until the reader does something that changes lists: how often it is repeated depends on how it was received.
    Give all rows that may hold a first showing, and leave out others afterwards. Rows without `draw_id` are all kept.
    """
    frame = shown.select(["draw_id", "position", "shown_at", "request_id", "visitor_id"]).to_pandas()
    ordered = frame.sort_values(["shown_at", "request_id", "visitor_id"], kind="stable")
    again = ordered.duplicated(["draw_id", "position"]) & ordered["draw_id"].notna()
    return shown.filter(pa.array(~again.sort_index().to_numpy()))


def exposures_of(shown: pa.Table, target: DoubleArray) -> Exposures:
    """Build exposures from rows of `marts.fct_exposures` and target probabilities (n_rows,); reward: click, group: visitor."""
    visitors = shown["visitor_id"].combine_chunks().dictionary_encode()
    return Exposures(
        reward=shown["is_clicked"].to_numpy().astype(np.float64),
        propensity=shown["propensity"].to_numpy().astype(np.float64),
        target=np.asarray(target, dtype=np.float64),
        group=visitors.indices.to_numpy().astype(np.int32),
    )


def as_table(*estimates: Estimate) -> pd.DataFrame:
    """Return the estimates as a table, one row per estimator."""
    return pd.DataFrame([{**vars(each), "warnings": " ".join(each.warnings)} for each in estimates])


def _ratio_estimate(name: str, rows: Exposures, over: DoubleArray, under: DoubleArray, clip: float | None) -> Estimate:
    """Estimate Σ over ÷ Σ under and its interval; a row's influence is (over - value · under) ÷ Σ under."""
    value, logged = float(over.sum() / under.sum()), float(rows.reward.mean())
    influence = (over - value * under) / under.sum()
    of_logged = (rows.reward - logged) / len(rows)
    weight = clipped(rows.weight, clip)
    half, half_gain = (_half_width(_by_group(each, rows.group)) for each in (influence, influence - of_logged))
    return Estimate(
        estimator=name,
        value=value,
        low=value - half,
        high=value + half,
        gain=value - logged,
        gain_low=value - logged - half_gain,
        gain_high=value - logged + half_gain,
        rows=len(rows),
        groups=len(np.unique(rows.group)),
        effective=effective_size(weight),
        coverage=float(rows.weight.mean()),
        clipped=float((weight < rows.weight).mean()),
        warnings=tuple(_estimate_warnings(rows, weight)),
    )


def _by_group(values: DoubleArray, group: IntArray) -> DoubleArray:
    _, code = np.unique(group, return_inverse=True)
    return np.asarray(np.bincount(code, weights=values), dtype=np.float64)


def _half_width(influence: DoubleArray) -> float:
    """Half width of the interval of a sum of independent groups' influences, which sum to 0."""
    groups = len(influence)
    if groups < 2:
        return float(np.inf)
    error = np.sqrt(groups / (groups - 1) * (influence @ influence))
    return float(stdtrit(groups - 1, (1 + CONFIDENCE) / 2) * error)


def _estimate_warnings(rows: Exposures, weight: DoubleArray) -> Iterator[str]:
    effective = effective_size(weight)
    if effective < MIN_EFFECTIVE_SHARE * len(rows):
        yield f"The {len(rows)} exposures have an effective sample size of {effective:.0f}: the policies differ too much."
    most = _by_group(weight, rows.group).max() / weight.sum() if weight.any() else 0.0
    if most > MAX_GROUP_SHARE:
        yield f"One reader's exposures carry {most:.0%} of all weight: explore more, log longer, or clip."
    if cut := float((weight < rows.weight).mean()):
        yield f"The weights of {cut:.1%} of the exposures were clipped, which biases the estimate towards 0."
    yield from _coverage_warnings(rows)


def _coverage_warnings(rows: Exposures) -> Iterator[str]:
    """The mean weight must be 1 except for noise (Bottou et al. 2013, "Counterfactual Reasoning and Learning Systems")."""
    coverage = float(rows.weight.mean())
    half = _half_width(_by_group((rows.weight - coverage) / len(rows), rows.group))
    if coverage + half < 1:
        yield f"Only {coverage:.0%} of what the target policy would show could have been shown: the rest is not evaluated."
    if coverage - half > 1:
        yield f"The weights are {coverage:.2f} on average, but 1 is the maximum: propensities are wrong, or rows are missing."
