"""Worlds whose truth is known, to try a notebook on.

Belongs here: making them. Does not: how their readers behave (experiments/simulated.py).
"""

from pathlib import Path
from tempfile import TemporaryDirectory

import yaml

from recsys_platform.config.settings import load_settings
from recsys_platform.config.world_files import EXPERIMENTS
from recsys_platform.experiments.simulated import NAME, SimulatedExperiment
from recsys_platform.notebook.world import World
from recsys_platform.warehouse.duckdb.engine import DuckDBWarehouse

__all__ = ["simulated_experiment"]


def simulated_experiment(
    *, readers: int = 6_000, days: int = 14, lift: float = 0.08, lost: float = 0.0, seed: int = 2
) -> World:
    """Make a world with one experiment, named `simulated`, whose effect is known.

    It has the marts of an experiment and nothing else, in a folder that goes away with the world.

    Args:
        readers: readers of both variants together.
        days: planned days, all of them over.
        lift: what the treatment does to the click rate, 0.08 for +8 %; 0 for an A/A test.
        lost: share of the readers of the treatment who are lost, as by an app that crashes: the sample ratio shows it.
        seed: another seed gives other readers.
    """
    kept = TemporaryDirectory(prefix="recsys-experiment-")
    settings = load_settings({"RECSYS_HOME": kept.name})
    made = SimulatedExperiment(readers=readers, days=days, lift=lift, lost=lost, seed=seed)
    made.write(DuckDBWarehouse(settings.analytics_path))
    _write_definition(settings.config_folder, made)
    return World(settings, kept=kept)


def _write_definition(folder: Path, made: SimulatedExperiment) -> None:
    folder.mkdir()
    text = yaml.safe_dump({NAME: made.definition()}, sort_keys=False)
    (folder / EXPERIMENTS).write_text(text, encoding="utf-8")
