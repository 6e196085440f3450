"""What follows from the gate's decisions: which versions the aliases mean.

Belongs here: judging all candidates and moving the aliases, by the gate or by a person. Does not: the decision about one (gate.py),
where aliases are kept (versions.py).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from recsys_platform.recommender.data.dataset import Dataset
from recsys_platform.recommender.errors import RegistryError
from recsys_platform.recommender.registry.gate import Decision, GateParams, Measured, best_of, challenger_of, decide
from recsys_platform.recommender.registry.versions import CHALLENGER, PRODUCTION, Choice, Listed, Registry

GATE = "gate"
"""Who it is that changes an alias where no person does."""
NEWER = 0.2
"""A person's choice holds until this share of all that was liked is newer than it: as much as the evaluation tests on."""


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
    *,
    held: Choice | None = None,
) -> Judgement:
    """Judge the newest version of each variant (`candidates`: variant → version) and move the aliases.

    `live`: the name under which the live recipe was measured, None if nothing is live. What is live follows the data: where nothing
    replaces it, its recipe's version of today takes the place of yesterday's. What is live and no longer keeps ahead of the
    baseline, or is no candidate since it cannot be trained on today's data, gives way to the best that beats the baseline, or to
    the baseline. `held`: a person's choice that stays whatever was measured (`held_choice`). Where nothing was measured, or what is
    live was not, production stays, and the baseline goes live if nothing is.
    """
    is_lost = live is not None and live not in candidates
    held = None if is_lost else held
    if measured is None:
        _stay(registry, candidates, live, params)
        if not _keep_challenger(registry, candidates):
            registry.set_alias(CHALLENGER, None, why="Its recipe is live or is no variant any more.", who=GATE)
        return _as_it_is(registry, (), unmeasured=True)
    is_comparable = live is None or is_lost or live in measured.baselines
    decisions = _decisions(candidates, live, measured, registry, params, held) if is_comparable else ()
    best = None if held else best_of(decisions, measured, params)
    if best:
        _promote(registry, candidates[best.candidate], best.reasons[0])
    else:
        _stay(registry, candidates, live, params)
    now_live = best.candidate if best else live
    challenger = _best_challenger(registry, candidates, now_live, measured, params)
    why = (
        f"The best besides {now_live} that beats {params.baseline}."
        if challenger
        else "Nothing besides it beats the baseline."
    )
    _challenge(registry, candidates, challenger, why)
    return _as_it_is(registry, decisions, unmeasured=not is_comparable)


def left_alone(registry: Registry) -> Judgement:
    """What follows where somebody moved production after it was read: nothing is judged, the aliases stay."""
    return _as_it_is(registry, (), unmeasured=True)


def held_choice(registry: Registry, data: Dataset) -> Choice | None:
    """The person's choice that the gate must leave in production; a choice that is over is forgotten.

    It holds until `NEWER` of all that was liked came after it: what the gate measures then, nobody had seen.
    """
    choice, production = registry.choice(), registry.version_of(PRODUCTION)
    if choice is None or production is None:
        return None
    if registry.listed(production).recipe_hash == choice.recipe_hash and _newer_share(data, choice.data_to) < NEWER:
        return choice
    registry.forget_choice()
    return None


def _newer_share(data: Dataset, since: str) -> float:
    """Of all that was liked, the share that was liked after a time: all of it where there was nothing yet (`since` is empty)."""
    times = data.interactions.liked_at[data.interactions.positive]
    if not len(times):
        return 0.0
    return float((times > np.datetime64(since)).mean()) if since else 1.0


def _decisions(
    candidates: Mapping[str, str],
    live: str | None,
    measured: Measured,
    registry: Registry,
    params: GateParams,
    held: Choice | None,
) -> tuple[Decision, ...]:
    """Every decision; where what is live gives way, the others are decided as if nothing were live."""
    gone = _rolled_back(registry)
    recipes = {each.version: each.recipe_hash for each in registry.versions()}

    def decided(incumbent: str | None) -> tuple[Decision, ...]:
        return tuple(
            decide(name, incumbent, measured, params, rolled_back=recipes[version] in gone)
            for name, version in candidates.items()
        )

    first = decided(live if live in candidates else None)
    if held:
        return tuple(_withheld(each, live, held) for each in first)
    why = _why_live_gives_way(candidates, live, first, params)
    if not why:
        return first
    again = decided(None)
    return tuple(
        old if old.candidate == live else _in_its_place(new, why, params) for old, new in zip(first, again, strict=True)
    )


def _why_live_gives_way(
    candidates: Mapping[str, str], live: str | None, decisions: Sequence[Decision], params: GateParams
) -> str:
    """A sentence if what is live cannot stay, else nothing."""
    if live is None or live == params.baseline:
        return ""
    if live not in candidates:
        return _lost(live)
    refused = next((each for each in decisions if each.candidate == live and not each.promote), None)
    return f"{live} gives way to it. {refused.reasons[0]}" if refused else ""


def _in_its_place(decision: Decision, why: str, params: GateParams) -> Decision:
    """The decision that something may go live, with why what was live gives way; any other as it is."""
    if not decision.promote:
        return decision
    own = () if decision.candidate == params.baseline else decision.reasons
    return replace(decision, reasons=(" ".join([why, *own]),))


def _lost(live: str | None) -> str:
    return f"{live or 'What was live'} cannot be trained on today's data and gives way to it."


def _withheld(decision: Decision, live: str | None, held: Choice) -> Decision:
    """The same decision under a person's choice: what is live stays, nothing else may go live."""
    if decision.candidate == live:
        return replace(decision, reasons=(f"It stays, {held.sentence}.", *decision.reasons))
    if not decision.promote:
        return decision
    stays = f"{live} was {held.sentence}. It stays until {NEWER:.0%} of what was liked is newer than that."
    return replace(decision, promote=False, reasons=(*decision.reasons, stays))


def _best_challenger(
    registry: Registry, candidates: Mapping[str, str], live: str | None, measured: Measured, params: GateParams
) -> str | None:
    """The best candidate besides what is live that beats the baseline and that nobody rolled back."""
    gone, recipes = _rolled_back(registry), {each.version: each.recipe_hash for each in registry.versions()}
    names = [name for name, version in candidates.items() if recipes[version] not in gone]
    return challenger_of(names, live, measured, params)


def promote(
    registry: Registry, version: str, *, alias: str, why: str, catalogue_hash: str, data_to: str = ""
) -> Listed:
    """What a person decides: let an alias mean a version, whose files are checked before and whose books must be those of today.

    `data_to`: the newest time in today's data (ISO text); the gate leaves the choice in production until enough is newer.
    """
    found = registry.load(version).listed
    if found.catalogue_hash != catalogue_hash:
        raise RegistryError(
            f"{found.label} was trained on another catalogue than today's and cannot become {alias}: "
            "`recsys run` trains its variant again."
        )
    registry.set_alias(alias, version, why=why)
    if alias == PRODUCTION:
        registry.choose(found.recipe_hash, why=why, data_to=data_to)
        for each in registry.versions():
            if each.rolled_back and each.recipe_hash == found.recipe_hash:
                registry.mark_rolled_back(each.version, rolled_back=False)
    return found


def roll_back(registry: Registry, *, why: str, data_to: str = "") -> tuple[Listed, Listed]:
    """Put the recipe before the present one live again, its newest version; (the version taken out, the one that is live now).

    Yesterday's version of the present recipe is nothing to go back to: the gate leaves the recipe alone from now on.
    `data_to`: as for `promote`.
    """
    versions = {each.version: each for each in registry.versions()}
    present = registry.version_of(PRODUCTION)
    gone = _rolled_back(registry) | ({versions[present].recipe_hash} if present else set())
    lived = [change.after for change in registry.history() if change.alias == PRODUCTION]
    former = [versions[version] for version in lived if version in versions]  # others were removed by the retention
    recipe = next((each.recipe_hash for each in former if each.recipe_hash not in gone), None)
    if present is None or recipe is None:
        raise RegistryError(
            "There is no earlier recipe in production to go back to: `recsys models --history` tells what was live."
        )
    after = next(each for each in versions.values() if each.recipe_hash == recipe)
    registry.set_alias(PRODUCTION, after.version, why=why)
    registry.choose(after.recipe_hash, why=why, data_to=data_to)
    registry.mark_rolled_back(present, rolled_back=True)
    return versions[present], after


def _promote(registry: Registry, version: str, why: str) -> None:
    registry.set_alias(PRODUCTION, version, why=why, who=GATE)


def _stay(registry: Registry, candidates: Mapping[str, str], live: str | None, params: GateParams) -> None:
    """What is live stays, on today's data; the baseline begins where nothing is, and where what is live cannot be trained on them."""
    if registry.version_of(PRODUCTION) is None:
        _promote(registry, candidates[params.baseline], "Nothing is live and nothing could be measured yet.")
    elif live is not None and live in candidates:
        _promote(registry, candidates[live], f"{live} stays live, on newer data: nothing may replace it.")
    elif params.baseline in candidates:
        _promote(registry, candidates[params.baseline], _lost(live))


def _challenge(registry: Registry, candidates: Mapping[str, str], chosen: str | None, why: str) -> None:
    """Let the challenger be the gate's choice; a person's choice stays, on today's data."""
    last = next((change for change in registry.history() if change.alias == CHALLENGER), None)
    is_a_persons = last is not None and last.after is not None and last.who != GATE
    if not (is_a_persons and _keep_challenger(registry, candidates)):
        registry.set_alias(CHALLENGER, candidates[chosen] if chosen else None, why=why, who=GATE)


def _keep_challenger(registry: Registry, candidates: Mapping[str, str]) -> bool:
    """Let the challenger's recipe follow the data; whether there is such a version, and it is not in production."""
    present = registry.version_of(CHALLENGER)
    own = _of_same_recipe(registry, present, candidates) if present else None
    last = next((change for change in registry.history() if change.alias == CHALLENGER), None)
    if own is None or own == registry.version_of(PRODUCTION):
        return False
    registry.set_alias(CHALLENGER, own, why=last.why if last else "", who=last.who if last else GATE)
    return True


def _of_same_recipe(registry: Registry, version: str, candidates: Mapping[str, str]) -> str | None:
    recipes = {each.version: each.recipe_hash for each in registry.versions()}
    return next((each for each in candidates.values() if recipes[each] == recipes.get(version)), None)


def _as_it_is(registry: Registry, decisions: tuple[Decision, ...], *, unmeasured: bool = False) -> Judgement:
    return Judgement(decisions, registry.version_of(PRODUCTION), registry.version_of(CHALLENGER), unmeasured)


def _rolled_back(registry: Registry) -> set[str]:
    """Recipes that a person took out of production and nobody brought back."""
    return {each.recipe_hash for each in registry.versions() if each.rolled_back}
