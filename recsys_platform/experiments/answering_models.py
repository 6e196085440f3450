"""Whether the variants of an experiment stayed what they were: an alias that moves makes one another without a change of the file.

Belongs here: the models that answered. Does not: from which share on that is too much (statistics/health.py).
"""

import datetime as dt
from collections import Counter, defaultdict
from collections.abc import Iterator
from itertools import combinations

from recsys_platform.common.sql_files import read_sql
from recsys_platform.experiments.assignment import Experiment
from recsys_platform.experiments.statistics.health import Finding, other_models, same_model
from recsys_platform.warehouse.port import Warehouse

_ANSWERING = read_sql("recsys_platform.experiments", "answering_models")


def moved_models(warehouse: Warehouse, experiment: Experiment, first: dt.date, last: dt.date) -> Iterator[Finding]:
    """Find variants that several models answered live, and variants of different models that the same version answered."""
    versions: dict[str, Counter[tuple[str, str | None]]] = defaultdict(Counter)
    for row in warehouse.frame(_ANSWERING, [experiment.name, first, last]).to_pylist():
        versions[row["variant"]][row["model"], row["model_version"]] += int(row["answers"])
    for variant in experiment.variants:
        models: Counter[str] = Counter()
        for (model, _), answers in versions[variant.name].items():
            models[model] += answers
        if found := other_models(variant.name, models):
            yield found
    for one, other in combinations(experiment.variants, 2):
        if one.model != other.model and (found := _shared(one.name, other.name, versions)):
            yield found


def _shared(one: str, other: str, versions: dict[str, Counter[tuple[str, str | None]]]) -> Finding | None:
    both = [each for each in versions[one] if each[1] and each in versions[other]]
    names = [f"{model} {version}" for model, version in both]
    answers = min(sum(versions[variant][each] for each in both) for variant in (one, other))
    total = min(versions[one].total(), versions[other].total())
    return same_model((one, other), names, answers, total)
