"""Which model versions nobody needs any more.

Belongs here: the rule. Does not: removing versions (versions.py), when that happens (defs/automation/cleanup.py).
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence

from recsys_platform.recommender.registry.promotion import GATE
from recsys_platform.recommender.registry.versions import PRODUCTION, Change, Listed


def expendable_versions(versions: Sequence[Listed], history: Sequence[Change], *, newest: int) -> list[Listed]:
    """The versions that may be removed, of all versions and all alias changes, both newest first.

    Kept are: every version with an alias; what a person pinned or gave an alias once; the `newest` versions of each variant; for each
    recipe that was ever in production the version that was so last and the newest one, to which a rollback goes; and the newest
    version of each recipe that was rolled back, which the gate leaves alone.
    """
    kept = {
        *(each.version for each in versions if each.aliases or each.pinned),
        *(change.after for change in history if change.who != GATE and change.after),
        *_newest_of_each_variant(versions, newest),
        *_needed_by_rollback(versions, history),
    }
    return [each for each in versions if each.version not in kept]


def _newest_of_each_variant(versions: Iterable[Listed], newest: int) -> Iterator[str]:
    seen: dict[str, int] = defaultdict(int)
    for each in versions:
        seen[each.variant] += 1
        if seen[each.variant] <= newest:
            yield each.version


def _needed_by_rollback(versions: Sequence[Listed], history: Iterable[Change]) -> Iterator[str]:
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
