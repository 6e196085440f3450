"""What might have been: the readers of an experiment, all of them with one variant.

The planted effect is the difference between two such worlds. Both begin with what the readers remembered when the experiment began,
use the same models on the same days, and draw the same visits. Clicks are counted by their probabilities, which the response model
knows, so the effect is that of the lists and not of the chance in clicks. Nothing of it reaches the hub or the models.

Belongs here: these worlds, and the effect. Does not: the lists (serving/), how readers respond (simulation/responses.py).
"""

import datetime as dt
import shutil
from pathlib import Path

import pyarrow.compute as pc
import yaml

from recsys_platform.closed_loop.api import served_in_process
from recsys_platform.closed_loop.experiment import CONTROL, NAME, SURFACES, TREATMENT, experiment_content
from recsys_platform.closed_loop.plan import HABITS
from recsys_platform.config.settings import Settings
from recsys_platform.config.world_files import EXPERIMENTS
from recsys_platform.simulation.reader_app import ReaderApp
from recsys_platform.simulation.truth import load_spec
from recsys_platform.simulation.visit_truth import (
    ExpectedOutcomes,
    expected_outcomes,
    load_visits,
    replay,
    save_visits,
)
from recsys_platform.simulation.visits import Readers
from recsys_platform.simulation.world import World, make_world

FOLDER = "what_if"
NO_LIMITS = "free=1000000/1000000 premium=1000000/1000000 partner=1000000/1000000"
"""Without a network between them, readers ask faster than the limits of the API allow."""


def visit_with_variant(settings: Settings, variant: str, days: range, *, since: int, horizon: int) -> None:
    """Simulate some days on which all readers have one variant, unless that was done before.

    `since`: the first day of the experiment. `horizon`: days of the world in all.
    """
    folder, (spec, _) = _folder(settings, variant), load_spec(settings.truth_root)
    done = {file.stem for file in folder.glob("visits/*.parquet")}
    todo = {day: date for day in days if str(date := spec.start + dt.timedelta(days=day)) not in done}
    if not todo:
        return
    changed = {"config_dir": _config_of_variant(settings, variant), "api_limits": NO_LIMITS}
    alone = settings.model_copy(update=changed)
    with served_in_process(alone) as ask:
        readers = Readers(make_world(spec, days=horizon), ReaderApp(ask), HABITS, threads=1)
        began = spec.start + dt.timedelta(days=since)
        for remembered in (load_visits(settings.truth_root, before=began), load_visits(folder)):
            for _ in replay(remembered, readers.memories):
                pass
        for day, date in todo.items():
            save_visits(folder, date, readers.visit_day(day))


def expected_by_variant(settings: Settings, world: World) -> dict[str, ExpectedOutcomes]:
    """What each variant brings if all signed-in readers have it, on the days simulated so far."""
    shown = {variant: load_visits(_folder(settings, variant)) for variant in (CONTROL, TREATMENT)}
    return {
        variant: expected_outcomes(world, rows.filter(pc.is_valid(rows["user_id"])), SURFACES)
        for variant, rows in shown.items()
    }


def planted_lifts(expected: dict[str, ExpectedOutcomes]) -> dict[str, float]:
    """The lift of the treatment by metric: what an experiment without noise would measure."""
    control, treatment = expected[CONTROL], expected[TREATMENT]
    return {"ctr": treatment.ctr / control.ctr - 1, "finishes": treatment.finishes / control.finishes - 1}


def _folder(settings: Settings, variant: str) -> Path:
    return settings.truth_root / FOLDER / variant


def _config_of_variant(settings: Settings, variant: str) -> Path:
    """A configuration folder in which one variant of the experiment has everybody."""
    folder = _folder(settings, variant) / "config"
    shutil.copytree(settings.config_folder, folder, dirs_exist_ok=True)
    content = experiment_content()
    chosen = content["variants"][variant] | {"weight": 100}
    alone = {NAME: content | {"variants": {variant: chosen}}}
    (folder / EXPERIMENTS).write_text(yaml.safe_dump(alone, sort_keys=False), encoding="utf-8")
    return folder
