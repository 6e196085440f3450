"""Retention: which model versions may be deleted.

Belongs here: the rule. Does not: deleting versions (versions.py), the schedule (defs/automation/cleanup.py).
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence

from recsys_platform.recommender.registry.promotion import is_by_a_person
from recsys_platform.recommender.registry.versions import PRODUCTION, Change, VersionInfo


def expendable_versions(
    versions: Sequence[VersionInfo], history: Sequence[Change], *, newest: int, named: Collection[str] = ()
) -> list[VersionInfo]:
    """Return the versions that may be deleted.

    Kept are: every version with an alias; every version that a person pinned or gave an alias; the `newest` versions of each variant;
    for each recipe that was ever in production its last production version and its newest version, for rollbacks; and the newest
    version of each recipe that was rolled back, so that the gate does not promote it again; and `named` ones.

    Args:
        versions: all versions, newest first.
        history: all alias changes, newest first.
        newest: how many versions of each variant to keep.
        named: versions that something outside the registry names, such as an experiment.
    """
    kept = {
        *named,
        *(each.version for each in versions if each.aliases or each.pinned),
        *(change.after for change in history if is_by_a_person(change) and change.after),
        *_newest_of_each_variant(versions, newest),
        *_needed_by_rollback(versions, history),
    }
    return [each for each in versions if each.version not in kept]


def _newest_of_each_variant(versions: Iterable[VersionInfo], newest: int) -> Iterator[str]:
    seen: dict[str, int] = defaultdict(int)
    for each in versions:
        seen[each.variant] += 1
        if seen[each.variant] <= newest:
            yield each.version


def _needed_by_rollback(versions: Sequence[VersionInfo], history: Iterable[Change]) -> Iterator[str]:
    recipes = {each.version: each.recipe_hash for each in versions}
    lived = [change.after for change in history if change.alias == PRODUCTION and change.after in recipes]
    yield from _first_by_recipe([version for version in lived if version], recipes)
    former = {recipes[version] for version in lived if version}
    yield from _first_by_recipe([each.version for each in versions if each.recipe_hash in former], recipes)
    yield from _first_by_recipe([each.version for each in versions if each.rolled_back], recipes)


def _first_by_recipe(versions: Iterable[str], recipes: dict[str, str]) -> Iterable[str]:
    first: dict[str, str] = {}
    for version in versions:
        first.setdefault(recipes[version], version)
    return first.values()
