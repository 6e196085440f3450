"""Group-sequential tests: look as often as you like, at 95 % of the power of one look.

Belongs here: error spending (Lan & DeMets 1983), the bounds that spend it, repeated intervals and p-values, power. Does not:
estimators, open-ended looks (always_valid.py).

At look k the statistic z is compared with a bound c. The statistics of all looks are jointly normal, with correlation
√(information of the earlier ÷ of the later look); the bounds follow by integrating over the looks, one after another (Armitage,
McPherson & Rowe 1969; Jennison & Turnbull 2000, "Group Sequential Methods", chapter 19). Information is 1 ÷ squared standard error of
the lift. How much error is spent by a look follows from the share of the planned sample (or time), and may do so whatever the
information is (Lan & DeMets 1989).
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy.optimize import brentq
from scipy.special import log_ndtr, ndtr, ndtri

from recsys_platform.recommender.arrays import DoubleArray

LEAST_SPENT = 1e-12
"""A look that may spend less error than this is none: its bound is infinite."""
LEAST_GROWTH = 1.005
"""A look has at least this many times the information of the look before: what is assumed beyond the truth makes bounds wider."""
_NODES, _TAIL = 2.0, 8.0
"""Nodes for each standard deviation that this look or the next one adds, and how many of the whole are integrated: published bounds
are met to seven digits."""
_LEAST_LOG_P = -25.0
"""The logarithm of the smallest p-value that is told."""


@dataclass(frozen=True)
class _Density:
    """The density of the score z · √information among the experiments that have not stopped: values at nodes, with weights."""

    information: float
    nodes: DoubleArray
    mass: DoubleArray


@dataclass(frozen=True)
class _Look:
    """A look, its bound, and the information of the next one."""

    information: float
    next_information: float
    bound: float
    sides: int


def spent_error(share: DoubleArray, alpha: float) -> DoubleArray:
    """Return the two-sided error spent when `share` of the plan is reached, alike to O'Brien & Fleming's bounds.

    Per side 2 - 2 Φ(z ÷ √share) with z the 1 - alpha ÷ 4 quantile: next to nothing early, all of it from `share` 1 on.
    """
    reached = np.clip(np.asarray(share, dtype=np.float64), 1e-9, 1.0)
    return np.asarray(4 * ndtr(ndtri(alpha / 4) / np.sqrt(reached)), dtype=np.float64)


def bounds(information: DoubleArray, spent: DoubleArray, *, sides: int = 2) -> DoubleArray:
    """Return the bound of z at each look, such that the chance to cross one by look k is `spent[k]` if there is no effect.

    `information`: shape (looks,), above 0, in any unit. `spent`: shape (looks,), never falling. One side: only z above the bound
    counts. A look that may spend nothing has an infinite bound.
    """
    found = np.full(len(spent), np.inf)
    density, before = None, 0.0
    for look, now, later in _with_next(information, _spending_looks(spent)):
        bound = _falling_root(_crossing(density, now, 0.0, sides), spent[look] - before)
        density = _moved(density, _Look(now, later, bound, sides), 0.0)
        found[look], before = bound, spent[look]
    return found


def daily_bounds(share: DoubleArray, information: DoubleArray, alpha: float) -> DoubleArray:
    """Return the bound of |z| at each look, given the share of the plan reached at it.

    From the first look at a share of 1 on, later looks spend nothing: the experiment is decided there.
    """
    return bounds(information, spent_error(share, alpha))


def repeated_p_value(statistics: DoubleArray, share: DoubleArray, information: DoubleArray) -> float:
    """Return the smallest alpha at which a bound has been crossed by now (sequential p-value; Liu & Anderson 2008).

    `statistics`: z at each look so far, shape (looks,). Valid at every look; 1 before any error is spent.
    """
    sizes = np.abs(np.asarray(statistics, dtype=np.float64))
    if not (sizes >= daily_bounds(share, information, 1.0)).any():
        return 1.0

    def excess(log_alpha: float) -> float:
        return max(-50.0, float(np.max(sizes - daily_bounds(share, information, float(np.exp(log_alpha))))))

    # It is never smaller than the p-value of the same z at a single look.
    least = max(_LEAST_LOG_P, float(log_ndtr(-sizes.max())))
    return float(np.exp(least if excess(least) >= 0 else brentq(excess, least, 0.0, xtol=1e-4)))


def crossing_probabilities(
    information: DoubleArray, limits: DoubleArray, effect: float, *, sides: int = 2
) -> DoubleArray:
    """Return the chance to have crossed a bound by each look, where the mean of z is effect · √information."""
    chances, density = np.zeros(len(limits)), None
    looks = [look for look, limit in enumerate(limits) if np.isfinite(limit)]
    for look, now, later in _with_next(information, looks):
        limit = float(limits[look])
        chances[look] = _crossing(density, now, effect, sides)(limit)
        density = _moved(density, _Look(now, later, limit, sides), effect)
    return np.cumsum(chances)


@lru_cache(maxsize=64)
def drift_of(alpha: float, power: float, looks: int) -> float:
    """Return the mean of z that the last of equally spaced looks must have for this power."""
    limits = _planned_bounds(alpha, looks)
    return _falling_root(lambda drift: -_power_at(limits, drift), -power, low=0.0)


def power_of_drift(drift: float, alpha: float, looks: int) -> float:
    """Return the power of equally spaced looks if the mean of z at the last one is `drift`."""
    return _power_at(_planned_bounds(alpha, looks), abs(drift))


@lru_cache(maxsize=64)
def _planned_bounds(alpha: float, looks: int) -> tuple[float, ...]:
    share = np.arange(1, looks + 1) / looks
    return tuple(daily_bounds(share, share, alpha))


def _power_at(limits: tuple[float, ...], drift: float) -> float:
    share = np.arange(1, len(limits) + 1) / len(limits)
    return float(crossing_probabilities(share, np.array(limits), drift)[-1])


def _spending_looks(spent: DoubleArray) -> Iterator[int]:
    """The looks that may spend something."""
    before = 0.0
    for look, total in enumerate(spent):
        if total - before >= LEAST_SPENT:
            yield look
            before = total


def _with_next(information: DoubleArray, looks: Iterable[int]) -> Iterator[tuple[int, float, float]]:
    """Looks with their information and that of the next one; each has at least `LEAST_GROWTH` times that of the look before."""
    before: tuple[int, float] | None = None
    for look in looks:
        now = max(float(information[look]), before[1] * LEAST_GROWTH if before else 0.0)
        if before:
            yield (*before, now)
        before = look, now
    if before:
        yield (*before, 2 * before[1])


def _crossing(density: _Density | None, now: float, effect: float, sides: int) -> Callable[[float], float]:
    """The chance to cross z = ± the argument at this look, and none before."""
    root, step, start = np.sqrt(now), now, np.zeros(1)
    mass = np.ones(1)
    if density is not None:
        step, start, mass = now - density.information, density.nodes, density.mass
    mean, spread = start + effect * step, np.sqrt(step)

    def chance(z: float) -> float:
        above = ndtr((mean - z * root) / spread)
        below = ndtr((-z * root - mean) / spread) if sides == 2 else 0.0
        return float(mass @ (above + below))

    return chance


def _moved(density: _Density | None, look: _Look, effect: float) -> _Density:
    """The density after a look that did not stop the experiment."""
    now = look.information
    start, mass, step = (np.zeros(1), np.ones(1), now)
    if density is not None:
        start, mass, step = density.nodes, density.mass, now - density.information
    middle = effect * np.sqrt(now)
    high = min(look.bound, middle + _TAIL)
    low = max(-look.bound if look.sides == 2 else -np.inf, middle - _TAIL)
    narrowest = np.sqrt(min(step, look.next_information - now) / now)
    at, weight = _legendre(int(np.clip(np.ceil((high - low) * _NODES / narrowest), 24, 900)))
    nodes = ((high - low) * at + high + low) / 2 * np.sqrt(now)
    scaled = (nodes[:, None] - start - effect * step) / np.sqrt(step)
    values = np.exp(-(scaled**2) / 2) @ mass / np.sqrt(2 * np.pi * step)
    return _Density(now, nodes, values * weight * (high - low) / 2 * np.sqrt(now))


@lru_cache(maxsize=256)
def _legendre(count: int) -> tuple[DoubleArray, DoubleArray]:
    at, weight = np.polynomial.legendre.leggauss(count)
    return at, weight


def _falling_root(function: Callable[[float], float], target: float, *, low: float = -1.0, high: float = 12.0) -> float:
    """Where a falling function reaches the target; the nearer end where it does not."""
    if function(high) >= target:
        return high
    if function(low) <= target:
        return low
    return float(brentq(lambda at: function(at) - target, low, high, xtol=1e-10))
