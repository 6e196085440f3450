"""Who sees which variant: a deterministic, salted, sticky assignment of visitors to variants.

Belongs here: experiments as far as routing needs them, and the assignment. Does not: the buckets themselves (buckets.py), what may be
in a file of experiments (definitions.py), read-outs and decisions.

First comes the holdout, whose readers are in no experiment. Then the bucket of a visitor, by the salt of the experiment or of its
layer, says the variant: experiments of one layer own different buckets of the same salt, so a visitor is in one of them at most.
"""

import datetime as dt
from collections.abc import Callable, Iterable
from functools import cached_property
from typing import Annotated, Literal

from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass

from recsys_platform.experiments.audience import UNKNOWN, Audience, Reader
from recsys_platform.experiments.buckets import Range, bucket, parse_ranges, ranges_of, sizes_of
from recsys_platform.experiments.plans import Plan

_STRICT = ConfigDict(extra="forbid")
HOLDOUT = "holdout"
"""Name of the experiment and of the variant in exposures to readers of the holdout; no experiment may have it."""
MOST_HELD_OUT = 50
"""Percent of the visitors that a holdout may have."""
Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$", max_length=63)]
Weight = Annotated[float, Field(gt=0, le=100)]
Model = Annotated[str, Field(min_length=1)]
Status = Literal["draft", "running", "stopped"]


@dataclass(frozen=True, config=_STRICT)
class Variant:
    """What one group of visitors sees. `model`: an alias or a version of the registry. `weight`: percent of all visitors.

    `buckets`: those that it owns, such as `0-999 5000-5499`; by default they follow from the weights.
    """

    name: Name
    model: Model
    weight: Weight
    buckets: Annotated[str, Field(pattern=r"^(\d{1,4}-\d{1,4}( \d{1,4}-\d{1,4})*)?$")] = ""


@dataclass(frozen=True, config=_STRICT)
class Experiment:
    """Variants that share the visitors of some surfaces (all if empty); the rest of the visitors is outside.

    `salt`: the name by default. Another salt deals all visitors anew. `layer`: experiments of one layer share its salt and no visitor.
    `audience`: who may take part. `plan`: how it is judged; without it no one can read it. Only a `running` experiment has visitors.
    `started_at`, `stopped_at`: when a command did it. `definition`: the hash of what must not change after the start.
    """

    name: Name
    variants: Annotated[tuple[Variant, ...], Field(min_length=1)]
    salt: str = ""
    layer: Name | Literal[""] = ""
    surfaces: tuple[str, ...] = ()
    audience: Audience | None = None
    hypothesis: str = ""
    plan: Plan | None = None
    status: Status = "running"
    started_at: dt.datetime | None = None
    stopped_at: dt.datetime | None = None
    definition: str = ""

    def variant_of(self, unit: str) -> Variant | None:
        """The variant of a visitor; None for a visitor outside the experiment."""
        at = bucket(self.bucket_salt, unit)
        for owner, start, end in self.ranges:
            if start <= at < end:
                return self.variants[owner]
        return None

    @property
    def is_running(self) -> bool:
        """Whether visitors are dealt to its variants."""
        return self.status == "running"

    @cached_property
    def bucket_salt(self) -> str:
        """The salt of its buckets, which experiments of one layer have in common."""
        return f"layer:{self.layer}" if self.layer else self.salt or self.name

    @cached_property
    def ranges(self) -> tuple[Range, ...]:
        """The buckets of the variants; a variant may have several ranges."""
        if self.has_buckets:
            return tuple(
                Range(index, *each) for index, found in enumerate(self.variants) for each in parse_ranges(found.buckets)
            )
        return tuple(ranges_of(sizes_of(variant.weight for variant in self.variants)))

    @property
    def has_buckets(self) -> bool:
        """Whether the file says which buckets the variants own."""
        return any(variant.buckets for variant in self.variants)


@dataclass(frozen=True, config=_STRICT)
class Holdout:
    """The readers who are in no experiment. `percent`: of all visitors. `model`: what they see; a version keeps them on an old one."""

    percent: Annotated[float, Field(gt=0, le=MOST_HELD_OUT)]
    salt: str = HOLDOUT
    model: Model = "production"

    def has(self, unit: str) -> bool:
        """Whether a visitor is in the holdout."""
        return bucket(self.salt, unit) < self.end

    @cached_property
    def end(self) -> int:
        """The first bucket that is not held out."""
        return sizes_of([self.percent])[0]

    @property
    def as_experiment(self) -> Experiment:
        """The same as an experiment of one variant, for the audit."""
        return Experiment(HOLDOUT, (Variant(HOLDOUT, self.model, self.percent),), salt=self.salt)


@dataclass(frozen=True)
class Assignment:
    """The variant of a visitor in an experiment."""

    experiment: str
    variant: Variant


class Experiments(tuple[Experiment, ...]):
    """The experiments of a file, drafts and stopped ones too, and the readers who are held out of all of them."""

    holdout: Holdout | None = None

    @classmethod
    def of(cls, experiments: Iterable[Experiment], holdout: Holdout | None = None) -> "Experiments":
        """The experiments with a holdout."""
        made = cls(experiments)
        made.holdout = holdout
        return made

    @cached_property
    def running(self) -> "tuple[Experiment, ...]":
        """Those that have visitors."""
        return tuple(each for each in self if each.is_running)

    @property
    def models(self) -> tuple[str, ...]:
        """The aliases and versions that visitors may see."""
        named = [variant.model for each in self.running for variant in each.variants]
        return (*named, self.holdout.model) if self.holdout else tuple(named)

    @property
    def planned_models(self) -> tuple[str, ...]:
        """The aliases and versions of experiments that have not started yet."""
        return tuple(variant.model for each in self if each.status == "draft" for variant in each.variants)

    def assign(self, unit: str, surface: str, reader: Callable[[], Reader] = lambda: UNKNOWN) -> Assignment | None:
        """The assignment of a visitor on a surface; None outside all experiments.

        `reader`: what is known of the visitor; it is asked only if an experiment that the visitor would be in has an audience.
        """
        if self.holdout and self.holdout.has(unit):
            return Assignment(HOLDOUT, Variant(HOLDOUT, self.holdout.model, self.holdout.percent))
        for experiment in self.running:
            if not experiment.surfaces or surface in experiment.surfaces:
                variant = experiment.variant_of(unit)
                if variant and (experiment.audience is None or experiment.audience.has(reader())):
                    return Assignment(experiment.name, variant)
        return None
