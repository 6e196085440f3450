"""The file of experiments: validated, with the buckets of layers dealt.

Belongs here: what may be in `experiments.yaml`, what contradicts itself, the hash of a definition. Does not: the assignment
(assignment.py), changing the file (lifecycle.py).
"""

import hashlib
import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import combinations
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from recsys_platform.common.errors import InputError, RecsysError
from recsys_platform.common.validation import first_problem
from recsys_platform.experiments.assignment import HOLDOUT, Experiment, Experiments, Holdout
from recsys_platform.experiments.buckets import (
    Range,
    moved_ranges,
    overlap,
    parse_ranges,
    sizes_of,
    text_of,
)

Parsed = TypeVar("Parsed")
_EXPERIMENT, _HOLDOUT = TypeAdapter(Experiment), TypeAdapter(Holdout)
_CHANGING = ("definition", "status", "started_at", "stopped_at")
"""What commands write, and so no part of what must not change."""


class ExperimentsError(RecsysError):
    """The file of experiments cannot be read or contradicts itself."""


def parse_experiments(content: Any, *, where: str = "The experiments") -> Experiments:
    """Validate the content of a file of experiments: a mapping from names to experiments, and `holdout`."""
    if not isinstance(content, Mapping):
        raise ExperimentsError(f"{where} must be a mapping from names to experiments.")
    holdout = _parse_holdout(content.get(HOLDOUT), where)
    found = [_parse_experiment(name, each, where) for name, each in content.items() if name != HOLDOUT]
    for mistake in (*(each for one in found for each in _mistakes(one)), *_conflicts(found)):
        raise ExperimentsError(f"{where}: {mistake}.")
    return Experiments.of(with_layers_dealt(found), holdout)


def experiment_named(experiments: Iterable[Experiment], name: str, where: str = "experiments.yaml") -> Experiment:
    """The experiment of a name. Raises InputError with the names that there are."""
    known = {each.name: each for each in experiments}
    if name not in known:
        names = f"name one of {', '.join(known)}" if known else f"{where} has none"
        raise InputError(f"There is no experiment {name}: {names}.")
    return known[name]


def _parse_holdout(content: Any, where: str) -> Holdout | None:
    if content is None:
        return None
    if not isinstance(content, Mapping) or "variants" in content:
        raise ExperimentsError(
            f"{where}: holdout is the share of readers who are in no experiment: write `holdout: {{percent: 5}}`."
        )
    return _validated(_HOLDOUT, content, f"{where}: {HOLDOUT}")


def _parse_experiment(name: Any, content: Any, where: str) -> Experiment:
    if not isinstance(content, Mapping) or not isinstance(content.get("variants"), Mapping):
        raise ExperimentsError(f"{where}: {name} needs `variants`, a mapping from names to model and weight.")
    variants = [
        {**(each if isinstance(each, Mapping) else {}), "name": variant}
        for variant, each in content["variants"].items()
    ]
    return _validated(_EXPERIMENT, {**content, "name": name, "variants": variants}, f"{where}: {name}")


def _validated(kind: TypeAdapter[Parsed], content: Any, where: str) -> Parsed:
    try:
        return kind.validate_python(content)
    except ValidationError as error:
        raise ExperimentsError(f"{where}, {first_problem(error)}.") from error


def _mistakes(experiment: Experiment) -> Iterator[str]:
    """What contradicts itself in one experiment, as sentences without a full stop."""
    name, variants = experiment.name, experiment.variants
    total = sum(variant.weight for variant in variants)
    if total > 100 + 1e-9:
        yield f"the weights of {name} add up to {total:g} %: at most 100 is possible"
    names = [variant.name for variant in variants]
    if len(names) != len(set(names)):
        yield f"two variants of {name} share a name"
    if experiment.plan and (mistake := experiment.plan.mistake(names)):
        yield f"the plan of {name}: {mistake}"
    if experiment.layer and experiment.salt:
        yield f"{name} has a `salt` and a `layer`, whose experiments share a salt: remove one of them"
    yield from _bucket_mistakes(experiment)
    if experiment.definition and experiment.definition != definition_of(experiment):
        yield (
            f"{name} was changed after it had started (its definition was {experiment.definition} and is"
            f" {definition_of(experiment)}): undo the change, or start an experiment of another name"
        )


def _bucket_mistakes(experiment: Experiment) -> Iterator[str]:
    if not experiment.has_buckets:
        return
    sizes = sizes_of(variant.weight for variant in experiment.variants)
    for variant, size in zip(experiment.variants, sizes, strict=True):
        ranges = parse_ranges(variant.buckets)
        if any(start >= end for start, end in ranges):
            yield f"the buckets of {variant.name} of {experiment.name} end before they begin"
        owned = sum(end - start for start, end in ranges)
        if owned != size:
            yield (
                f"{variant.name} of {experiment.name} has {owned:,} buckets, and its weight of {variant.weight:g} % is {size:,}:"
                " change weights with `recsys experiments ramp`"
            )
    if (shared := overlap((start, end) for _, start, end in experiment.ranges)) is not None:
        yield f"two variants of {experiment.name} own bucket {shared[0]}"


def _conflicts(experiments: Sequence[Experiment]) -> Iterator[str]:
    """What contradicts itself between running experiments."""
    running = [each for each in experiments if each.is_running]
    for one, other in combinations(running, 2):
        what = None if one.layer and one.layer == other.layer else _shared_surface(one, other)
        if what:
            yield (
                f"{one.name} and {other.name} share {what}, and an answer is of one experiment:"
                " give each its own `surfaces`, or both the same `layer`"
            )
    for layer, members in _by_layer(running).items():
        total = sum(variant.weight for each in members for variant in each.variants)
        if total > 100 + 1e-9:
            yield f"the experiments of the layer {layer} have {total:g} % of the visitors together: at most 100 is possible"
        dealt = (parse_ranges(variant.buckets) for each in members for variant in each.variants)
        if (shared := overlap(each for ranges in dealt for each in ranges)) is not None:
            yield f"two experiments of the layer {layer} own bucket {shared[0]}"


def _shared_surface(one: Experiment, other: Experiment) -> str | None:
    if not other.surfaces:
        return "all surfaces"
    shared = next((surface for surface in other.surfaces if not one.surfaces or surface in one.surfaces), None)
    return f"the surface {shared}" if shared is not None else None


def _by_layer(experiments: Iterable[Experiment]) -> Mapping[str, list[Experiment]]:
    found = defaultdict(list)
    for each in experiments:
        if each.layer:
            found[each.layer].append(each)
    return found


def with_layers_dealt(experiments: Sequence[Experiment]) -> list[Experiment]:
    """Deal buckets to the running experiments of layers for which the file has none: the first free ones, in the order of the file."""
    dealt = {each.name: each for each in experiments}
    for members in _by_layer(each for each in experiments if each.is_running).values():
        taken = [(start, end) for each in members if each.has_buckets for _, start, end in each.ranges]
        for each in members:
            if not each.has_buckets:
                dealt[each.name] = with_buckets(each, taken)
                taken += [(start, end) for _, start, end in dealt[each.name].ranges]
    return list(dealt.values())


def with_buckets(experiment: Experiment, others: Iterable[tuple[int, int]], before: Iterable[Range] = ()) -> Experiment:
    """An experiment whose variants have buckets for their weights. `others`: ranges of others. `before`: the ranges until now."""
    ranges = moved_ranges(before, sizes_of(variant.weight for variant in experiment.variants), others)
    variants = tuple(
        replace(variant, buckets=text_of((start, end) for owner, start, end in ranges if owner == index))
        for index, variant in enumerate(experiment.variants)
    )
    return replace(experiment, variants=variants)


def definition_of(experiment: Experiment) -> str:
    """Return a hash of what must not change once an experiment has started: all but weights, buckets, status and days.

    What is left out in the file is left out here, so that a field of a later release changes no hash.
    """
    content = _EXPERIMENT.dump_python(experiment, mode="json", exclude_defaults=True)
    fixed = {name: value for name, value in content.items() if name not in _CHANGING}
    fixed["variants"] = {variant.name: variant.model for variant in experiment.variants}
    if experiment.plan:
        fixed["plan"] = {
            name: value for name, value in content["plan"].items() if name not in ("starts_on", "stopped_on")
        }
    return hashlib.sha256(json.dumps(fixed, sort_keys=True).encode()).hexdigest()[:12]
