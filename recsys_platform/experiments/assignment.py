"""Who sees which variant: a deterministic, salted, sticky assignment of visitors to variants.

Belongs here: experiments as far as routing needs them, and the assignment. Does not: read-outs and decisions.

The bucket of a unit is `int(md5("{salt}:{unit}")[:8], 16) % 10000`: arithmetic on hex digits, which SQL of every engine can do.
A variant owns the beginning of its own part of the buckets, of n equal parts for n variants, and what does not fit there the ends of
the other parts. So a variant that grows takes visitors from outside the experiment, and moves few from one variant to another.
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from itertools import pairwise
from typing import Annotated, Any

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass

from recsys_platform.common.errors import RecsysError
from recsys_platform.experiments.plans import Plan

_STRICT = ConfigDict(extra="forbid")
BUCKETS = 10_000
Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$", max_length=63)]
Weight = Annotated[float, Field(gt=0, le=100)]


class ExperimentsError(RecsysError):
    """The file of experiments cannot be read or contradicts itself."""


@dataclass(frozen=True, config=_STRICT)
class Variant:
    """What one group of visitors sees. `model`: an alias or a version of the registry. `weight`: percent of all visitors."""

    name: Name
    model: Annotated[str, Field(min_length=1)]
    weight: Weight


@dataclass(frozen=True, config=_STRICT)
class Experiment:
    """Variants that share the visitors of some surfaces (all if empty); the rest of the visitors is outside.

    `salt`: the name by default. Another salt deals all visitors anew. `plan`: how it is judged; without it no one can read it.
    """

    name: Name
    variants: Annotated[tuple[Variant, ...], Field(min_length=1)]
    salt: str = ""
    surfaces: tuple[str, ...] = ()
    hypothesis: str = ""
    plan: Plan | None = None

    def variant_of(self, unit: str) -> Variant | None:
        """The variant of a visitor; None for a visitor outside the experiment."""
        at = bucket(self.salt or self.name, unit)
        owner = next((index for index, start, end in self.ranges if start <= at < end), None)
        return None if owner is None else self.variants[owner]

    @cached_property
    def ranges(self) -> tuple[tuple[int, int, int], ...]:
        """The buckets of the variants: index of the variant, first bucket, end; a variant may have several ranges."""
        return tuple(_ranges_of([round(variant.weight * BUCKETS / 100) for variant in self.variants]))


@dataclass(frozen=True)
class Assignment:
    """The variant of a visitor in an experiment."""

    experiment: str
    variant: Variant


def _ranges_of(sizes: Sequence[int]) -> Iterator[tuple[int, int, int]]:
    starts = [BUCKETS * index // len(sizes) for index in range(len(sizes) + 1)]
    own = [min(size, end - start) for size, (start, end) in zip(sizes, pairwise(starts), strict=True)]
    yield from ((index, starts[index], starts[index] + size) for index, size in enumerate(own) if size)
    free = [(starts[index] + size, starts[index + 1]) for index, size in enumerate(own)]
    for index, size in enumerate(sizes):
        left = size - own[index]
        for place, (start, end) in enumerate(free):
            taken = min(left, end - start)
            if taken:
                yield index, end - taken, end
                free[place], left = (start, end - taken), left - taken


def bucket(salt: str, unit: str) -> int:
    """Return the bucket of a unit, 0 to 9999, uniform and independent for each salt."""
    digest = hashlib.md5(f"{salt}:{unit}".encode(), usedforsecurity=False).hexdigest()
    return int(digest[:8], 16) % BUCKETS


def assign(experiments: Sequence[Experiment], unit: str, surface: str) -> Assignment | None:
    """The assignment of a visitor on a surface; None outside all experiments. One surface has at most one experiment."""
    for experiment in experiments:
        if not experiment.surfaces or surface in experiment.surfaces:
            variant = experiment.variant_of(unit)
            return Assignment(experiment.name, variant) if variant else None
    return None


def parse_experiments(content: Any, *, where: str = "The experiments") -> tuple[Experiment, ...]:
    """Validate the content of a file of experiments: a mapping from names to experiments."""
    if not isinstance(content, Mapping):
        raise ExperimentsError(f"{where} must be a mapping from names to experiments.")
    found = tuple(_parse_experiment(name, each, where) for name, each in content.items())
    for experiment in found:
        total = sum(variant.weight for variant in experiment.variants)
        if total > 100 + 1e-9:
            raise ExperimentsError(
                f"{where}: the weights of {experiment.name} add up to {total:g} %: at most 100 is possible."
            )
        names = [variant.name for variant in experiment.variants]
        if len(names) != len(set(names)):
            raise ExperimentsError(f"{where}: two variants of {experiment.name} share a name.")
        mistake = experiment.plan and experiment.plan.mistake(names)
        if mistake:
            raise ExperimentsError(f"{where}: the plan of {experiment.name}: {mistake}.")
    _refuse_shared_surfaces(found, where)
    return found


def _parse_experiment(name: Any, content: Any, where: str) -> Experiment:
    if not isinstance(content, Mapping) or not isinstance(content.get("variants"), Mapping):
        raise ExperimentsError(f"{where}: {name} needs `variants`, a mapping from names to model and weight.")
    variants = [
        {**(each if isinstance(each, Mapping) else {}), "name": variant}
        for variant, each in content["variants"].items()
    ]
    try:
        return TypeAdapter(Experiment).validate_python({**content, "name": name, "variants": variants})
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise ExperimentsError(f"{where}: {name}, {place}: {first['msg'][0].lower()}{first['msg'][1:]}.") from error


def _refuse_shared_surfaces(experiments: Sequence[Experiment], where: str) -> None:
    seen: dict[str, str] = {}
    for experiment in experiments:
        for surface in experiment.surfaces or ("",):
            other = seen.get(surface) or seen.get("") or (next(iter(seen.values()), None) if surface == "" else None)
            if other:
                what = f"the surface {surface}" if surface else "all surfaces"
                raise ExperimentsError(
                    f"{where}: {other} and {experiment.name} share {what}: give each its own `surfaces`."
                )
            seen[surface] = experiment.name
