"""What an event says about a book: liked, refused, finished, or nothing; by the weights that the marts use.

Belongs here: the weights of events as serving needs them. Does not: the weights themselves (the dbt seed `event_weights`).
"""

import csv
from pathlib import Path
from typing import Any

import msgspec
import yaml

FINISHED = "Book Finished"
_SEED, _PROJECT = "seeds/event_weights.csv", "dbt_project.yml"


class Signals(msgspec.Struct, frozen=True):
    """Weight of each event by name, of a rating by name and stars (`Book Rated 4`); a book is liked from `liked_from` on."""

    weights: dict[str, float]
    liked_from: float

    def weight_of(self, event: str, rating: float | None = None) -> float:
        """The weight of an event; 0 for one that says nothing."""
        stars = f"{event} {round(rating)}" if rating is not None else event
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
    """Read the weights of a dbt project."""
    project: dict[str, Any] = yaml.safe_load((dbt_project / _PROJECT).read_text(encoding="utf-8"))
    with (dbt_project / _SEED).open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    weights = {f"{row['event_name']} {row['rating']}".strip(): float(row["weight"]) for row in rows}
    return Signals(weights, float(project["vars"]["liked_from"]))
