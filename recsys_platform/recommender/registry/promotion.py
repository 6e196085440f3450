"""Promotion: move the registry's aliases by the gate's decisions, or by a person's.

Belongs here: deciding about all candidates and moving the aliases. Does not: the decision about one candidate (gate.py), where
aliases are stored (versions.py).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from recsys_platform.recommender.data.dataset import Dataset
from recsys_platform.recommender.errors import RegistryError
from recsys_platform.recommender.registry.gate import (
    Decision,
    EvaluationResults,
    GateParams,
    best_candidate,
    choose_challenger,
    decide,
)
from recsys_platform.recommender.registry.versions import CHALLENGER, PRODUCTION, Change, Choice, Registry, VersionInfo

GATE = "gate"
"""The author of alias changes that no person made."""
CANARY_AUTHOR = "canary"
"""The author of a promotion at the end of a canary."""
AUTOMATIC = (GATE, CANARY_AUTHOR)
FOR_A_PERSON = f"{GATE} for "
"""What the author of a change begins with if the gate keeps a person's challenger on newer data."""
MIN_NEWER_SHARE = 0.2
"""A person's choice stays in force until this share of all likes is newer: the share that the evaluation tests on."""


@dataclass(frozen=True)
class GateOutcome:
    """All decisions, and the versions that the aliases point at afterwards.

    `unmeasured`: no comparison was possible. `winner`: the decision for the recipe that has to pass a canary before it goes live.
    """

    decisions: tuple[Decision, ...]
    production: str | None
    challenger: str | None
    unmeasured: bool = False
    winner: Decision | None = None


def apply_gate(
    candidates: Mapping[str, str],
    live: str | None,
    results: EvaluationResults | None,
    registry: Registry,
    params: GateParams,
    *,
    choice: Choice | None = None,
    by_canary: bool = False,
) -> GateOutcome:
    """Decide about the newest version of each variant and move the aliases.

    If nothing replaces the live recipe, its newest version replaces the older one. A live recipe that is no longer ahead of the
    baseline, or that cannot be trained on today's data, is replaced by the best candidate that beats the baseline, or by the
    baseline. If there are no results, or none for the live recipe, production stays; if nothing is live, the baseline goes live.

    `candidates`: the newest version of each variant, by name. `live`: name of the live recipe in `results`, None if nothing is live.
    `results`: None if nothing could be evaluated. `choice`: a person's choice that stays in production (`choice_in_force`).
    `by_canary`: another recipe than the live one becomes the challenger, for a canary, as long as the live one may stay.
    """
    is_lost = live is not None and live not in candidates
    choice = None if is_lost else choice
    if results is None:
        return _keep_aliases(registry, candidates, live, params)
    is_comparable = live is None or is_lost or live in results.baselines
    decisions = _decide_all(candidates, live, results, registry, params, choice) if is_comparable else ()
    best = None if choice else best_candidate(decisions, results, params)
    winner = best if by_canary and best and _passes_canary_first(best, live, decisions) else None
    if winner and live:
        _set_production(registry, candidates[live], f"{live} stays live while {winner.candidate} passes its canary.")
    elif best:
        _set_production(registry, candidates[best.candidate], best.reasons[0])
    else:
        _keep_production(registry, candidates, live, params)
    now_live = best.candidate if best and not winner else live
    challenger = winner.candidate if winner else _best_challenger(registry, candidates, now_live, results, params)
    best_but_one = f"The best besides {now_live} that beats {params.baseline}."
    why = winner.reasons[0] if winner else best_but_one if challenger else "No other recipe beats the baseline."
    _set_challenger(registry, candidates, challenger, why)
    return replace(_current_outcome(registry, decisions, unmeasured=not is_comparable), winner=winner)


def _passes_canary_first(best: Decision, live: str | None, decisions: Sequence[Decision]) -> bool:
    """Whether the live recipe may stay while the best one is compared with it on readers."""
    return best.candidate != live and any(each.candidate == live and each.promote for each in decisions)


def unchanged_outcome(registry: Registry) -> GateOutcome:
    """The outcome if production was moved by someone else after it was read: no decisions, the aliases stay."""
    return _current_outcome(registry, (), unmeasured=True)


def choice_in_force(registry: Registry, data: Dataset) -> Choice | None:
    """Return the person's choice that the gate must leave in production, or None; an expired choice is cleared.

    It expires when `MIN_NEWER_SHARE` of all likes are newer: from then on the test data did not exist when the choice was made.
    """
    choice, production = registry.choice(), registry.version_of(PRODUCTION)
    if choice is None or production is None:
        return None
    if (
        registry.info(production).recipe_hash == choice.recipe_hash
        and _share_liked_after(data, choice.data_to) < MIN_NEWER_SHARE
    ):
        return choice
    registry.clear_choice()
    return None


def _share_liked_after(data: Dataset, since: str) -> float:
    """Share of all likes after `since` (ISO text); 1 if `since` is empty, because there was no data then."""
    times = data.interactions.liked_at[data.interactions.positive]
    if not len(times):
        return 0.0
    return float((times > np.datetime64(since)).mean()) if since else 1.0


def _decide_all(
    candidates: Mapping[str, str],
    live: str | None,
    results: EvaluationResults,
    registry: Registry,
    params: GateParams,
    choice: Choice | None,
) -> tuple[Decision, ...]:
    """Decide about every candidate; if the live recipe has to go, decide about the others as if nothing were live."""
    rolled_back = _rolled_back_recipes(registry)
    recipes = {each.version: each.recipe_hash for each in registry.versions()}

    def decided(incumbent: str | None) -> tuple[Decision, ...]:
        return tuple(
            decide(name, incumbent, results, params, rolled_back=recipes[version] in rolled_back)
            for name, version in candidates.items()
        )

    first = decided(live if live in candidates else None)
    if choice:
        return tuple(_blocked_by_choice(each, live, choice) for each in first)
    why = _why_live_is_replaced(candidates, live, first, params)
    if not why:
        return first
    again = decided(None)
    return tuple(
        old if old.candidate == live else _with_reason_to_replace(new, why, params)
        for old, new in zip(first, again, strict=True)
    )


def _why_live_is_replaced(
    candidates: Mapping[str, str], live: str | None, decisions: Sequence[Decision], params: GateParams
) -> str:
    """A sentence if the live recipe cannot stay, else an empty text."""
    if live is None or live == params.baseline:
        return ""
    if live not in candidates:
        return _cannot_be_trained_reason(live)
    refused = next((each for each in decisions if each.candidate == live and not each.promote), None)
    return f"{live} is replaced. {refused.reasons[0]}" if refused else ""


def _with_reason_to_replace(decision: Decision, why: str, params: GateParams) -> Decision:
    """A decision to promote, with the reason why the live recipe is replaced; any other decision unchanged."""
    if not decision.promote:
        return decision
    own = () if decision.candidate == params.baseline else decision.reasons
    return replace(decision, reasons=(" ".join([why, *own]),))


def _cannot_be_trained_reason(live: str | None) -> str:
    return f"{live or 'The live recipe'} cannot be trained on today's data and is replaced."


def _blocked_by_choice(decision: Decision, live: str | None, choice: Choice) -> Decision:
    """The decision while a person's choice is in force: the live recipe stays, nothing else may go live."""
    if decision.candidate == live:
        return replace(decision, reasons=(f"It stays, {choice.sentence}.", *decision.reasons))
    if not decision.promote:
        return decision
    stays = f"{live} was {choice.sentence}. It stays until {MIN_NEWER_SHARE:.0%} of all likes are newer than that."
    return replace(decision, promote=False, reasons=(*decision.reasons, stays))


def _best_challenger(
    registry: Registry, candidates: Mapping[str, str], live: str | None, results: EvaluationResults, params: GateParams
) -> str | None:
    """The best candidate besides the live recipe that beats the baseline and was not rolled back."""
    rolled_back, recipes = (
        _rolled_back_recipes(registry),
        {each.version: each.recipe_hash for each in registry.versions()},
    )
    names = [name for name, version in candidates.items() if recipes[version] not in rolled_back]
    return choose_challenger(names, live, results, params)


def promote(
    registry: Registry, version: str, *, alias: str, why: str, catalogue_hash: str, data_to: str = ""
) -> VersionInfo:
    """Point an alias at a version, on a person's decision; its files are verified first.

    Args:
        registry: where the alias is moved.
        version: number of the version.
        alias: `production` or `challenger`.
        why: the reason, for the history.
        catalogue_hash: hash of today's item catalog.
        data_to: the newest time in today's data (ISO text); the gate respects the choice until enough data is newer.

    Raises:
        RegistryError: the version does not exist, is damaged or was trained on another item catalog.
    """
    found = registry.load(version).info
    if found.catalogue_hash != catalogue_hash:
        raise RegistryError(
            f"{found.label} was trained on another item catalog than today's and cannot become {alias}: "
            "train its variant again with `recsys run`."
        )
    registry.set_alias(alias, version, why=why)
    if alias == PRODUCTION:
        registry.choose(found.recipe_hash, why=why, data_to=data_to)
        for each in registry.versions():
            if each.rolled_back and each.recipe_hash == found.recipe_hash:
                registry.mark_rolled_back(each.version, rolled_back=False)
    return found


def promote_after_canary(registry: Registry, version: str, *, why: str) -> VersionInfo:
    """Put the version of a completed canary into production; its files are verified first.

    The gate decides about it from now on, as about any recipe that it promoted. Raises RegistryError if the version is damaged.
    """
    found = registry.load(version).info
    registry.set_alias(PRODUCTION, version, why=why, who=CANARY_AUTHOR)
    registry.clear_choice()
    if registry.version_of(CHALLENGER) == version:
        registry.set_alias(CHALLENGER, None, why="It is in production.", who=CANARY_AUTHOR)
    return found


def roll_back(registry: Registry, *, why: str, data_to: str = "") -> tuple[VersionInfo, VersionInfo]:
    """Put the newest version of the previous recipe back into production; return (the version taken out, the live one).

    An older version of the present recipe does not count. The gate will not promote the recipe that was taken out again.
    `data_to`: as for `promote`. Raises RegistryError if there is no earlier recipe.
    """
    versions = {each.version: each for each in registry.versions()}
    present = registry.version_of(PRODUCTION)
    rolled_back = _rolled_back_recipes(registry) | ({versions[present].recipe_hash} if present else set())
    lived = [change.after for change in registry.history() if change.alias == PRODUCTION]
    former = [versions[version] for version in lived if version in versions]  # the others were removed by retention
    recipe = next((each.recipe_hash for each in former if each.recipe_hash not in rolled_back), None)
    if present is None or recipe is None:
        raise RegistryError(
            "There is no earlier production recipe to roll back to: `recsys models --history` lists what was live."
        )
    after = next(each for each in versions.values() if each.recipe_hash == recipe)
    registry.set_alias(PRODUCTION, after.version, why=why)
    registry.choose(after.recipe_hash, why=why, data_to=data_to)
    registry.mark_rolled_back(present, rolled_back=True)
    return versions[present], after


def _keep_aliases(
    registry: Registry, candidates: Mapping[str, str], live: str | None, params: GateParams
) -> GateOutcome:
    """Keep the recipes of both aliases, on today's data, without any decision."""
    _keep_production(registry, candidates, live, params)
    if not _keep_challenger(registry, candidates):
        registry.set_alias(CHALLENGER, None, why="Its recipe is live, or is no longer a variant.", who=GATE)
    return _current_outcome(registry, (), unmeasured=True)


def _set_production(registry: Registry, version: str, why: str) -> None:
    registry.set_alias(PRODUCTION, version, why=why, who=GATE)


def _keep_production(registry: Registry, candidates: Mapping[str, str], live: str | None, params: GateParams) -> None:
    """Keep the live recipe, on today's data; use the baseline if nothing is live or the live recipe cannot be trained on them."""
    if registry.version_of(PRODUCTION) is None:
        _set_production(registry, candidates[params.baseline], "Nothing is live and nothing could be evaluated yet.")
    elif live is not None and live in candidates:
        _set_production(
            registry, candidates[live], f"{live} stays live, trained on newer data: no candidate may replace it."
        )
    elif params.baseline in candidates:
        _set_production(registry, candidates[params.baseline], _cannot_be_trained_reason(live))


def _set_challenger(registry: Registry, candidates: Mapping[str, str], chosen: str | None, why: str) -> None:
    """Set the gate's challenger; a person's challenger stays, on today's data."""
    last = next((change for change in registry.history() if change.alias == CHALLENGER), None)
    is_a_persons = last is not None and last.after is not None and last.who not in AUTOMATIC
    if not (is_a_persons and _keep_challenger(registry, candidates)):
        registry.set_alias(CHALLENGER, candidates[chosen] if chosen else None, why=why, who=GATE)


def _keep_challenger(registry: Registry, candidates: Mapping[str, str]) -> bool:
    """Move the challenger to its recipe's version on today's data. False if there is none or it is in production."""
    present = registry.version_of(CHALLENGER)
    own = _version_of_same_recipe(registry, present, candidates) if present else None
    last = next((change for change in registry.history() if change.alias == CHALLENGER), None)
    if own is None or own == registry.version_of(PRODUCTION):
        return False
    registry.set_alias(CHALLENGER, own, why=last.why if last else "", who=_on_behalf_of(last.who) if last else GATE)
    return True


def _on_behalf_of(who: str) -> str:
    """Who moved an alias that a person had set to newer data; `is_by_a_person` tells it from the person's own change."""
    return who if who in AUTOMATIC or who.startswith(FOR_A_PERSON) else f"{FOR_A_PERSON}{who}"


def is_by_a_person(change: Change) -> bool:
    """Whether a person made a change, and not the gate, a canary, or the gate for a person."""
    return change.who not in AUTOMATIC and not change.who.startswith(FOR_A_PERSON)


def _version_of_same_recipe(registry: Registry, version: str, candidates: Mapping[str, str]) -> str | None:
    recipes = {each.version: each.recipe_hash for each in registry.versions()}
    return next((each for each in candidates.values() if recipes[each] == recipes.get(version)), None)


def _current_outcome(registry: Registry, decisions: tuple[Decision, ...], *, unmeasured: bool = False) -> GateOutcome:
    return GateOutcome(decisions, registry.version_of(PRODUCTION), registry.version_of(CHALLENGER), unmeasured)


def _rolled_back_recipes(registry: Registry) -> set[str]:
    """Hashes of the recipes that a person took out of production and nobody brought back."""
    return {each.recipe_hash for each in registry.versions() if each.rolled_back}
