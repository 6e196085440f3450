"""What readers would have clicked, had another policy chosen the books: estimated from what was shown and how likely that was.

Belongs here: estimators over logged exposures, their intervals, what makes them doubtful. Does not: where propensities come from
(the ranking that drew the book logs its own), tests in production, which alone prove a difference.

A row is one book shown at one place of one answer. The estimators weigh it by how much likelier the target policy is to show that book
there, and so assume that a reader's click depends on the book and its place, not on the other books of the answer (the item-position
model of Li et al. 2018, "Offline Evaluation of Ranking Policies with Click Models").
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
FEW = 0.1
"""A smaller share of the rows as effective size, and the estimate rests on few of them."""
HEAVY = 0.1
"""A larger share of all weights in one reader's rows, and the estimate hangs on that reader."""


@dataclass(frozen=True)
class Exposures:
    """What was shown, a row a book and place; all arrays of shape (n_rows,), n_rows > 0.

    `reward`: what came of it, such as 1 for a click; finite. `propensity`: how likely the policy that was live was to show this
    book here, above 0 and at most 1. `target`: how likely the policy to judge is, 0 to 1. `group`: whose rows they are; rows of one
    group may depend on each other, those of different groups do not.
    Raises DataError naming what is missing or impossible, ValueError if lengths differ.
    """

    reward: DoubleArray
    propensity: DoubleArray
    target: DoubleArray
    group: IntArray

    def __post_init__(self) -> None:
        if len({len(getattr(self, field.name)) for field in fields(self)}) > 1:
            raise ValueError("reward, propensity, target and group have different lengths")
        for problem in _problems(self):
            raise DataError(problem)

    def __len__(self) -> int:
        return len(self.reward)

    @cached_property
    def weight(self) -> DoubleArray:
        """target ÷ propensity: 1 on average where all that the target may show could have been shown."""
        return self.target / self.propensity


def _problems(rows: Exposures) -> Iterator[str]:
    """What forbids an estimate, one sentence each."""
    total = len(rows)
    if not total:
        yield "There are no exposures to learn from: let the API log some `Recommendations Viewed` first."
    if missing := int(np.isnan(rows.propensity).sum()):
        yield (
            f"{missing} of {total} exposures have no propensity: leave out what was shown before propensities were logged, "
            "whole days at a time."
        )
    if zero := int((rows.propensity <= 0).sum()):
        yield f"{zero} of {total} exposures have a propensity of 0 or less, yet were shown: the policy logs wrong propensities."
    if above := int((rows.propensity > 1).sum()):
        yield f"{above} of {total} exposures have a propensity above 1: the policy logs wrong propensities."
    if wrong := int((~((rows.target >= 0) & (rows.target <= 1))).sum()):
        yield f"The target policy gives {wrong} of {total} exposures a probability that is missing or not between 0 and 1."
    if odd := int((~np.isfinite(rows.reward)).sum()):
        yield f"{odd} of {total} exposures have a reward that is no finite number."


@dataclass(frozen=True)
class Estimate:
    """The reward a shown book under the target policy, with its 95 % interval from `low` to `high`.

    `gain`: the value less the mean reward that was logged, with its interval, on the same rows. `effective`: see `effective_size`.
    `coverage`: the mean weight, the share of what the target policy would show that could have been seen at all. `clipped`: share
    of the rows whose weight was cut. `warnings`: why to doubt it, one sentence each.

    The intervals are analytic: linearisation of a ratio of sums over groups (Särndal, Swensson & Wretman 1992, chapter 5), with
    Student's t of groups - 1 degrees of freedom; infinite with one group. Like any such interval they are too narrow where few rows
    carry the weight, of which `warnings` tells.
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

    Unbiased also means: what the target policy shows and the logged one never could, counts 0. `clip` cuts weights to at most so much
    (Ionides 2008, "Truncated Importance Sampling"): less variance for a bias towards 0.
    """
    weight = clipped(rows.weight, clip)
    return _estimate("ips", rows, weight * rows.reward, np.ones(len(rows)), clip)


def snips(rows: Exposures, *, clip: float | None = None) -> Estimate:
    """Self-normalised: Σ weight × reward ÷ Σ weight (Swaminathan & Joachims 2015, "The Self-Normalized Estimator").

    It stays between the least and the largest reward, does not change if all propensities are wrong by the same factor, and has a
    small bias that vanishes with more rows. It speaks of what could have been seen only, however small `coverage` is.
    Raises DataError if the target policy shows nothing of what was shown.
    """
    weight = clipped(rows.weight, clip)
    if not weight.any():
        raise DataError(
            "The target policy would show none of the books that were shown: it cannot be judged by these exposures."
        )
    return _estimate("snips", rows, weight * rows.reward, weight, clip)


def doubly_robust(rows: Exposures, *, shown: DoubleArray, expected: DoubleArray, clip: float | None = None) -> Estimate:
    """The mean of expected + weight × (reward - shown) (Dudík, Langford & Li 2011, "Doubly Robust Policy Evaluation and Learning").

    `shown`: the reward that a model predicts for the book shown, shape (n_rows,); `expected`: its mean prediction over what the target
    policy would show in that place. Unbiased if the propensities are right, whatever the model says, and if the model is right,
    whatever the propensities are. The model must not have been trained on these rows.
    Raises DataError if a prediction is no finite number.
    """
    if not (np.isfinite(shown).all() and np.isfinite(expected).all()):
        raise DataError(
            "The reward model gives predictions that are no finite numbers: train it again before it judges a policy."
        )
    weight = clipped(rows.weight, clip)
    return _estimate("dr", rows, expected + weight * (rows.reward - shown), np.ones(len(rows)), clip)


def clipped(weight: DoubleArray, clip: float | None) -> DoubleArray:
    """Weights of at most `clip`; all as they are with None."""
    return weight if clip is None else np.minimum(weight, clip)


def effective_size(weight: DoubleArray) -> float:
    """(Σ w)² ÷ Σ w² (Kish 1965): so many rows of equal weight would tell as much; 0 if all weights are."""
    squares = float(weight @ weight)
    return float(weight.sum()) ** 2 / squares if squares else 0.0


def with_exploration(in_place: BoolArray, *, share: DoubleArray | float, explored: DoubleArray | float) -> DoubleArray:
    """How likely each book is shown, shape (n_rows,), if a place is filled from a list or, with probability `share`, by exploring.

    `in_place`: whether the policy's list has that book in that place (`stands_in`). `explored`: how likely its exploration draws the
    book for the place: 1 ÷ pool for a uniform draw from a pool with the book in it, 0 for a book outside.
    """
    return np.asarray((1 - share) * in_place + np.asarray(share) * explored, dtype=np.float64)


def stands_in(lists: IntArray, request: IntArray, book: IntArray, position: IntArray) -> BoolArray:
    """Whether `lists[request]` (n_requests, k), best first, has each book in each place, counted from 1; False beyond the list."""
    inside = (position >= 1) & (position <= lists.shape[1])
    place = np.where(inside, position - 1, 0)
    return np.asarray((lists[request, place] == book) & inside)


def exposures_of(shown: pa.Table, target: DoubleArray) -> Exposures:
    """Rows of `marts.fct_exposures` with the target's probabilities, shape (n_rows,): the reward is a click, a group is a visitor."""
    visitors = shown["visitor_id"].combine_chunks().dictionary_encode()
    return Exposures(
        reward=shown["is_clicked"].to_numpy().astype(np.float64),
        propensity=shown["propensity"].to_numpy().astype(np.float64),
        target=np.asarray(target, dtype=np.float64),
        group=visitors.indices.to_numpy().astype(np.int32),
    )


def as_table(*estimates: Estimate) -> pd.DataFrame:
    """One row an estimator, for people."""
    return pd.DataFrame([{**vars(each), "warnings": " ".join(each.warnings)} for each in estimates])


def _estimate(name: str, rows: Exposures, over: DoubleArray, under: DoubleArray, clip: float | None) -> Estimate:
    """Σ over ÷ Σ under, and how sure that is: an error in a row changes it by (over - value · under) ÷ Σ under."""
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
        warnings=tuple(_doubts(rows, weight)),
    )


def _by_group(values: DoubleArray, group: IntArray) -> DoubleArray:
    _, code = np.unique(group, return_inverse=True)
    return np.asarray(np.bincount(code, weights=values), dtype=np.float64)


def _half_width(influence: DoubleArray) -> float:
    """Half of the interval of a sum of independent groups' influences, which add up to 0."""
    groups = len(influence)
    if groups < 2:
        return float(np.inf)
    error = np.sqrt(groups / (groups - 1) * (influence @ influence))
    return float(stdtrit(groups - 1, (1 + CONFIDENCE) / 2) * error)


def _doubts(rows: Exposures, weight: DoubleArray) -> Iterator[str]:
    effective = effective_size(weight)
    if effective < FEW * len(rows):
        yield f"The {len(rows)} exposures tell no more than {effective:.0f} of equal weight would: the policies differ too much."
    most = _by_group(weight, rows.group).max() / weight.sum() if weight.any() else 0.0
    if most > HEAVY:
        yield f"One reader's exposures carry {most:.0%} of all weight: explore more, log longer, or clip."
    if cut := float((weight < rows.weight).mean()):
        yield f"The weights of {cut:.1%} of the exposures were cut, which moves the estimate towards 0."
    yield from _doubts_about_coverage(rows)


def _doubts_about_coverage(rows: Exposures) -> Iterator[str]:
    """The mean weight must be 1, but for chance (Bottou et al. 2013, "Counterfactual Reasoning and Learning Systems")."""
    coverage = float(rows.weight.mean())
    half = _half_width(_by_group((rows.weight - coverage) / len(rows), rows.group))
    if coverage + half < 1:
        yield f"Only {coverage:.0%} of what the target policy would show could have been shown: the rest is not judged."
    if coverage - half > 1:
        yield f"The weights are {coverage:.2f} on average where 1 is possible at most: propensities are wrong, or rows are missing."
