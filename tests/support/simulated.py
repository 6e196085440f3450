"""Small simulated worlds."""

import datetime as dt
from dataclasses import dataclass
from pathlib import Path

from recsys_platform.hub.local import FolderHub
from recsys_platform.hub.object_store import Hub
from recsys_platform.simulation.simulate import SimulationSummary, simulate

END = dt.date(2026, 11, 20)


@dataclass(frozen=True)
class Simulated:
    """A world on disk."""

    hub: Hub
    truth_dir: Path
    summary: SimulationSummary


def run(folder: Path, *, seed: int = 4, days: int = 20, end: dt.date = END, horizon: int = 20) -> Simulated:
    hub, truth_dir = FolderHub(folder / "hub"), folder / "truth"
    done = simulate(hub, readers=150, books=60, days=days, seed=seed, end=end, truth_dir=truth_dir, horizon=horizon)
    return Simulated(hub=hub, truth_dir=truth_dir, summary=done)
