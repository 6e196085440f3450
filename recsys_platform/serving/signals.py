"""What an event says about a book: liked, refused, finished, or nothing; by the names and weights that the marts use.

Belongs here: names and weights of events as serving needs them. Does not: the names and weights themselves (the dbt seeds
`event_names` and `event_weights`).
"""

import csv
import math
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any

import msgspec
import yaml

from recsys_platform.transform.dbt import ROOT

FINISHED, RATED = "Book Finished", "Book Rated"
SIGNED_IN, SIGNED_OUT, ALIASED, TRAITS_SET = "User Signed In", "User Signed Out", "User Aliased", "Traits Set"
TRACKER = "segment"
"""Events are posted in the format of this tracker."""
_WEIGHTS, _NAMES, _PROJECT = "seeds/event_weights.csv", "seeds/event_names.csv", "dbt_project.yml"


class Signals(msgspec.Struct, frozen=True):
    """Weight of each event by name, of a rating by name and stars (`Book Rated 4`); a book is liked from `liked_from` on.

    `names`: the name in the marts of an event that the tracker calls otherwise.
    """

    weights: dict[str, float]
    liked_from: float
    names: dict[str, str] = {}

    def name_of(self, source_event: str) -> str:
        """The name in the marts of an event of the tracker."""
        return self.names.get(source_event, source_event)

    def names_that_change_lists(self) -> list[str]:
        """Names in the marts of the events that can change a reader's lists."""
        base = {name.rpartition(" ")[0] if name[-1:].isdigit() else name for name in self.weights}
        return sorted(name for name in base if self.changes_lists(name, None if name != RATED else 1))

    def weight_of(self, event: str, rating: float | None = None) -> float:
        """The weight of an event; 0 for one that says nothing. Half a star counts up, as in the marts."""
        stars = f"{event} {math.floor(rating + 0.5)}" if rating is not None else event
        return self.weights.get(stars, self.weights.get(event, 0.0))

    def changes_lists(self, event: str, rating: float | None = None) -> bool:
        """Whether the event can change a reader's history, or what is out of the reader's lists."""
        return event == FINISHED or rating is not None or self.is_liked(event) or self.is_refused(event)

    def is_liked(self, event: str, rating: float | None = None) -> bool:
        """Whether the event makes the book a liked one."""
        return self.weight_of(event, rating) >= self.liked_from

    def is_refused(self, event: str, rating: float | None = None) -> bool:
        """Whether the reader refuses the book by the event."""
        return self.weight_of(event, rating) < 0


def signals_of(dbt_project: Path) -> Signals:
    """Read names and weights of a dbt project."""
    project: dict[str, Any] = yaml.safe_load((dbt_project / _PROJECT).read_text(encoding="utf-8"))
    weights = {
        f"{row['event_name']} {row['rating']}".strip(): float(row["weight"]) for row in _rows_of(dbt_project / _WEIGHTS)
    }
    names = {
        row["source_event"]: row["event_name"] for row in _rows_of(dbt_project / _NAMES) if row["source"] == TRACKER
    }
    return Signals(weights, float(project["vars"]["liked_from"]), names)


@cache
def package_signals() -> Signals:
    """The names and weights of the package."""
    return signals_of(ROOT)


def _rows_of(seed: Path) -> Iterable[dict[str, str]]:
    with seed.open(encoding="utf-8", newline="") as file:
        yield from csv.DictReader(file)
