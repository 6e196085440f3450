"""What follows from the gate's decisions: which versions the aliases mean.

Belongs here: judging all candidates and moving the aliases, by the gate or by a person. Does not: the decision about one (gate.py),
where aliases are kept (versions.py).
"""

from collections.abc import Mapping
from dataclasses import dataclass

from recsys_platform.recommender.errors import RegistryError
from recsys_platform.recommender.registry.gate import Decision, GateParams, Measured, best_of, challenger_of, decide
from recsys_platform.recommender.registry.versions import CHALLENGER, PRODUCTION, Listed, Registry

GATE = "gate"
"""Who it is that changes an alias where no person does."""


@dataclass(frozen=True)
class Judgement:
    """Every decision, and what the aliases mean after it."""

    decisions: tuple[Decision, ...]
    production: str | None
    challenger: str | None
    unmeasured: bool = False


def judge(
    candidates: Mapping[str, str],
    live: str | None,
    measured: Measured | None,
    registry: Registry,
    params: GateParams,
) -> Judgement:
    """Judge the newest version of each variant (`candidates`: variant → version) and move the aliases.

    `live`: the name under which the live recipe was measured, None if nothing is live. What is live follows the data: where nothing
    replaces it, its recipe's version of today takes the place of yesterday's. Where nothing was measured, or nothing was compared with
    what is live, that is all that happens, but that the baseline goes live if nothing is.
    """
    if measured is None or (live is not None and live not in measured.baselines):
        _stay(registry, candidates, live, params)
        _challenge(registry, candidates, None, "Nothing could be measured.")
        return _as_it_is(registry, (), unmeasured=True)
    gone = _rolled_back(registry)
    recipes = {each.version: each.recipe_hash for each in registry.versions()}
    decisions = tuple(
        decide(name, live, measured, params, rolled_back=recipes[version] in gone)
        for name, version in candidates.items()
    )
    best = best_of(decisions, measured, params)
    if best:
        _promote(registry, candidates[best.candidate], best.reasons[0])
    else:
        _stay(registry, candidates, live, params)
    now_live = best.candidate if best else live
    challenger = challenger_of([each for each in decisions if not _is_gone(each)], now_live, measured, params)
    why = (
        f"The best besides {now_live} that beats {params.baseline}."
        if challenger
        else "Nothing besides it beats the baseline."
    )
    _challenge(registry, candidates, challenger, why)
    return _as_it_is(registry, decisions)


def promote(registry: Registry, version: str, *, alias: str, why: str, catalogue_hash: str) -> Listed:
    """What a person decides: let an alias mean a version, whose files are checked before and whose books must be those of today."""
    found = registry.load(version).listed
    if found.catalogue_hash != catalogue_hash:
        raise RegistryError(
            f"{found.label} was trained on another catalogue than today's and cannot become {alias}: "
            "`recsys run` trains its variant again."
        )
    registry.set_alias(alias, version, why=why)
    if alias == PRODUCTION:
        for each in registry.versions():
            if each.rolled_back and each.recipe_hash == found.recipe_hash:
                registry.mark_rolled_back(each.version, rolled_back=False)
    return found


def roll_back(registry: Registry, *, why: str) -> tuple[Listed, Listed]:
    """Put the recipe before the present one live again, its newest version; (the version taken out, the one that is live now).

    Yesterday's version of the present recipe is nothing to go back to: the gate leaves the recipe alone from now on.
    """
    versions = {each.version: each for each in registry.versions()}
    present = registry.version_of(PRODUCTION)
    gone = _rolled_back(registry) | ({versions[present].recipe_hash} if present else set())
    former = [versions[change.after] for change in registry.history() if change.alias == PRODUCTION and change.after]
    recipe = next((each.recipe_hash for each in former if each.recipe_hash not in gone), None)
    if present is None or recipe is None:
        raise RegistryError(
            "There is no earlier recipe in production to go back to: `recsys models --history` tells what was live."
        )
    after = next(each for each in versions.values() if each.recipe_hash == recipe)
    registry.set_alias(PRODUCTION, after.version, why=why)
    registry.mark_rolled_back(present, rolled_back=True)
    return versions[present], after


def _promote(registry: Registry, version: str, why: str) -> None:
    registry.set_alias(PRODUCTION, version, why=why, who=GATE)


def _stay(registry: Registry, candidates: Mapping[str, str], live: str | None, params: GateParams) -> None:
    """What is live stays, on today's data; the baseline begins where nothing is."""
    if registry.version_of(PRODUCTION) is None:
        _promote(registry, candidates[params.baseline], "Nothing is live and nothing could be measured yet.")
    elif live is not None and live in candidates:
        _promote(registry, candidates[live], f"{live} stays live, on newer data: nothing may replace it.")


def _challenge(registry: Registry, candidates: Mapping[str, str], chosen: str | None, why: str) -> None:
    """Let the challenger be the gate's choice; a person's choice stays, on today's data."""
    last = next((change for change in registry.history() if change.alias == CHALLENGER), None)
    if last and last.after and last.who != GATE:
        own = _of_same_recipe(registry, last.after, candidates)
        if own and own != registry.version_of(PRODUCTION):
            registry.set_alias(CHALLENGER, own, why=last.why, who=last.who)
            return
    registry.set_alias(CHALLENGER, candidates[chosen] if chosen else None, why=why, who=GATE)


def _of_same_recipe(registry: Registry, version: str, candidates: Mapping[str, str]) -> str | None:
    recipes = {each.version: each.recipe_hash for each in registry.versions()}
    return next((each for each in candidates.values() if recipes[each] == recipes[version]), None)


def _as_it_is(registry: Registry, decisions: tuple[Decision, ...], *, unmeasured: bool = False) -> Judgement:
    return Judgement(decisions, registry.version_of(PRODUCTION), registry.version_of(CHALLENGER), unmeasured)


def _rolled_back(registry: Registry) -> set[str]:
    """Recipes that a person took out of production and nobody brought back."""
    return {each.recipe_hash for each in registry.versions() if each.rolled_back}


def _is_gone(decision: Decision) -> bool:
    return any("was rolled back" in reason for reason in decision.reasons)
