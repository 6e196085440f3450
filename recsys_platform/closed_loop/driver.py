"""The closed loop, act by act. An interrupted loop goes on with the step that was not over.

1. Popularity: the API shows everybody the most popular books.
2. LightFM: it learns from what readers did. If the gate keeps popularity, which all likes of the first act speak for, a person
   promotes LightFM.
3. The blend against LightFM, in an A/B test.
4. A canary brings the blend into production, if the test found that it should.
5. A model that is bad on purpose, which the canary takes back.

Belongs here: the order of the steps, and what each finds. Does not: the doors to the world (loop_world.py).
"""

import datetime as dt
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

from recsys_platform.closed_loop.bad_model import register_reversed
from recsys_platform.closed_loop.experiment import (
    CONTROL,
    NAME,
    SURFACES,
    TREATMENT,
    experiment_content,
    outcome_of,
)
from recsys_platform.closed_loop.loop_world import LoopWorld
from recsys_platform.closed_loop.outcomes import outcomes_between
from recsys_platform.closed_loop.plan import CANARIES, Act, LoopRecord, Week, load_record
from recsys_platform.closed_loop.rollouts import PLAN_OF_CANARIES, begun_version, run_canary
from recsys_platform.closed_loop.what_if import expected_by_variant, planted_lifts, visit_with_variant
from recsys_platform.common.errors import RecsysError
from recsys_platform.config.factories import hub_of, warehouse_of
from recsys_platform.config.world_files import CANARY_PLAN
from recsys_platform.experiments.readouts import read_experiment
from recsys_platform.experiments.statistics.decision import Verdict
from recsys_platform.recommender.data.training_data import latest_dataset
from recsys_platform.recommender.registry.versions import CHALLENGER, PRODUCTION
from recsys_platform.serving.routing_files import experiments_of
from recsys_platform.simulation.truth import load_spec
from recsys_platform.simulation.visit_truth import expected_outcomes, load_visits
from recsys_platform.simulation.world import make_world

VARIANTS = {
    Act.POPULARITY: ("popularity",),
    Act.LIGHTFM: ("popularity", "lightfm"),
    Act.EXPERIMENT: (
        "popularity",
        "lightfm",
        "lightfm_content",
        "als",
        "item_knn",
        "ease",
        "sequence",
        "content",
        "blend",
    ),
}
"""What is trained in each act."""
_STAYS = "it stays until an experiment has decided"
_BY_HAND = "likes of lists of popular books cannot tell how good other lists are: a week of its own will"


@dataclass(frozen=True)
class Step:
    """A step of the loop; `run` does it, and returns what it found as JSON values, None for nothing."""

    name: str
    run: Callable[[LoopWorld], Any]


def run_loop(world: LoopWorld, record: LoopRecord) -> dict[str, Any]:
    """Do the steps that are not done; what each found, by name."""
    for step in steps_of(record):
        if step.name not in record.done:
            world.tell(step.name, 0, 0)
            record.done[step.name] = step.run(world)
            record.save(world.settings.truth_root)
    return record.done


def steps_of(record: LoopRecord) -> Iterator[Step]:
    """All steps, in order."""
    yield Step("trackers", LoopWorld.land_history)
    for act in VARIANTS:
        for week in record.plan.weeks_of(act):
            yield Step(f"{week.name}: models", partial(prepare_week, week=week))
            if act is Act.EXPERIMENT:
                yield Step(f"{week.name}: what if", partial(simulate_what_if, week=week))
            yield Step(f"{week.name}: readers", partial(LoopWorld.visit, week=week))
    yield Step("verdict", read_experiment_of)
    yield Step(Act.CANARY, partial(climb, record=record))
    yield Step(f"{Act.CANARY}: published", LoopWorld.publish)
    yield Step(Act.BAD_MODEL, partial(try_bad_model, record=record))
    yield Step(f"{Act.BAD_MODEL}: published", LoopWorld.finish)
    yield Step("outcomes", measure_acts)


def prepare_week(world: LoopWorld, week: Week) -> None:
    """Train and publish what the week is to show."""
    if week.act is Act.EXPERIMENT or (week.act is Act.LIGHTFM and week.number > 0):
        world.hold_production(_STAYS, week.days.start)
    versions = world.refresh(VARIANTS[week.act]).versions
    if week.act is Act.LIGHTFM and week.number == 0 and world.variant_of(PRODUCTION) != "lightfm":
        world.promote(versions["lightfm"], PRODUCTION, _BY_HAND, data_to=world.plan.day(week.days.start))
    if week.act is Act.EXPERIMENT and week.number == 0:
        world.challenge(versions["blend"], "the treatment of the experiment", week.days.start)
        weeks = world.plan.weeks_of(Act.EXPERIMENT)
        first, days = week.days.start, weeks[-1].days.stop - 1 - week.days.start
        world.start_experiment(NAME, experiment_content(world.plan.day(first), days), "the third act", first)


def simulate_what_if(world: LoopWorld, week: Week) -> None:
    """Simulate the week twice more, with one variant for all readers."""
    since = world.plan.weeks_of(Act.EXPERIMENT)[0].days.start
    for variant in (CONTROL, TREATMENT):
        world.tell(f"{week.name}: what if all had the {variant}", 0, 0)
        visit_with_variant(world.settings, variant, week.days, since=since, horizon=world.plan.days)


def read_experiment_of(world: LoopWorld) -> dict[str, Any]:
    """Load the last days and read the experiment; the lifts that were planted beside those that were found."""
    last = world.plan.weeks_of(Act.EXPERIMENT)[-1]
    world.hold_production(_STAYS, last.days.stop)
    world.refresh(VARIANTS[Act.EXPERIMENT])
    experiment = next(each for each in experiments_of(world.settings) if each.name == NAME)
    verdict = outcome_of(read_experiment(warehouse_of(world.settings), experiment))
    world.stop_experiment(NAME, verdict.sentence, last.days.stop)
    spec, _ = load_spec(world.settings.truth_root)
    expected = expected_by_variant(world.settings, make_world(spec, days=world.plan.days))
    return {"found": asdict(verdict), "planted": planted_lifts(expected)}


def climb(world: LoopWorld, record: LoopRecord) -> dict[str, Any] | None:
    """Let a canary bring the blend into production, if the experiment found that it should."""
    world.write_config(CANARY_PLAN, PLAN_OF_CANARIES)
    verdict = record.done["verdict"]["found"]
    version = begun_version(record, Act.CANARY) or world.registry.version_of(CHALLENGER)
    if verdict["verdict"] != Verdict.SHIP or version is None:
        return None
    return run_canary(world, record, version, Act.CANARY, because=verdict["sentence"])


def try_bad_model(world: LoopWorld, record: LoopRecord) -> dict[str, Any]:
    """Bring a model to the canary that is bad on purpose, as a person could who did not look at its evaluation."""
    version = begun_version(record, Act.BAD_MODEL) or _register_bad_model(world)
    why = "its scores are reversed: the canary should find that"
    return run_canary(world, record, version, Act.BAD_MODEL, because=why)


def _register_bad_model(world: LoopWorld) -> str:
    lightfm = world.registry.newest("lightfm")
    if lightfm is None:
        raise RecsysError("The loop has no version of lightfm: begin it again in another RECSYS_HOME.")
    return register_reversed(world.registry, lightfm, latest_dataset(hub_of(world.settings)))


def measure_acts(world: LoopWorld) -> list[dict[str, Any]]:
    """The outcomes of each act, with the expected CTR by the truth where all readers saw one model."""
    spec, _ = load_spec(world.settings.truth_root)
    warehouse, simulated = warehouse_of(world.settings), make_world(spec, days=world.plan.days)
    found = []
    for act, first, last in _days_of_acts(world):
        outcomes = outcomes_between(warehouse, act, first, last)
        if act is Act.EXPERIMENT:  # guests, whom it has not, see what is in production
            outcomes = [each for each in outcomes if each.variant in (CONTROL, TREATMENT)]
        shown = load_visits(world.settings.truth_root, since=first, before=last + dt.timedelta(days=1))
        expected = expected_outcomes(simulated, shown, SURFACES).ctr if len(outcomes) == 1 else None
        found += [asdict(each) | {"expected_ctr": expected} for each in outcomes]
    return found


def _days_of_acts(world: LoopWorld) -> Iterator[tuple[Act, dt.date, dt.date]]:
    """The first and the last day of each act that took place."""
    for act in VARIANTS:
        weeks = world.plan.weeks_of(act)
        yield act, world.plan.day(weeks[0].days.start), world.plan.day(weeks[-1].days.stop - 1)
    done = _done(world)
    for act in CANARIES:
        if steps := (done[act] or {}).get("steps"):
            yield act, dt.date.fromisoformat(steps[0]["day"]), dt.date.fromisoformat(steps[-1]["day"])


def _done(world: LoopWorld) -> dict[str, Any]:
    record = load_record(world.settings.truth_root)
    return record.done if record else {}
